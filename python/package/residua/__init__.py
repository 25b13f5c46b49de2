"""Image classification and embedding with residual networks on any GPU.

from residua import Classifier

model = Classifier("timm/resnet50.a1_in1k")
model.classify(["a.jpg", pil_image, array, jpeg_bytes], top_k=5)
model.embed(images, normalize=True)
for path, vector in model.embed_folder("photos/"):
    ...
mine = model.fit("train/")
mine.evaluate("val/").accuracy
mine.save("mine.safetensors")
"""

from residua._classifier import Classifier, devices
from residua._errors import (
    ClosedError,
    ConfigError,
    DeviceError,
    Error,
    FileError,
    HubError,
    ImageError,
    InputError,
    InputTypeError,
    ModelError,
    ShapeError,
)
from residua._learn import Doubt, Fit, LogisticRegression, Tried
from residua._measures import ClassMeasures, Evaluation, MultiLabelEvaluation
from residua._residua import Explanation, __version__
from residua._types import Class, Device, LayerCheck, ModelInfo, Verification

__all__ = [
    "Class",
    "ClassMeasures",
    "Classifier",
    "ClosedError",
    "ConfigError",
    "Device",
    "DeviceError",
    "Doubt",
    "Error",
    "Evaluation",
    "Explanation",
    "FileError",
    "Fit",
    "HubError",
    "ImageError",
    "InputError",
    "InputTypeError",
    "LayerCheck",
    "LogisticRegression",
    "ModelError",
    "ModelInfo",
    "MultiLabelEvaluation",
    "ShapeError",
    "Tried",
    "Verification",
    "__version__",
    "devices",
]
