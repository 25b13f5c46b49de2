"""Exceptions: one class for each room of the library, each with the library's stable code."""

from __future__ import annotations

from typing import Any


class Error(Exception):
    """Something that residua cannot do.

    Attributes:
        code: A name that stays the same from release to release, for example ``image.truncated``. The text may change.
        index: The place of the image among the inputs, if it concerns one of several.
    """

    def __init__(self, message: str, code: str = "", index: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.index = index

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.code, self.index)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r}, code={self.code!r})"


class ModelError(Error):
    """The model cannot be used (``model.*``)."""


class HubError(Error):
    """The hub, or the cache of what was fetched from it, does not give the model (``hub.*``)."""


class ConfigError(Error, ValueError):
    """An argument, a configuration file or a variable of the environment is out of its range (``config.*``)."""


class ImageError(Error):
    """An image cannot be read (``image.*``)."""


class DeviceError(Error):
    """The device cannot be opened, or fails (``gpu.*``)."""


class ShapeError(Error, ValueError):
    """The network does not admit the input (``graph.*``)."""


class FileError(Error, OSError):
    """A file cannot be read or written (``io``)."""


class InputError(Error, ValueError):
    """What was given is an image, and cannot be used as it is (``input.shape``, ``input.value``)."""


class InputTypeError(Error, TypeError):
    """What was given is not an image (``input.type``)."""


class ClosedError(Error, ValueError):
    """The classifier is closed (``closed``)."""


_CLASSES: dict[str, type[Error]] = {
    "model": ModelError,
    "hub": HubError,
    "config": ConfigError,
    "image": ImageError,
    "gpu": DeviceError,
    "graph": ShapeError,
    "io": FileError,
    "input": InputError,
    "input.type": InputTypeError,
    "closed": ClosedError,
}


def from_code(code: str, message: str, index: int | None = None) -> Error:
    """Makes the exception for a code of the library."""
    kind = _CLASSES.get(code) or _CLASSES.get(code.partition(".")[0], Error)
    return kind(message, code, index)
