"""Exceptions: one class for each part of the library, with the library's stable codes."""

from __future__ import annotations

from typing import Any


class Error(Exception):
    """Something that residua cannot do.

    Attributes:
        code: A name that is stable across releases, for example ``image.truncated``. The text is not.
        index: The place of the image among the inputs, if the error concerns one of several.
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
    """The model could not be had from the hub or from its cache (``hub.*``)."""


class ConfigError(Error, ValueError):
    """A value in an argument, a configuration file or an environment variable is out of range (``config.*``)."""


class ImageError(Error):
    """An image cannot be read (``image.*``)."""


class DeviceError(Error):
    """The device cannot be opened, or fails (``gpu.*``)."""


class ShapeError(Error, ValueError):
    """The network does not admit the input (``graph.*``)."""


class FileError(Error, OSError):
    """A file cannot be read or written (``io``)."""


class InputError(Error, ValueError):
    """The input is an image, but cannot be used as it is (``input.shape``, ``input.value``)."""


class InputTypeError(Error, TypeError):
    """The input is not an image (``input.type``)."""


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
