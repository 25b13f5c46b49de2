"""What is taken as an image gives the right answer or a clear exception, never a wrong answer."""

from __future__ import annotations

import array
import ctypes
import io
import mmap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import residua
from PIL import Image
from residua import Classifier, InputError, InputTypeError


@pytest.fixture(scope="module")
def model() -> Iterator[Classifier]:
    """One that gives an image the same bits in batches of all sizes."""
    with Classifier(deterministic=True) as model:
        yield model


@pytest.fixture(scope="module")
def pixels(ship: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.array(Image.open(ship).convert("RGB"))[::6, ::8].copy()


@pytest.fixture(scope="module")
def expected(model: Classifier, pixels: np.ndarray[Any, Any]) -> Any:
    return model.classify(pixels)


def test_arrays_of_all_strides_are_read_right(model: Classifier, pixels: Any, expected: Any) -> None:
    rows, columns, _ = pixels.shape
    wide = np.zeros((rows * 2, columns * 3, 5), np.uint8)
    wide[::2, ::3, 1:4] = pixels
    backwards = pixels[::-1, ::-1, ::-1].copy()
    for same in [
        np.asfortranarray(pixels),
        wide[::2, ::3, 1:4],
        backwards[::-1, ::-1, ::-1],
        np.ascontiguousarray(pixels.transpose(1, 0, 2)).transpose(1, 0, 2),
        np.ascontiguousarray(pixels.transpose(2, 0, 1)).transpose(1, 2, 0),
        np.lib.stride_tricks.as_strided(pixels, pixels.shape, pixels.strides, writeable=False),
        pixels.view(np.recarray),
        np.frombuffer(pixels.tobytes(), np.uint8).reshape(pixels.shape),
        pixels.astype(">u1"),
    ]:
        assert model.classify(same) == expected
    zero_stride = np.broadcast_to(pixels[:1], pixels.shape)
    assert model.classify(zero_stride) == model.classify(zero_stride.copy())


def test_channels_are_told_apart_by_the_last_axis(model: Classifier, pixels: Any, expected: Any) -> None:
    alpha = np.full((*pixels.shape[:2], 1), 77, np.uint8)
    assert model.classify(np.concatenate([pixels, alpha], -1)) == expected
    grey = pixels[..., 0]
    as_colours = model.classify(np.stack([grey] * 3, -1))
    assert model.classify(grey) == as_colours
    assert model.classify(grey[..., None]) == as_colours
    assert model.classify(np.concatenate([grey[..., None], alpha], -1)) == as_colours


def test_batches_and_lists_of_mixed_sizes(model: Classifier, pixels: Any, expected: Any, ship: Path) -> None:
    batch = np.stack([pixels, pixels[::-1]])
    assert len(model.classify(batch)) == 2
    small = pixels[:7, :9]
    results = model.classify([pixels, small, str(ship), Image.fromarray(small), batch[0]])
    assert [len(result) for result in results] == [5] * 5  # type: ignore[arg-type]
    assert results[1] == results[3] and results[0] == results[4]
    assert model.classify(image for image in [pixels]) == model.classify([pixels])
    assert model.classify(iter([])) == []


class ByInterface:
    def __init__(self, pixels: Any) -> None:
        self.pixels = pixels
        self.__array_interface__ = pixels.__array_interface__


class ByDLPack:
    def __init__(self, pixels: Any, device: int = 1) -> None:
        self.pixels, self.device = pixels, device

    def __dlpack__(self, **how: Any) -> Any:
        return self.pixels.__dlpack__(**how)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0


def test_protocols_of_other_libraries(model: Classifier, pixels: Any, expected: Any) -> None:
    buffer = (ctypes.c_ubyte * 3 * pixels.shape[1] * pixels.shape[0]).from_buffer_copy(pixels.tobytes())
    for same in [ByInterface(pixels), ByDLPack(pixels), memoryview(pixels), buffer]:
        assert model.classify(same) == expected
        assert model.classify([same]) == [expected]
    cuda = ByDLPack(pixels, device=2)
    with pytest.raises(InputError, match="memory of another device"):
        model.classify(cuda)


@pytest.mark.torch
def test_tensors_of_torch(model: Classifier, pixels: Any, expected: Any) -> None:
    import torch

    tensor = torch.from_numpy(pixels)
    assert model.classify(tensor) == expected
    assert model.classify([tensor.permute(2, 0, 1).contiguous().permute(1, 2, 0)]) == [expected]
    with pytest.raises(InputError, match="channels come last"):
        model.classify(tensor.permute(2, 0, 1))
    x = model.preprocess(pixels, normalize=True)
    for given in [
        torch.from_numpy(x)[None],
        torch.from_numpy(x)[None].requires_grad_(),
        torch.from_numpy(x)[None].double(),
    ]:
        np.testing.assert_array_equal(model.logits(given), model.logits(x[None]))
    assert model.logits(torch.zeros(1, 3, 32, 32, dtype=torch.bfloat16)).shape == (1, 10)
    with pytest.raises(InputTypeError):
        model.logits(torch.zeros(1, 3, 32, 32, dtype=torch.int32))


def test_bytes_in_all_their_forms(model: Classifier, ship: Path, tmp_path: Path) -> None:
    content = ship.read_bytes()
    expected = model.classify(content)
    with (
        ship.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        ship.open("rb") as again,
    ):
        forms: list[Any] = [
            bytearray(content),
            memoryview(content),
            array.array("B", content),
            np.frombuffer(content, np.uint8),
            io.BytesIO(content),
            mapped,
            again,
            ship,
            str(ship),
        ]
        for same in forms:
            assert model.classify(same) == expected
    strange = tmp_path / "ä \udcff\n.png"
    strange.write_bytes(content)
    assert model.classify(strange) == expected
    assert model.classify([str(strange)]) == [expected]


@pytest.mark.parametrize(
    ("image", "kind", "code"),
    [
        (np.zeros((8, 8, 3), np.float32), InputTypeError, "input.type"),
        (np.zeros((8, 8, 3), np.float64), InputTypeError, "input.type"),
        (np.zeros((8, 8, 3), np.int64), InputTypeError, "input.type"),
        (np.zeros((8, 8, 3), ">u2"), InputTypeError, "input.type"),
        (np.zeros((8, 8, 3), bool), InputTypeError, "input.type"),
        (np.zeros((8, 8, 3), np.complex64), InputTypeError, "input.type"),
        (np.zeros((8, 8, 3), object), InputTypeError, "input.type"),
        (np.zeros((3, 8, 8), np.uint8), InputError, "input.shape"),
        (np.zeros((8, 8, 5), np.uint8), InputError, "input.shape"),
        (np.zeros((2, 2, 8, 8, 3), np.uint8), InputError, "input.shape"),
        (np.uint8(3), InputError, "input.shape"),
        (np.zeros((0, 8, 3), np.uint8), residua.ImageError, "image.decode"),
        (np.zeros((8, 0, 3), np.uint8), residua.ImageError, "image.decode"),
        (np.ma.masked_array(np.zeros((8, 8, 3), np.uint8)), InputError, "input.value"),
        (b"", residua.ImageError, "image.decode"),
        (b"no image", residua.ImageError, "image.decode"),
        (np.zeros(9, np.uint8), residua.ImageError, "image.decode"),
        (Image.new("F", (8, 8)), InputError, "input.value"),
        (Image.new("I", (8, 8)), InputError, "input.value"),
        (Image.new("RGB", (0, 8)), residua.ImageError, "image.decode"),
        (io.StringIO("text"), InputTypeError, "input.type"),
        (3, InputTypeError, "input.type"),
        (None, InputTypeError, "input.type"),
        ({"path": "a.jpg"}, InputTypeError, "input.type"),
        ("https://example.org/a.jpg", InputError, "input.value"),
        ("missing.jpg", residua.FileError, "io"),
        ("", residua.FileError, "io"),
        (".", residua.FileError, "io"),
    ],
    ids=lambda value: " ".join(repr(value).split())[:60],
)
def test_what_is_no_image_is_told_in_its_place_or_raised(
    model: Classifier, pixels: Any, expected: Any, image: Any, kind: type[Exception], code: str
) -> None:
    with pytest.raises(kind) as raised:
        model.classify(image)
    assert getattr(raised.value, "code", None) == code
    if getattr(image, "ndim", 0) == 5:
        return
    results = model.classify([pixels, image, pixels])
    assert results[0] == results[2] == expected
    error = results[1]
    assert isinstance(error, residua.Error) and isinstance(error, kind)
    assert (error.code, error.index) == (code, 1)
    with pytest.raises(kind) as again:
        model.classify([pixels, image], errors="raise")
    assert getattr(again.value, "index", None) == 1
    with pytest.raises(kind):
        model.embed([pixels, image])
    rows = model.embed([pixels, image], errors="nan")
    assert np.isfinite(rows[0]).all() and np.isnan(rows[1]).all()


def test_modes_of_pillow_that_no_file_has(model: Classifier, pixels: Any, expected: Any) -> None:
    image = Image.fromarray(pixels)
    assert model.classify(image) == expected
    opaque = image.convert("RGBA")
    for mode in ["RGBA", "RGBX"]:
        assert model.classify(image.convert(mode)) == expected
    assert model.classify(opaque.convert("RGBa")) == expected
    assert model.classify(image.convert("LA").convert("La")) == model.classify(image.convert("L"))
    for mode in ["HSV", "YCbCr", "CMYK", "PA"]:
        other = image.convert(mode)
        assert model.classify(other) == model.classify(other.convert("RGB"))


def test_closed_and_broken_files(model: Classifier, ship: Path) -> None:
    closed = ship.open("rb")
    closed.close()
    image = Image.open(ship)
    image.load()
    image.close()
    cut = Image.open(io.BytesIO(ship.read_bytes()[:5000]))

    class Failing(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise OSError("the disk is on fire")

    results = model.classify([closed, image, cut, Failing(), ship])
    codes = [result.code if isinstance(result, residua.Error) else "" for result in results]
    assert codes == ["input.value", "input.value", "image.truncated", "input.value", ""]
    assert "on fire" in str(results[3])
    assert isinstance(results[3], Exception) and isinstance(results[3].__cause__, OSError)


def test_an_iterable_that_fails_ends_the_call_with_its_exception(model: Classifier, pixels: Any) -> None:
    def images() -> Any:
        yield pixels
        raise LookupError("no more photos")

    with pytest.raises(LookupError, match="no more photos"):
        model.classify(images())
    with pytest.raises(LookupError):
        model.embed(images())
    assert model.classify([pixels])


def test_none_and_one(model: Classifier, pixels: Any, expected: Any) -> None:
    features = model.model.features
    assert model.classify([]) == []
    assert model.embed([]).shape == (0, features)
    assert model.embed(np.zeros((0, 8, 8, 3), np.uint8)).shape == (0, features)
    assert model.logits(np.zeros((0, 3, 32, 32), np.float32)).shape == (0, 10)
    assert model.embed(pixels).shape == (features,)
    assert model.embed([pixels]).shape == (1, features)
    np.testing.assert_array_equal(model.embed([pixels])[0], model.embed(pixels))
    vector = model.embed(pixels, normalize=True)
    assert abs(float(np.linalg.norm(vector.astype(np.float64))) - 1) < 1e-6
    assert vector.dtype == np.float32


def test_logits_are_the_scores_and_take_floats_alone(model: Classifier, pixels: Any, expected: Any) -> None:
    x = model.preprocess(pixels, normalize=True)[None]
    logits = model.logits(x)
    assert logits.dtype == np.float32 and logits.shape == (1, 10)
    powers = np.exp(logits[0].astype(np.float64) - logits.max())
    scores = {each["index"]: each["score"] for each in model.classify(pixels, top_k=None)}
    np.testing.assert_allclose(powers / powers.sum(), [scores[i] for i in range(10)], rtol=1e-5)
    for same in [x.astype(">f4"), x.astype(np.float64), np.asfortranarray(x), x[:, ::-1][:, ::-1], [x[0]]]:
        np.testing.assert_array_equal(model.logits(same), logits)
    many = np.repeat(x, 37, 0)
    np.testing.assert_allclose(model.logits(many), np.repeat(logits, 37, 0), rtol=1e-4, atol=1e-4)
    for bad in [x.astype(np.int32), (255 * x).astype(np.uint8), x.astype(np.complex64), "x", None, 3]:
        with pytest.raises(InputTypeError):
            model.logits(bad)
    for bad in [x[0], x[:, :2], x[..., None], x.transpose(0, 2, 3, 1)]:
        with pytest.raises(InputError):
            model.logits(bad)
    with pytest.raises(residua.Error):
        model.logits(np.zeros((1, 3, 0, 5), np.float32))
    for value in [np.nan, np.inf, -np.inf]:
        bad = many.copy()
        bad[20, 1, 2, 3] = value
        with pytest.raises(residua.ConfigError, match=r"\[20, 1, 2, 3\]"):
            model.logits(bad)
    with pytest.raises(residua.ConfigError):
        model.logits(x.astype(np.float64) * 1e300)


@pytest.mark.parametrize(
    "arguments",
    [
        {"top_k": 0},
        {"top_k": -1},
        {"top_k": 1.5},
        {"top_k": True},
        {"top_k": "5"},
        {"errors": "ignore"},
    ],
    ids=repr,
)
def test_arguments_out_of_their_range(model: Classifier, pixels: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(residua.ConfigError) as raised:
        model.classify(pixels, **arguments)
    assert isinstance(raised.value, ValueError) and raised.value.code == "config.value"


def test_how_many_classes(model: Classifier, pixels: Any) -> None:
    assert len(model.classify(pixels, top_k=3)) == 3
    assert len(model.classify(pixels, top_k=np.int64(2))) == 2
    assert len(model.classify(pixels, top_k=99)) == len(model.classify(pixels, top_k=None)) == 10
    best = model.classify(pixels, min_score=0.5)
    assert all(each["score"] >= 0.5 for each in best) and len(best) <= 1
    assert [each["label"] for each in model.classify(pixels, top_k=1)] == [
        model.labels[model.classify(pixels)[0]["index"]]
    ]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"model": "no/such-model", "offline": True}, "hub.not_cached"),
        ({"model": "no such model"}, "model.not_found"),
        ({"model": __file__}, "model.format"),
        ({"device": "no such device"}, "gpu.unknown_device"),
        ({"device": 99}, "gpu.unknown_device"),
        ({"precision": "f64"}, "config.value"),
        ({"batch": 0}, "config.value"),
        ({"batch": "many"}, "config.value"),
        ({"mean": (1, 2)}, "config.value"),
        ({"std": (0, 1, 1)}, "config.value"),
        ({"filter": "nearest"}, "config.value"),
        ({"labels": "missing.txt"}, "io"),
        ({"structure": "stem-pool=maybe"}, "config.value"),
        ({"synthetic": "resnet19"}, "model.unknown_architecture"),
    ],
    ids=repr,
)
def test_what_cannot_be_opened_is_told(arguments: dict[str, Any], code: str) -> None:
    with pytest.raises(residua.Error) as raised:
        Classifier(**arguments)
    assert raised.value.code == code, raised.value


