"""The classifier: its settings, its calls, and how it moves to other processes."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, TypeVar, overload

from residua import _inputs, _learn, _residua
from residua._arguments import labels_of, one_of, triple, whole
from residua._errors import ClosedError, ConfigError, Error, InputError
from residua._learn import Fit, Head
from residua._measures import Evaluation, MultiLabelEvaluation, evaluation, multi_label_evaluation, truth_of
from residua._results import in_thread, labelled, only, stream, vectors, warn, with_classes
from residua._types import Class, Device, LayerCheck, ModelInfo, Settings, Verification

if TYPE_CHECKING:
    from types import TracebackType

    from residua._types import Array, Bytes, File, Floats, Image

T = TypeVar("T")


class Classifier:
    """A network on a device, ready to classify and to embed images.

    It may be used from many threads at once. A pickle holds only its settings; unpickling opens the device again. In a fork of the
    process that opened it, each call is an error: open another there, or start processes with ``spawn``.

    An image may be a path (``str`` or ``os.PathLike``), the bytes of a file, a file object open in binary mode, a Pillow image,
    or a uint8 array ``[H, W]``, ``[H, W, 3]`` or ``[H, W, 4]``: from NumPy, or anything in the CPU's memory with
    ``__array_interface__``, the buffer protocol or ``__dlpack__``, such as a torch tensor. Several images are a list or another
    iterable, whose kinds and sizes may differ, or one array ``[N, H, W, C]``. An alpha channel is dropped. A Pillow image is
    turned upright by its EXIF orientation, as its file would be.
    """

    _engine: _residua.Engine | None

    def __init__(
        self,
        model: str | os.PathLike[str] = "builtin",
        *,
        revision: str | None = None,
        synthetic: str | None = None,
        device: str | int | None = None,
        precision: Literal["auto", "f32", "f16"] = "auto",
        batch: int | Literal["auto"] = "auto",
        deterministic: bool = False,
        tune: bool | None = None,
        offline: bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        labels: str | os.PathLike[str] | Sequence[str] | None = None,
        resize: int | None = None,
        crop: int | None = None,
        filter: Literal["bilinear", "bicubic"] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        test_size: bool = False,
        exif: bool = True,
        allow_truncated: bool = False,
        strict: bool = False,
        part: str | None = None,
        allow_extra: bool = False,
        allow_nonfinite: bool = False,
        no_config: bool = False,
        structure: str | None = None,
    ) -> None:
        """Opens a model on a device.

        Reads the same environment variables as the command line: ``HF_HOME`` and the others of huggingface_hub,
        ``WGPU_ADAPTER_NAME``, ``WGPU_BACKEND``, ``XDG_CACHE_HOME``. Notes about the model and the device are in `notes`, and go
        to the logger ``residua`` as warnings.

        Args:
            model: A file or folder, ``builtin``, or a model of the hub: an alias such as ``resnet50`` or a repository such as
                ``timm/resnet50.a1_in1k``, which is read from huggingface_hub's cache, or downloaded into it.
            revision: Branch, tag or commit of a model of the hub; ``model@revision`` does the same.
            synthetic: An architecture with made-up weights, instead of a model, for measuring and testing.
            device: ``auto``, ``cpu``, ``reference`` (plain loops), or an index or a part of a name from `devices()`.
            precision: Type in which weights and activations are stored on the device; sums are f32.
            batch: Number of images that go to the device at once. ``auto`` chooses by the network and the kind of device.
            deterministic: Gives an image the same bits in batches of any size; may be slower.
            tune: True first measures which kernels are fastest on this device, if that is not known yet; False ignores
                measurements.
            offline: True uses only huggingface_hub's cache, and never the network.
            cache_dir: huggingface_hub's cache, if it is not in its usual place.
            labels: Class names, or a file with them.
            resize: Pixels of the shorter side before the crop, instead of the model's own.
            crop: Rows and columns of the network's input, instead of the model's own.
            filter: Filter of the resize, instead of the model's own.
            mean: Mean of red, green and blue in 0..1, instead of the model's own.
            std: Standard deviation of them, instead of the model's own.
            test_size: Uses the size at which the model's authors test it, if one is stated.
            exif: False does not turn photos upright, as in torchvision and timm.
            allow_truncated: Accepts a JPEG that ends early; its last rows are made up.
            strict: Refuses damaged images, even if they can be decoded.
            part: The network to use, if a file has several, such as ``teacher``.
            allow_extra: Ignores modules around the network that may take part in what it computes.
            allow_nonfinite: Opens a model even if weights are NaN or infinite.
            no_config: Ignores the config.json beside a file.
            structure: Properties that the tensors do not show, such as ``stem-pool=max,stride-in=1x1``.

        Raises:
            ModelError: If something is wrong with the model.
            HubError: If it cannot be downloaded.
            ConfigError: If a value in an argument or a configuration file is out of range.
            DeviceError: If the device cannot be opened.
        """
        name = os.fspath(model)
        if revision is not None:
            name = f"{name}@{revision}"
        elif os.path.exists(name):
            # The process that unpickles this may be in another folder.
            name = os.path.abspath(name)
        self._settings: Settings = {
            "model": name,
            "synthetic": synthetic,
            "device": None if device is None else str(device),
            "precision": precision,
            "batch": None if batch == "auto" else whole("batch", batch, 1, 65536),
            "deterministic": deterministic,
            "tune": tune,
            "offline": offline,
            "cache_dir": None if cache_dir is None else os.path.abspath(cache_dir),
            "labels": labels_of(labels),
            "resize": resize,
            "crop": crop,
            "filter": filter,
            "mean": triple("mean", mean),
            "std": triple("std", std),
            "test_size": test_size,
            "exif": exif,
            "allow_truncated": allow_truncated,
            "strict": strict,
            "part": part,
            "allow_extra": allow_extra,
            "allow_nonfinite": allow_nonfinite,
            "no_config": no_config,
            "structure": structure,
        }
        self._engine = None
        self._open(None, None)

    def _open(self, head: Head | None, fitted: Fit | None) -> None:
        engine = _residua.Engine.open(self._settings)
        for note in engine.notes():
            warn("%s", note)
        self._head, self._fitted = head, fitted
        self._engine = engine if head is None else engine.with_head(*head)

    def __getstate__(self) -> tuple[Settings, Head | None, Fit | None]:
        """Returns the settings, with the commit of a model of the hub, so that all processes have the same weights."""
        settings = self._settings.copy()
        revision = self.model.revision if self._engine is not None else None
        if revision is not None and settings["synthetic"] is None:
            settings["model"] = f"{settings['model'].partition('@')[0]}@{revision}"
        return settings, self._head, self._fitted

    def __setstate__(self, state: tuple[Settings, Head | None, Fit | None]) -> None:
        """Opens the model with these settings."""
        self._settings, head, fitted = state
        self._engine = None
        self._open(head, fitted)

    def __enter__(self) -> Classifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._engine is None:
            return f"<residua.Classifier {self._settings['model']!r}, closed>"
        return f"<residua.Classifier {self.model.name!r} ({self.model.architecture}) on {self.device.name!r}>"

    def close(self) -> None:
        """Frees the device's memory. Calls that are under way finish; later ones raise `ClosedError`."""
        self._engine = None

    def _opened(self) -> _residua.Engine:
        if self._engine is None:
            raise ClosedError("the classifier is closed", "closed")
        return self._engine

    # ---- What it is.

    @property
    def model(self) -> ModelInfo:
        """Information about the model."""
        return ModelInfo(**self._opened().model())

    @property
    def device(self) -> Device:
        """The device in use."""
        return Device(**self._opened().device())

    @property
    def labels(self) -> list[str]:
        """The names of the classes, in order. A class without a name has its index for a name."""
        return self._opened().labels()

    @property
    def precision(self) -> str:
        """The type in which activations and weights are stored on the device: ``f32`` or ``f16``."""
        return self._opened().precision()

    @property
    def notes(self) -> list[str]:
        """Sentences that a user should know about the choice of device, model and kernels."""
        return self._opened().notes()

    @property
    def device_memory(self) -> int | None:
        """Bytes that its buffers take on the device now; None if they are not counted."""
        return self._opened().device_memory()

    def describe(self) -> str:
        """Describes the network, layer by layer, and how the device computes it."""
        return self._opened().describe()

    # ---- Classes.

    # Text and bytes are iterable too, but are single images: the first overload that fits counts.
    @overload
    def classify(  # type: ignore[overload-overlap]
        self,
        images: File,
        *,
        top_k: SupportsIndex | None = ...,
        min_score: float | None = ...,
        errors: Literal["return", "raise"] = ...,
    ) -> list[Class]: ...

    # One image or several, by its shape.
    @overload
    def classify(
        self,
        images: Array,
        *,
        top_k: SupportsIndex | None = ...,
        min_score: float | None = ...,
        errors: Literal["return", "raise"] = ...,
    ) -> Any: ...

    @overload
    def classify(
        self,
        images: Iterable[Image],
        *,
        top_k: SupportsIndex | None = ...,
        min_score: float | None = ...,
        errors: Literal["return"] = ...,
    ) -> list[list[Class] | Error]: ...

    @overload
    def classify(
        self,
        images: Iterable[Image],
        *,
        top_k: SupportsIndex | None = ...,
        min_score: float | None = ...,
        errors: Literal["raise"],
    ) -> list[list[Class]]: ...

    def classify(
        self,
        images: Image | Iterable[Image],
        *,
        top_k: SupportsIndex | None = 5,
        min_score: float | None = None,
        errors: Literal["return", "raise"] = "return",
    ) -> Any:
        """Names the classes of images.

        The scores are exactly those of ``residua classify``.

        Args:
            images: One image, or several.
            top_k: Number of classes for each image, best first; None for all.
            min_score: Leaves out classes with a lower score.
            errors: ``return`` puts an exception in the place of an image that cannot be read; ``raise`` raises the first.

        Returns:
            For several images a list with an entry for each, in their order: a list of
            ``{"label": str, "score": float, "index": int}``, or an `Error`. For one image, only its list.

        Raises:
            Error: If a single image cannot be read; with ``errors="raise"``, for the first image that cannot.
            ModelError: If the network has no classes.
            DeviceError: If the device fails.
        """
        run, single = self._classify(images, top_k, min_score, errors)
        return only(run.all_classes(single or errors == "raise"), single)

    async def aclassify(
        self,
        images: Image | Iterable[Image],
        *,
        top_k: SupportsIndex | None = 5,
        min_score: float | None = None,
        errors: Literal["return", "raise"] = "return",
    ) -> Any:
        """As `classify`, in a thread of the event loop's executor. If cancelled, it stops after the batches under way."""
        run, single = self._classify(images, top_k, min_score, errors)
        return only(await in_thread(run, lambda: run.all_classes(single or errors == "raise")), single)

    def _classify(
        self, images: Any, top_k: SupportsIndex | None, min_score: float | None, errors: str
    ) -> tuple[_residua.Run, bool]:
        one_of("errors", errors, ("return", "raise"))
        several, count, single = _inputs.split(images)
        return self._opened().classify(several, count, self._top(top_k), min_score), single

    def _top(self, top_k: SupportsIndex | None) -> int:
        if top_k is None:
            return max(1, self.model.classes)
        return whole("top_k", top_k, 1, 1 << 31)

    def classify_folder(
        self,
        folder: str | os.PathLike[str],
        *,
        top_k: SupportsIndex | None = 5,
        min_score: float | None = None,
        errors: Literal["return", "raise"] = "return",
        hidden: bool = False,
        exclude: Sequence[str] = (),
        progress: bool | Callable[[int], object] = False,
    ) -> Iterator[tuple[str, list[Class] | Error]]:
        """Names the classes of all images in a folder and its subfolders, one after the other.

        Args:
            folder: The folder. Its images are found as by ``residua classify -r``, sorted by name.
            top_k: How many classes to give for each image.
            min_score: Leaves out classes with a lower score.
            errors: ``return`` yields an exception for an image that cannot be read; ``raise`` raises it.
            hidden: Includes hidden files and folders.
            exclude: Patterns of files and folders to skip: ``*`` matches a part of a name, ``**`` any folders.
            progress: True shows progress on stderr (with tqdm, if it is installed). A function is called with the number of
                images in each batch.

        Yields:
            The path of an image, and its classes as from `classify`, or its `Error`. A million images need no more memory than a
            thousand.
        """
        run = self._opened().classify_folder(os.fspath(folder), hidden, list(exclude), self._top(top_k), min_score)
        return stream(run, errors, progress)

    # ---- Vectors.

    def embed(
        self, images: Image | Iterable[Image], *, normalize: bool = False, errors: Literal["raise", "nan"] = "raise"
    ) -> Floats:
        """Computes the features of images: the vector that the network's head reads.

        They are exactly those of ``residua embed``, and correspond to torchvision's before ``fc`` and to timm's with
        ``num_classes=0``.

        The last bits of an image's features may depend on the batch size; with ``deterministic=True`` they do not.

        Args:
            images: One image, or several.
            normalize: Scales each vector to a length of one, so that dot products are cosine similarities.
            errors: ``raise`` raises an exception for the first image that cannot be read; ``nan`` makes its row NaN, and logs it.

        Returns:
            float32 ``[N, features]``; for one image ``[features]``.

        Raises:
            Error: If an image cannot be read; ``index`` has its place.
            DeviceError: If the device fails.
        """
        run, single = self._embed(images, normalize, errors)
        return vectors(run.all_vectors(single or errors == "raise"), single)

    async def aembed(
        self, images: Image | Iterable[Image], *, normalize: bool = False, errors: Literal["raise", "nan"] = "raise"
    ) -> Floats:
        """As `embed`, in a thread of the event loop's executor. If cancelled, it stops after the batches under way."""
        run, single = self._embed(images, normalize, errors)
        return vectors(await in_thread(run, lambda: run.all_vectors(single or errors == "raise")), single)

    def _embed(self, images: Any, normalize: bool, errors: str) -> tuple[_residua.Run, bool]:
        one_of("errors", errors, ("raise", "nan"))
        several, count, single = _inputs.split(images)
        return self._opened().embed(several, count, normalize), single

    def _embed_all(self, images: Any, normalize: bool) -> tuple[Floats, dict[int, Error]]:
        """The vectors of several images, and the errors of those whose rows are NaN."""
        several, count, _ = _inputs.split(images)
        return self._opened().embed(several, count, normalize).all_vectors(False)

    def embed_folder(
        self,
        folder: str | os.PathLike[str],
        *,
        normalize: bool = False,
        errors: Literal["return", "raise"] = "return",
        hidden: bool = False,
        exclude: Sequence[str] = (),
        progress: bool | Callable[[int], object] = False,
    ) -> Iterator[tuple[str, Floats | Error]]:
        """Computes the features of all images in a folder and its subfolders, one after the other.

        Args:
            folder: The folder. Its images are found as by ``residua embed -r``, sorted by name.
            normalize: Scales each vector to a length of one.
            errors: ``return`` yields an exception for an image that cannot be read; ``raise`` raises it.
            hidden: Includes hidden files and folders.
            exclude: Patterns of files and folders to skip.
            progress: As in `classify_folder`.

        Yields:
            The path of an image, and its vector, float32 ``[features]``, or its `Error`.
        """
        run = self._opened().embed_folder(os.fspath(folder), hidden, list(exclude), normalize)
        return stream(run, errors, progress)

    # ---- One image, and normalised ones.

    def preprocess(self, image: Image, *, normalize: bool = False) -> Bytes | Floats:
        """Returns what the network sees of an image: turned upright, resized, cropped.

        Args:
            image: One image.
            normalize: Returns the values that the network reads, instead of pixels.

        Returns:
            uint8 ``[H, W, 3]``, or float32 ``[3, H, W]`` with ``normalize=True``.

        Raises:
            Error: If it cannot be read.
        """
        engine = self._opened()
        return engine.normalized(image) if normalize else engine.preprocess(image)

    def logits(self, x: Any) -> Floats:
        """Computes the logits of normalised images.

        Args:
            x: An array or tensor of floats ``[N, 3, H, W]`` in the CPU's memory, normalised as the model needs
                (``preprocess(image, normalize=True)``), or a list of ``[3, H, W]``. The network must admit the size. Floats of
                other types become float32.

        Returns:
            float32 ``[N, classes]``. Of a model that counts the nearest of known images ``[N, known images]``: the dot products of
            the features with theirs at unit length.

        Raises:
            InputError: If the shape is another.
            InputTypeError: If the values are not floats.
            ConfigError: If a number is NaN or infinite.
            ShapeError: If the network does not admit the size.
            ModelError: If the network has no classes.
        """
        return self._opened().logits(_inputs.check_tensor(x))

    async def alogits(self, x: Any) -> Floats:
        """As `logits`, in a thread of the event loop's executor."""
        import asyncio

        return await asyncio.to_thread(self.logits, x)

    def explain(self, image: Image, target: int | str | None = None) -> _residua.Explanation:
        """Shows where in an image the evidence for a class lies: its class-activation map.

        Args:
            image: One image.
            target: Index or name of the class; by default the class with the highest score.

        Returns:
            An `Explanation`: ``map``, float32 ``[rows, columns]`` in units of the logit, and ``overlay(image)``.

        Raises:
            Error: If the image cannot be read, or there is no such class.
            ShapeError: If the network's head does not follow global average pooling.
        """
        return self._opened().explain(
            image, target if target is None or isinstance(target, str) else operator.index(target)
        )

    # ---- Your own classes.

    def with_head(
        self, weights: Any, biases: Any, labels: Iterable[object], *, multi_label: bool = False
    ) -> Classifier:
        """Puts another head on the network, on the same device; this classifier stays as it is.

        ``regression.coef_``, ``.intercept_`` and ``.classes_`` of a `LogisticRegression` are such a head, and so are those of
        scikit-learn's: of two classes it has one row, the logit of the second.

        Args:
            weights: Floats ``[classes, features]``, for features as `embed` gives them.
            biases: Floats ``[classes]``.
            labels: Names of the classes, in order.
            multi_label: Gives each class a score of its own (sigmoid), instead of shares of one (softmax).

        Returns:
            A classifier with the new classes. The weights in the CPU's memory are shared.

        Raises:
            ShapeError: If the head is not for the network's features, or has not as many rows as there are labels.
            ModelError: If a number in it is NaN or infinite.
        """
        names = [str(label) for label in labels]
        return self._with_head(_learn.head(weights, biases, names, multi_label), None)

    def _with_head(self, head: Head, fitted: Fit | None) -> Classifier:
        made = Classifier.__new__(Classifier)
        made._engine = self._opened().with_head(*head)
        made._settings, made._head, made._fitted = self._settings.copy(), head, fitted
        return made

    def fit(
        self,
        images: str | os.PathLike[str] | Iterable[Image],
        labels: Iterable[Any] | None = None,
        *,
        method: _learn.Method = "logistic",
        C: float | Sequence[float] | None = None,  # noqa: N803
        cv: int = 5,
        class_weight: Literal["balanced"] | None = None,
        multi_label: bool = False,
        errors: Literal["raise", "skip"] = "raise",
    ) -> Classifier:
        """Fits a classifier for your own classes to this network's features, as ``residua fit`` does.

        It has the same network with a new head. Other Python threads run meanwhile, and Ctrl-C stops it.

        Args:
            images: A folder with a folder of images for each class, or several images.
            labels: The class of each image, or with ``multi_label`` a list of classes; None if `images` is a folder.
            method: ``logistic`` regression; ``centroid``, the class whose mean is nearest, for very few images; or
                ``neighbours``, the classes of the nearest images.
            C: As in `LogisticRegression`.
            cv: As in `LogisticRegression`.
            class_weight: As in `LogisticRegression`.
            multi_label: As in `LogisticRegression`.
            errors: ``raise`` raises an exception for the first image that cannot be read; ``skip`` leaves it out, and logs it.

        Returns:
            A classifier with the new classes; its `fitted` has the results of cross-validation, with the most doubtful labels.

        Raises:
            Error: If an image cannot be read; ``index`` has its place.
            ConfigError: If a class has fewer than two images, or there are fewer than two classes.
            InputError: If there are not as many labels as images.
        """
        settings = _learn.method_of(method, C, cv, class_weight)
        engine = self._opened()
        paths, images, labels = with_classes(images, labels, every=True)
        features, given, places = labelled(
            images, labels, lambda several, count: engine.embed(several, count, False), errors
        )
        classes, of = _learn.indices_of(given, multi_label)
        found = _learn.fitted(features, of, len(classes), multi_label, settings)
        names = [str(label) for label in classes]
        head = Head(found["weights"], found["biases"], found["neighbours"], names, multi_label)
        return self._with_head(head, _learn.fit_of(method, found, given, names, places, paths))

    @property
    def fitted(self) -> Fit | None:
        """How `fit` fitted its head; None if it did not."""
        return self._fitted

    @overload
    def evaluate(
        self,
        images: str | os.PathLike[str] | Iterable[Image],
        labels: Iterable[str | int] | None = None,
        *,
        multi_label: Literal[False] = False,
        errors: Literal["raise", "skip"] = "raise",
    ) -> Evaluation: ...
    @overload
    def evaluate(
        self,
        images: str | os.PathLike[str] | Iterable[Image],
        labels: Iterable[Iterable[str | int]] | None = None,
        *,
        multi_label: Literal[True],
        errors: Literal["raise", "skip"] = "raise",
    ) -> MultiLabelEvaluation: ...
    def evaluate(
        self,
        images: str | os.PathLike[str] | Iterable[Image],
        labels: Iterable[Any] | None = None,
        *,
        multi_label: bool = False,
        errors: Literal["raise", "skip"] = "raise",
    ) -> Evaluation | MultiLabelEvaluation:
        """Measures the classifier on images whose classes are known, as ``residua evaluate`` does.

        Args:
            images: A folder with a folder of images for each class, or several images.
            labels: The class of each image by name, WordNet id or index, or with ``multi_label`` a list of classes for each image;
                None if `images` is a folder.
            multi_label: An image may have several labels, or none: measures each class separately. The model must give each
                class a score of its own.
            errors: ``raise`` raises an exception for the first image that cannot be read; ``skip`` leaves it out, and logs it.

        Returns:
            An `Evaluation`: accuracy, precision and recall of each class, log loss, confusion matrix and more; with
            ``multi_label`` a `MultiLabelEvaluation`, with the average precision of each class.

        Raises:
            Error: If an image cannot be read; ``index`` has its place.
            ConfigError: If a label is not a class of the model, or with ``multi_label`` the model's scores are shares of one.
            InputError: If there are not as many labels as images, or no images.
            InputTypeError: If with ``multi_label`` the labels of an image are not a list.
            ModelError: If the network has no classes.
        """
        engine = self._opened()
        if multi_label and not engine.multi_label():
            raise ConfigError("argument: multi_label: the model's scores are shares of one", "config.value")
        in_folders = labels is None
        _, images, labels = with_classes(images, labels, every=False)
        if multi_label:
            labels = [[label] for label in labels] if in_folders else _learn.lists_of(labels)
        scores, given, _ = labelled(images, labels, engine.score, errors)
        if not given:
            raise InputError("there are no images to measure with", "input.value")
        truth = truth_of(given if multi_label else [[label] for label in given], engine.meant)
        if multi_label:
            return multi_label_evaluation(_residua.measured_tags(scores, truth), engine.labels())
        return evaluation(_residua.measured(scores, [index for (index,) in truth]), engine.labels())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model to a safetensors file, whole or not at all: weights, labels, preprocessing and scoring.

        It opens with ``Classifier(path)`` and with every command, and its weights load into timm under their own names.

        Args:
            path: The file, ``.safetensors``.

        Raises:
            FileError: If it cannot be written.
        """
        self._opened().save(os.fspath(path), _learn.made(self._fitted))

    # ---- Checks.

    def verify(self, *, batch: int = 1, every: bool = False) -> Verification:
        """Compares every layer on the device with the CPU reference, which is slow.

        Args:
            batch: Number of images, with made-up pixels.
            every: Tries every kernel that can serve a layer, in every precision, instead of the chosen ones. A kernel found wrong
                is no longer used on this device.

        Returns:
            A `Verification`.

        Raises:
            DeviceError: If the device fails.
        """
        found = self._opened().verify(batch, every)
        return Verification(ok=found["ok"], layers=[LayerCheck(**layer) for layer in found["layers"]])


def devices() -> list[Device]:
    """Lists the adapters that a `Classifier` can use, in the order of their indices."""
    return [Device(**device) for device in _residua.devices()]
