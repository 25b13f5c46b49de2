"""Types of arguments and results."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol, TypeAlias, TypedDict

if TYPE_CHECKING:
    from io import IOBase

    import numpy as np
    from PIL.Image import Image as PillowImage


class HasArrayInterface(Protocol):
    """Anything that NumPy turns into an array without a copy."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...


class HasDLPack(Protocol):
    """Anything that shares its memory through DLPack, such as a torch tensor."""

    def __dlpack__(self, *, stream: Any = ...) -> Any: ...

    def __dlpack_device__(self) -> tuple[Any, int]: ...


if TYPE_CHECKING:
    #: An array of pixels: an image, or several.
    Array: TypeAlias = HasArrayInterface | HasDLPack
    #: Types accepted as one image, besides arrays.
    File: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | IOBase | PillowImage
    #: Types accepted as an image.
    Image: TypeAlias = File | Array
    #: float32, of the shape that its use implies.
    Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
    #: float64, of the shape that its use implies.
    Doubles: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
    #: uint64, of the shape that its use implies.
    Integers: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]
    #: uint8, of the shape that its use implies.
    Bytes: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]


class Class(TypedDict):
    """A class with its score."""

    label: str
    score: float
    index: int


class Device(NamedTuple):
    """An adapter, or the CPU.

    Attributes:
        index: Its position in `devices()`; None for the CPU.
        name: Its name, as the driver gives it.
        backend: ``vulkan``, ``metal``, ``dx12`` or ``cpu``.
        driver: Name and version of the driver.
        kind: ``discrete GPU``, ``integrated GPU``, ``virtual GPU``, ``other``, ``CPU``, ``software (CPU)`` or ``reference``.
        software: Whether it runs on the CPU.
    """

    index: int | None  # type: ignore[assignment]  # instead of the method of tuples
    name: str
    backend: str
    driver: str
    kind: str
    software: bool


class ModelInfo(NamedTuple):
    """Information about a model.

    Attributes:
        name: File name, repository on the hub, or ``builtin``.
        revision: Commit of a model of the hub.
        architecture: The architecture that was recognised, for example ``resnet50``.
        parameters: Number of trained parameters.
        macs: Multiply-accumulates for one image.
        classes: Number of classes; 0 for a network that gives features only.
        features: Number of features, the length of an embedding.
        license: Its licence, if one is stated.
        published_top1: The accuracy that was published for these weights.
        source: Where the weights come from.
        input_size: Rows and columns of the network's input.
        resize: Pixels of the shorter side before the crop, rows and columns that the image is squashed to, or None.
        filter: The filter of the resize.
        mean: Subtracted from red, green and blue in 0..1.
        std: Divides them after the mean is subtracted.
    """

    name: str
    revision: str | None
    architecture: str
    parameters: int
    macs: int
    classes: int
    features: int
    license: str | None
    published_top1: str | None
    source: str
    input_size: tuple[int, int]
    resize: int | tuple[int, int] | None
    filter: str
    mean: list[float]
    std: list[float]


class LayerCheck(NamedTuple):
    """A layer on the device, compared with the CPU reference.

    Attributes:
        name: Name of the layer.
        kernel: The kernel that computed it.
        stored: ``f32`` or ``f16``.
        shape: Shape of its output, [N, C, H, W].
        error: Largest difference, divided by the largest magnitude; infinite if the device's output has NaN.
        bound: Largest error allowed.
        ok: Whether the error is within the bound.
        follows: Whether an earlier layer of the same run is wrong, so that this one read wrong values.
    """

    name: str
    kernel: str
    stored: str
    shape: list[int]
    error: float
    bound: float
    ok: bool
    follows: bool


class Verification(NamedTuple):
    """The outcome of `Classifier.verify`.

    Attributes:
        ok: Whether all layers are within their bounds.
        layers: A row for each layer in each precision and with each kernel.
    """

    ok: bool
    layers: list[LayerCheck]


class Settings(TypedDict):
    """The arguments of `Classifier`."""

    model: str
    synthetic: str | None
    device: str | None
    precision: str
    batch: int | None
    deterministic: bool
    tune: bool | None
    offline: bool | None
    cache_dir: str | None
    labels: str | list[str] | None
    resize: int | None
    crop: int | None
    filter: str | None
    mean: tuple[float, float, float] | None
    std: tuple[float, float, float] | None
    test_size: bool
    exif: bool
    allow_truncated: bool
    strict: bool
    part: str | None
    allow_extra: bool
    allow_nonfinite: bool
    no_config: bool
    structure: str | None
