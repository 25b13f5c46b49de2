"""Turns every kind of image into one of three: a path, the bytes of a file, or an array of pixels.

Imports only NumPy, for arrays, and modules that the image itself has already imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sized
from typing import TYPE_CHECKING, Any

from residua._errors import Error, ImageError, InputError, InputTypeError

if TYPE_CHECKING:
    import numpy as np

# Devices in ``__dlpack_device__`` whose memory the CPU can read: the CPU, memory pinned for a GPU, and memory shared with one.
_DLPACK_CPU = (1, 3, 11, 13)

_GIVE = (
    "give a path, the bytes of a file, a file object, a PIL image, or an array of uint8 [H, W], [H, W, 3] or [H, W, 4]"
)


def split(images: Any) -> tuple[Iterable[Any], int | None, bool]:
    """Distinguishes one image from several.

    Returns:
        The images, their number if known, and whether a single one was given.

    Raises:
        InputTypeError: If it is neither an image nor several.
        InputError: If it is an array that is neither.
    """
    if isinstance(images, (str, bytes, bytearray, os.PathLike)) or _is_pillow(images) or hasattr(images, "read"):
        return [images], 1, True
    if isinstance(images, (list, tuple)):
        return images, len(images), False
    if isinstance(images, dict):
        raise InputTypeError(f"a dictionary is neither an image nor several; {_GIVE}, or a list of them", "input.type")
    if _is_array(images):
        return _split_array(images)
    if isinstance(images, Iterable):
        return images, len(images) if isinstance(images, Sized) else None, False
    raise InputTypeError(f"{_name(images)} is neither an image nor several; {_GIVE}, or a list of them", "input.type")


def _split_array(images: Any) -> tuple[Iterable[Any], int | None, bool]:
    array = as_array(images)
    if array.ndim == 1 and array.dtype.kind in "OUT":
        return array.tolist(), len(array), False
    if array.ndim == 4:
        return [check_pixels(image, "an image of an array [N, H, W, C]") for image in array], len(array), False
    return [array], 1, True


def source(image: Any, exif: bool) -> str | bytes | np.ndarray[Any, np.dtype[np.uint8]]:
    """Turns an image into a path, bytes, or a uint8 array in C order ``[H, W]`` or ``[H, W, 1 to 4]``.

    Args:
        image: A single image of any kind.
        exif: Whether to turn a Pillow image upright by its EXIF orientation.

    Raises:
        Error: If that is not possible. Raises no other exception, so that one bad image does not end a call.
    """
    try:
        return _source(image, exif)
    except Error:
        raise
    except Exception as error:
        raise InputError(f"{_name(image)}: {error}", "input.value") from error


def _source(image: Any, exif: bool) -> str | bytes | np.ndarray[Any, np.dtype[np.uint8]]:
    if isinstance(image, os.PathLike):
        return os.fsdecode(image)
    if isinstance(image, (bytes, bytearray)):
        return bytes(image)
    if _is_pillow(image):
        return _from_pillow(image, exif)
    if hasattr(image, "read"):
        return _read(image)
    if _is_array(image):
        array = as_array(image)
        if array.ndim == 1 and array.dtype == "uint8":
            return array.tobytes()
        return check_pixels(array, _name(image))
    raise InputTypeError(f"{_name(image)} is not an image; {_GIVE}", "input.type")


def _read(file: Any) -> bytes:
    content = file.read()
    if isinstance(content, str):
        raise InputTypeError("a file that is open as text; open it with mode 'rb'", "input.type")
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise InputTypeError(f"a file whose read() gives {_name(content)}, not bytes", "input.type")
    return bytes(content)


def _is_array(value: Any) -> bool:
    kinds = ("__array_interface__", "__array__", "__dlpack__", "__cuda_array_interface__")
    return isinstance(value, memoryview) or any(hasattr(value, kind) for kind in kinds) or _has_buffer(value)


def _has_buffer(value: Any) -> bool:
    try:
        memoryview(value).release()
    except TypeError:
        return False
    except BufferError:
        pass
    return True


def as_array(value: Any) -> np.ndarray[Any, Any]:
    """Returns an array that shares the memory of `value`, if possible.

    Raises:
        InputError: If its memory is not the CPU's, or if it cannot be an array.
    """
    import numpy as np

    if isinstance(value, np.ndarray):
        if isinstance(value, np.ma.MaskedArray):
            raise InputError("a masked array: what is masked has no value", "input.value")
        return value
    if hasattr(value, "__dlpack_device__"):
        kind = int(value.__dlpack_device__()[0])
        if kind not in _DLPACK_CPU:
            raise InputError(
                f"{_name(value)} lies in the memory of another device; bring it to the CPU first (.cpu())",
                "input.value",
            )
    elif hasattr(value, "__cuda_array_interface__"):
        raise InputError(
            f"{_name(value)} lies in the memory of another device; bring it to the CPU first", "input.value"
        )
    if type(value).__module__.partition(".")[0] == "torch" and getattr(value, "requires_grad", False):
        value = value.detach()
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array_interface__"):
            return _without_bfloat16(value)
        return np.asarray(value)
    except (BufferError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{_name(value)} cannot be an array: {error}", "input.value") from error


def _without_bfloat16(value: Any) -> np.ndarray[Any, Any]:
    import numpy as np

    # NumPy has no bfloat16; float32 holds each of its values.
    if str(getattr(value, "dtype", "")) == "torch.bfloat16":
        value = value.float()
    return np.from_dlpack(value)


def check_pixels(array: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Checks an array of pixels, and returns it in C order.

    Raises:
        InputTypeError: If its values are not uint8.
        InputError: If its shape is not that of an image.
    """
    import numpy as np

    shape = list(array.shape)
    if array.dtype != np.uint8:
        hint = "give uint8 0..255"
        if array.dtype.kind == "f":
            hint += " (round(255 * x) where 1 is white); what is normalised already goes to logits()"
        raise InputTypeError(f"{name} {shape} of {array.dtype}: {hint}", "input.type")
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 2, 3, 4):
        raise InputError(
            f"{name} {shape}: channels come last, [H, W, C]; x.transpose(1, 2, 0) or x.permute(1, 2, 0) puts them there",
            "input.shape",
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)):
        raise InputError(
            f"{name} {shape} is not an image: give [H, W], [H, W, 3] or [H, W, 4], or a list of them, or [N, H, W, C] alone",
            "input.shape",
        )
    if 0 in array.shape:
        raise ImageError(f"{name} {shape} has no pixels", "image.decode")
    return np.ascontiguousarray(array)


