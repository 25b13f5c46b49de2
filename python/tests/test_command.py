"""The package gives exactly the results of the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import residua
from conftest import ROOT, command, run, same
from PIL import Image, UnidentifiedImageError
from residua import Classifier


def records(photos: list[Path]) -> list[dict[str, Any]]:
    return command("classify", "-q", "--format", "jsonl", *photos, status=1 if len(photos) > 1 else 0)


def agree(results: list[Any], recorded: list[dict[str, Any]]) -> int:
    """How many images are classified; results and records agree on each."""
    assert len(results) == len(recorded)
    good = 0
    for result, record in zip(results, recorded, strict=True):
        if isinstance(result, residua.Error):
            assert result.code == record["error"]["code"], record
            assert str(result).endswith(record["error"]["message"])
        else:
            assert same(result, record), record["path"]
            good += 1
    return good


def test_photos_of_all_kinds_have_the_scores_of_the_command(model: Classifier, photos: list[Path]) -> None:
    text = ROOT / "README.md"
    missing = ROOT / "missing.jpg"
    given = [*photos, text, missing]
    recorded = records(given)
    opened = [path.open("rb") for path in photos]
    kinds: dict[str, list[Any]] = {
        "paths": [str(path) for path in given],
        "path objects": list(given),
        "bytes": [path.read_bytes() for path in photos] + [text.read_bytes(), str(missing)],
        "files": [*opened, io.BytesIO(text.read_bytes()), missing],
        "arrays of bytes": [np.fromfile(path, np.uint8) for path in photos] + [bytearray(text.read_bytes()), missing],
    }
    for kind, images in kinds.items():
        results = model.classify(images)
        assert len(results) == len(given), kind
        for result, record in zip(results, recorded, strict=True):
            if isinstance(result, residua.Error):
                assert result.code == record["error"]["code"], (kind, record)
            else:
                assert same(result, record), (kind, record["path"])
    assert agree(model.classify(given), recorded) >= 32
    for file in opened:
        file.close()


def test_images_of_pillow_have_the_scores_of_their_files(model: Classifier, photos: list[Path]) -> None:
    modes = set()
    images: list[Any] = []
    given = []
    for path in photos:
        try:
            with Image.open(path) as image:
                image.load()
                modes.add(image.mode)
        except (OSError, UnidentifiedImageError):
            continue
        images.append(Image.open(path))
        given.append(path)
    assert {"L", "LA", "RGB", "RGBA", "P", "CMYK", "1"} <= modes
    recorded = command("classify", "-q", "--format", "jsonl", *given)
    assert agree(model.classify(images), recorded) >= 32
    for image in images:
        image.close()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "tiff"])
def test_photos_are_turned_upright_as_files_and_as_images_of_pillow(
    model: Classifier, ship: Path, tmp_path: Path, orientation: int, format: str
) -> None:
    image = Image.open(ship).convert("RGB").resize((40, 30))
    exif = Image.Exif()
    exif[0x112] = orientation
    path = tmp_path / f"turned.{format}"
    image.save(path, exif=exif, quality=100)
    recorded = command("classify", "-q", "--format", "jsonl", path)
    assert agree(
        model.classify(
            [
                path,
            ]
        ),
        recorded,
    )
    assert agree(model.classify([Image.open(path)]), recorded)
    assert agree([model.classify(path.read_bytes())], recorded)
    with Classifier(exif=False) as stored:
        recorded = command("classify", "-q", "--no-exif", "--format", "jsonl", path)
        assert agree(stored.classify([path]), recorded)
        assert agree(stored.classify([Image.open(path)]), recorded)


@pytest.mark.parametrize("mode", ["grey", "colours"])
def test_sixteen_bits_count_by_their_upper_eight(model: Classifier, tmp_path: Path, mode: str) -> None:
    rows, columns = np.mgrid[:48, :64]
    path = tmp_path / "deep.png"
    if mode == "grey":
        deep = (rows * 1031 + columns * 517).astype(np.uint16)
        Image.fromarray(deep).save(path)
        with Image.open(path) as image:
            assert image.mode.startswith("I;16")
    else:
        deep = np.stack([rows * 1300, columns * 1000, rows * columns * 21], -1).astype(np.uint16)
        path.write_bytes(png_of_16_bits(deep))
    recorded = command("classify", "-q", "--format", "jsonl", path)
    assert agree(model.classify([path]), recorded)
    assert agree(model.classify([Image.open(path)]), recorded)
    assert agree(model.classify([(deep >> 8).astype(np.uint8)]), recorded)


def png_of_16_bits(deep: np.ndarray[Any, Any]) -> bytes:
    """A PNG of colours with 16 bits, which Pillow does not write."""
    import struct
    import zlib

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width, _ = deep.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_vectors_are_those_of_the_command(model: Classifier, photos: list[Path], tmp_path: Path) -> None:
    target = tmp_path / "vectors.npy"
    given = [*photos, ROOT / "README.md"]
    run("embed", "-q", "--format", "npy", "-o", target, *given, status=1)
    expected = np.load(target)
    got = model.embed(given, errors="nan")
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, expected)
    assert np.isnan(got[-1]).all()


def test_a_folder_is_walked_as_the_command_walks_it(model: Classifier, tmp_path: Path, ship: Path) -> None:
    for name in ["b/2.png", "a.png", "b/1.png", ".hidden.png", "c/notes.txt", "Thumbs.db", "b/left-out.png"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(ship.read_bytes())
    (tmp_path / "z.png").write_bytes(b"no image")
    recorded = command("classify", "-q", "-r", "--exclude", "left-*", "--format", "jsonl", tmp_path, status=1)
    results = list(model.classify_folder(tmp_path, exclude=["left-*"]))
    assert [path for path, _ in results] == [record["path"] for record in recorded]
    assert agree([result for _, result in results], recorded) == 3
    vectors = list(model.embed_folder(tmp_path, exclude=["left-*"], normalize=True))
    assert [path for path, _ in vectors] == [record["path"] for record in recorded]
    assert all(isinstance(v, residua.Error) or abs(float(np.linalg.norm(v)) - 1) < 1e-6 for _, v in vectors)
    hidden = [path for path, _ in model.classify_folder(tmp_path, hidden=True)]
    assert str(tmp_path / ".hidden.png") in hidden


def test_crops_are_those_of_the_command(model: Classifier, photos: list[Path], tmp_path: Path) -> None:
    target = tmp_path / "crop.png"
    for path in photos[:4]:
        run("preprocess", "-q", path, "-o", target)
        crop = model.preprocess(path)
        np.testing.assert_array_equal(crop, np.asarray(Image.open(target)))
        normalised = model.preprocess(path, normalize=True)
        mean, std = (np.array(x, np.float32) for x in (model.model.mean, model.model.std))
        np.testing.assert_allclose(normalised.transpose(1, 2, 0), (crop / np.float32(255) - mean) / std, rtol=1e-6)


def test_maps_are_those_of_the_command(model: Classifier, ship: Path, tmp_path: Path) -> None:
    picture, numbers = tmp_path / "heat.png", tmp_path / "map.json"
    run("explain", "-q", ship, "-o", picture, "--json", numbers, "--class", "truck")
    recorded = json.loads(numbers.read_text())
    explanation = model.explain(ship, "truck")
    assert (explanation.label, explanation.index) == (recorded["label"], recorded["index"])
    np.testing.assert_array_equal(explanation.map, np.array(recorded["map"], np.float32))
    assert explanation.region == recorded["region"]
    assert abs(explanation.map.mean(dtype=np.float64) + explanation.bias - explanation.logit) < 1e-5
    assert explanation.at(*explanation.peak) == explanation.map.max()
    overlay = explanation.overlay(ship)
    height, width, _ = overlay.shape
    assert explanation.image_size == (width, height)
    np.testing.assert_array_equal(overlay, np.asarray(Image.open(picture))[:height, :width])
    assert model.explain(ship).index == recorded["index"] or model.explain(ship).score >= explanation.score
    assert model.explain(ship, explanation.index).label == "truck"


def test_devices_are_those_of_the_command(model: Classifier) -> None:
    listed = residua.devices()
    assert [device.index for device in listed] == list(range(len(listed)))
    assert model.device in listed or model.device.index is None
