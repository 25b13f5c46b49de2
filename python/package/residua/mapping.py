"""Classifiers as functions of batches, for ``datasets.Dataset.map`` and similar calls; for Ray Data see `residua.ray`.

from residua.mapping import Embed

dataset = dataset.map(Embed("resnet50"), batched=True, batch_size=256)
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from residua._classifier import Classifier
from residua._errors import Error, InputError

if TYPE_CHECKING:
    from residua._types import Class

# Names of columns with images; the first that exists is used.
_COLUMNS = ("image", "img", "bytes", "path")

# Classifiers of this process by their settings, so that a function that is unpickled for each task does not open another.
_opened: dict[str, Classifier] = {}
_opening = threading.Lock()


class _Mapped:
    """A classifier that opens with the first batch, in the process that gets the batch."""

    _output: ClassVar[str]

    def __init__(
        self,
        model: str = "builtin",
        *,
        column: str | None = None,
        errors: Literal["return", "raise"] = "return",
        **settings: Any,
    ) -> None:
        """Takes the arguments of a classifier, which opens in the process that gets the first batch.

        Args:
            model: As `Classifier` takes it.
            column: The column with the images: paths, bytes, Pillow images or arrays. By default the first that exists of
                ``image``, ``img``, ``bytes`` and ``path``.
            errors: ``return`` writes an image's error into the column ``error``; ``raise`` raises it.
            **settings: Other arguments of `Classifier`.
        """
        if errors not in ("return", "raise"):
            raise InputError(f"errors = {errors!r}: 'return' or 'raise'", "config.value")
        self._arguments: dict[str, Any] = {"model": model, **settings}
        self._column = column
        self._errors = errors

    @property
    def classifier(self) -> Classifier:
        """The classifier; opens it if it is not open."""
        key = repr(sorted(self._arguments.items()))
        with _opening:
            if key not in _opened:
                _opened[key] = Classifier(**self._arguments)
            return _opened[key]

    def close(self) -> None:
        """Closes the classifier of this process; the next batch opens it again."""
        with _opening:
            closed = _opened.pop(repr(sorted(self._arguments.items())), None)
        if closed is not None:
            closed.close()

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the new columns of a batch, or of one row."""
        images = batch[self._found(batch)]
        if _is_single(images):
            return {name: values[0] for name, values in self._columns([_image(images)]).items()}
        return self._columns([_image(image) for image in images])

    def _found(self, batch: Mapping[str, Any]) -> str:
        if self._column is not None:
            return self._column
        for name in _COLUMNS:
            if name in batch:
                return name
        raise InputError(
            f"none of the columns {list(batch)} is called {', '.join(_COLUMNS)}; give column=", "input.value"
        )

    def _columns(self, images: Sequence[Any]) -> dict[str, Any]:
        raise NotImplementedError

    def _told(self, errors: dict[int, Error], count: int) -> Any:
        """The error of each image as text; the empty text if there is none, so that all blocks have one type."""
        import numpy as np

        if errors and self._errors == "raise":
            raise errors[min(errors)]
        return np.array([f"{errors[i]} [{errors[i].code}]" if i in errors else "" for i in range(count)], dtype=object)


class Embed(_Mapped):
    """Embeds batches: adds the columns ``embedding``, float32 ``[N, features]``, and ``error``.

    The embedding of an image that cannot be read is NaN.
    """

    def __init__(
        self,
        model: str = "builtin",
        *,
        normalize: bool = False,
        column: str | None = None,
        errors: Literal["return", "raise"] = "return",
        **settings: Any,
    ) -> None:
        """Takes the arguments of a classifier.

        Args:
            model: As `Classifier` takes it.
            normalize: Scales each vector to a length of one.
            column: The column with the images.
            errors: ``return`` or ``raise``.
            **settings: Other arguments of `Classifier`.
        """
        super().__init__(model, column=column, errors=errors, **settings)
        self._normalize = normalize

    def _columns(self, images: Sequence[Any]) -> dict[str, Any]:
        vectors, errors = self.classifier._embed_all(images, self._normalize)
        return {"embedding": vectors, "error": self._told(errors, len(images))}


class Classify(_Mapped):
    """Classifies batches: adds the columns ``label``, ``score``, ``index`` and ``error``.

    With ``top_k`` over 1 they are ``labels``, ``scores`` and ``indices``, ``[N, top_k]``. For an image that cannot be read, the
    label is empty, the score NaN and the index -1.
    """

    def __init__(
        self,
        model: str = "builtin",
        *,
        top_k: int = 1,
        column: str | None = None,
        errors: Literal["return", "raise"] = "return",
        **settings: Any,
    ) -> None:
        """Takes the arguments of a classifier.

        Args:
            model: As `Classifier` takes it.
            top_k: Number of classes for each image.
            column: The column with the images.
            errors: ``return`` or ``raise``.
            **settings: Other arguments of `Classifier`.
        """
        super().__init__(model, column=column, errors=errors, **settings)
        self._top_k = top_k

    def _columns(self, images: Sequence[Any]) -> dict[str, Any]:
        import numpy as np

        classifier = self.classifier
        results = classifier.classify(list(images), top_k=self._top_k)
        errors = {i: result for i, result in enumerate(results) if isinstance(result, Error)}
        none: list[Class] = [{"label": "", "score": float("nan"), "index": -1}]
        none *= min(self._top_k, classifier.model.classes)
        rows = [none if isinstance(result, Error) else result for result in results]
        told = self._told(errors, len(results))
        if self._top_k == 1:
            return {
                "label": np.array([row[0]["label"] for row in rows], dtype=object),
                "score": np.array([row[0]["score"] for row in rows], dtype=np.float32),
                "index": np.array([row[0]["index"] for row in rows], dtype=np.int64),
                "error": told,
            }
        return {
            "labels": _lists([[each["label"] for each in row] for row in rows]),
            "scores": np.array([[each["score"] for each in row] for row in rows], np.float32).reshape(-1, len(none)),
            "indices": np.array([[each["index"] for each in row] for row in rows], np.int64).reshape(-1, len(none)),
            "error": told,
        }


def _lists(rows: list[list[str]]) -> Any:
    """A column of lists, because Arrow has no arrays of texts with two axes."""
    import numpy as np

    column = np.empty(len(rows), dtype=object)
    for i, row in enumerate(rows):
        column[i] = row
    return column


def _is_single(images: Any) -> bool:
    """Whether a column belongs to one row instead of a batch."""
    if isinstance(images, (list, tuple)):
        return False
    dimensions = getattr(images, "ndim", None)
    if dimensions is None:
        return True
    return getattr(images, "dtype", None) == "uint8" and dimensions in (2, 3)


def _image(value: Any) -> Any:
    """An image as `datasets` stores it undecoded: a dictionary of bytes and path."""
    if isinstance(value, dict) and ("bytes" in value or "path" in value):
        return value.get("bytes") if value.get("bytes") is not None else value.get("path")
    return value
