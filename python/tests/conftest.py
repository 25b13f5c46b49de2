"""What the tests share: the command line to compare with, photos of many kinds, an open model."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import residua
from residua import Classifier

ROOT = Path(__file__).resolve().parents[2]


def program() -> str:
    """The command line: that of the dev profile, or what ``RESIDUA`` names."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return os.environ.get("RESIDUA", str(target / "debug" / "residua"))


def run(*arguments: str | os.PathLike[str], status: int = 0) -> str:
    """Runs the command line, and gives what it prints."""
    done = subprocess.run([program(), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout


def command(*arguments: str | os.PathLike[str], status: int = 0) -> list[dict[str, Any]]:
    """Runs the command line, and gives its records."""
    return [json.loads(line) for line in run(*arguments, status=status).splitlines()]


def mixed_photos() -> list[Path]:
    """Photos of all formats, modes and sizes that the library's tests have, and all of them can be read."""
    golden = ROOT / "tests" / "golden"
    # Beside each lies Pillow's version of it, with an additional ending.
    found = [
        path
        for name in ("formats", "pixels")
        for path in sorted((golden / name).iterdir())
        if path.name.count(".") == 1
    ]
    return [*found, ROOT / "tests" / "images" / "ship.png"]


@pytest.fixture(scope="session")
def photos() -> list[Path]:
    found = mixed_photos()
    assert len(found) >= 32
    return found


@pytest.fixture(scope="session")
def ship() -> Path:
    return ROOT / "tests" / "images" / "ship.png"


@pytest.fixture(scope="session")
def model() -> Iterator[Classifier]:
    with Classifier() as model:
        yield model


@pytest.fixture(scope="session")
def gpu() -> Iterator[Classifier]:
    """A classifier on an adapter, even if `auto` prefers the CPU."""
    adapters = [device for device in residua.devices() if device.backend in ("vulkan", "metal", "dx12")]
    assert adapters, "the tests need an adapter; Mesa's software Vulkan will do"
    with Classifier(device=adapters[0].index) as model:
        yield model


def same(classes: Sequence[Any], record: dict[str, Any]) -> bool:
    """Whether classes and scores equal those of a record of the command line exactly."""
    import numpy as np

    got = [(each["label"], each["index"], np.float32(each["score"])) for each in classes]
    return got == [(each["label"], each["index"], np.float32(each["score"])) for each in record["predictions"]]
