"""Shows the progress of a stream of images on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any


class Progress:
    """Counts images, and shows the count."""

    def __init__(self, wanted: bool | Callable[[int], object]) -> None:
        self._tell: Callable[[int], object] | None = None
        self._bar: Any = None
        if callable(wanted):
            self._tell = wanted
        elif wanted:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                self._bar = _Line()
            else:
                self._bar = tqdm(unit=" images", smoothing=0.1)
            self._tell = self._bar.update

    def add(self, images: int) -> None:
        """Counts images that are done."""
        if self._tell is not None:
            self._tell(images)

    def close(self) -> None:
        """Shows the last count."""
        if self._bar is not None:
            self._bar.close()


class _Line:
    """A line on stderr that is rewritten at most five times a second."""

    def __init__(self) -> None:
        self._began = self._shown = time.monotonic()
        self._images = 0

    def update(self, images: int) -> None:
        self._images += images
        now = time.monotonic()
        if now - self._shown >= 0.2:
            self._shown = now
            self._write("")

    def close(self) -> None:
        self._write("\n")

    def _write(self, end: str) -> None:
        seconds = max(time.monotonic() - self._began, 1e-9)
        print(f"\r{self._images} images, {self._images / seconds:.0f}/s", end=end, file=sys.stderr, flush=True)