def check_tensor(value: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Checks a normalised input ``[N, 3, H, W]``, and returns it as float32 in C order.

    Raises:
        InputTypeError: If its values are not floats.
        InputError: If its shape is another.
    """
    import numpy as np

    if isinstance(value, (list, tuple)):
        images = [as_array(image) if _is_array(image) else np.asarray(image) for image in value]
        if len({image.shape for image in images}) > 1:
            raise InputError(f"{_name(value)} of images of several shapes; give those of one shape", "input.shape")
        value = np.stack(images) if images else np.empty((0, 3, 1, 1), np.float32)
    elif not _is_array(value):
        raise InputTypeError(f"{_name(value)} is not an array; give float32 [N, 3, H, W]", "input.type")
    array = as_array(value)
    if array.dtype.kind != "f":
        raise InputTypeError(
            f"{_name(value)} of {array.dtype}: give float32 [N, 3, H, W], normalised as the model wants it (preprocess(normalize=True))",
            "input.type",
        )
    if array.ndim != 4 or array.shape[1] != 3 or 0 in array.shape[2:]:
        raise InputError(f"{_name(value)} {list(array.shape)}: give [N, 3, H, W]", "input.shape")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def _is_pillow(value: Any) -> bool:
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(value, pillow.Image)


def _from_pillow(image: Any, exif: bool) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Turns a Pillow image into the pixels that the command line reads from its file."""
    import numpy as np
    from PIL import ImageOps

    try:
        image.load()
    except OSError as error:
        code = "image.truncated" if "truncated" in str(error) else "image.decode"
        raise ImageError(f"{_name(image)}: {error}", code) from error
    if exif:
        image = ImageOps.exif_transpose(image)
    mode = image.mode
    if 0 in image.size:
        raise ImageError(f"{_name(image)} of {image.size[0]}x{image.size[1]} has no pixels", "image.decode")
    if mode.startswith("I;16"):
        # Keep the upper eight of 16 bits.
        return np.ascontiguousarray((np.asarray(image) >> 8).astype(np.uint8))
    if mode in ("I", "F"):
        raise InputError(
            f"an image of Pillow in mode {mode} has no largest value; convert its values to 0..255 and to mode L first",
            "input.value",
        )
    if mode in ("RGBa", "La"):
        # These colours are multiplied by alpha.
        image = image.convert(mode.upper())
    try:
        rgb = image if image.mode == "RGB" else image.convert("RGB")
    except ValueError as error:
        raise InputError(f"an image of Pillow in mode {mode}: {error}", "input.value") from error
    return np.ascontiguousarray(np.asarray(rgb))


def _name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
