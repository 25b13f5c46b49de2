"""Checks the README's promises about speed, with shorter runs of the same measurements."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from conftest import ROOT, program
from PIL import Image

FIGURES = ROOT / "python" / "benches" / "figures.py"


class Figure(NamedTuple):
    """One figure over several runs."""

    median: float
    smallest: float
    largest: float


def figures(*arguments: str | os.PathLike[str]) -> dict[str, Figure]:
    """The figures by their names. Other work on the machine slows single runs, so a test of speed takes the fastest."""
    done = subprocess.run([sys.executable, FIGURES, *arguments], capture_output=True, text=True, check=True)
    found = re.findall(r"^(.+): ([0-9.]+) \(([0-9.]+) to ([0-9.]+)\)", done.stdout, re.MULTILINE)
    return {name: Figure(*map(float, values)) for name, *values in found}


def test_a_thread_that_counts_is_not_held_up() -> None:
    """It shares the cores with the library, as a process would that counts instead, and has the interpreter for itself."""
    counted = figures("counting", "--runs", "7", "--rounds", "2")
    assert counted["thread, thousands/s"].largest >= 0.8 * counted["process, thousands/s"].largest, counted


def test_it_is_imported_at_once(ship: Path) -> None:
    assert figures("start", ship)["import residua"].smallest < 100


def test_a_folder_is_embedded_as_by_the_command(tmp_path: Path) -> None:
    for i, pixels in enumerate(np.random.default_rng(7).integers(0, 256, (50, 32, 32, 3), np.uint8)):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    arguments = ["speed", str(tmp_path), "--command", program(), "--runs", "1"]
    done = subprocess.run([sys.executable, FIGURES, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("50 images, 1 runs, the same bits: True\n")


def test_calls_of_all_kinds_are_soaked(ship: Path) -> None:
    memory = figures("soak", ship, "--minutes", "0.1")
    assert memory["last third"].median < 1.5 * memory["first third"].median
