"""Classifiers as functions of batches, for ``datasets.Dataset.map`` and its like; for Ray Data see `residua.ray`.

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

# Columns that hold images, the first that is there counts.
_COLUMNS = ("image", "img", "bytes", "path")

# Classifiers of this process by their settings: a function that is unpickled for each task opens none of its own.
_opened: dict[str, Classifier] = {}
_opening = threading.Lock()


class _Mapped:
    """A classifier that opens with the first batch, in the process that has it."""

    _output: ClassVar[str]

    def __init__(
        self,
        model: str = "builtin",
        *,
        column: str | None = None,
        errors: Literal["return", "raise"] = "return",
        **settings: Any,
    ) -> None:
        """Takes what opens a classifier, which it does in the process where the first batch comes.

        Args:
            model: As `Classifier` takes it.
            column: The column with the images: paths, bytes, images of Pillow, or arrays. Without it ``image``, ``img``, ``bytes`` or
                ``path``, the first that is there.
            errors: ``return`` tells in the column ``error`` what is wrong with an image; ``raise`` raises it.
            **settings: Other arguments of `Classifier`.
        """
        if errors not in ("return", "raise"):
            raise InputError(f"errors = {errors!r}: 'return' or 'raise'", "config.value")
        self._arguments: dict[str, Any] = {"model": model, **settings}
        self._column = column
        self._errors = errors

    @property
    def classifier(self) -> Classifier:
        """The classifier, which is opened now if it is not open."""
        key = repr(sorted(self._arguments.items()))
        with _opening:
            if key not in _opened:
                _opened[key] = Classifier(**self._arguments)
            return _opened[key]

    def close(self) -> None:
        """Closes the classifier of this process; the next batch opens it anew."""
        with _opening:
            closed = _opened.pop(repr(sorted(self._arguments.items())), None)
        if closed is not None:
            closed.close()

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Gives the new columns of a batch, or of one row."""
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
        """What is wrong with each image, as text; nothing is the empty text, so that all blocks have one type."""
        import numpy as np

        if errors and self._errors == "raise":
            raise errors[min(errors)]
        return np.array([f"{errors[i]} [{errors[i].code}]" if i in errors else "" for i in range(count)], dtype=object)


class Embed(_Mapped):
    """Embeds batches: gives the columns ``embedding``, float32 ``[N, features]``, and ``error``.

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
        """Takes what opens a classifier.

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
    """Classifies batches: gives the columns ``label``, ``score``, ``index`` and ``error``.

    With ``top_k`` over 1 they are ``labels``, ``scores`` and ``indices``, ``[N, top_k]``. For an image that cannot be read the label is
    empty, the score NaN and the index -1.
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
        """Takes what opens a classifier.

        Args:
            model: As `Classifier` takes it.
            top_k: How many classes to give for each image.
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
    """A column of lists: an array of texts with two axes is nothing that Arrow has."""
    import numpy as np

    column = np.empty(len(rows), dtype=object)
    for i, row in enumerate(rows):
        column[i] = row
    return column


def _is_single(images: Any) -> bool:
    """Whether a column of a batch is that of one row."""
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