def test_settings_reach_the_library(pixels: Any, tmp_path: Path) -> None:
    names = [f"class {i}" for i in range(10)]
    file = tmp_path / "names.txt"
    file.write_text("\n".join(names))
    with Classifier(labels=names, crop=40, mean=[0.5] * 3, std=[0.25] * 3, filter="bicubic", batch=3) as model:
        assert model.labels == names
        assert model.model.input_size == (40, 40)
        assert (model.model.mean, model.model.std, model.model.filter) == ([0.5] * 3, [0.25] * 3, "bicubic")
        assert len(model.classify([pixels] * 7)) == 7
    with Classifier(labels=file, device="cpu") as model:
        assert model.labels == names
        assert model.device.index is None and model.precision == "f32"


def test_a_closed_classifier_says_so(pixels: Any) -> None:
    model = Classifier(device="cpu")
    with model as same:
        assert same is model
        assert "on" in repr(model)
    calls: list[Callable[[], object]] = [
        lambda: model.classify(pixels),
        lambda: model.embed([]),
        lambda: model.model,
        lambda: model.notes,
    ]
    for call in calls:
        with pytest.raises(residua.ClosedError) as raised:
            call()
        assert raised.value.code == "closed"
    model.close()
    assert "closed" in repr(model)


def test_layers_agree_with_the_reference(model: Classifier, gpu: Classifier) -> None:
    with Classifier(device="cpu") as cpu:
        for verification in [model.verify(), gpu.verify(), cpu.verify()]:
            assert verification.ok and len(verification.layers) > 5
            assert all(layer.error <= layer.bound for layer in verification.layers)
    assert "conv" in gpu.describe()
