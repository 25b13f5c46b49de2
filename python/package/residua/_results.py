"""Gives the results of runs: one or several, in a thread or as a stream."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from residua import _inputs, _learn, _residua
from residua._arguments import one_of
from residua._errors import Error, InputError, InputTypeError
from residua._progress import Progress

if TYPE_CHECKING:
    from residua._types import Floats

T = TypeVar("T")


def with_classes(
    images: Any, labels: Iterable[Any] | None, every: bool
) -> tuple[list[str] | None, Iterable[Any], Iterable[Any]]:
    """The paths and the classes of the images of a folder; images with labels as they are, without paths."""
    if labels is not None:
        return None, images, labels
    if not isinstance(images, (str, os.PathLike)):
        raise InputTypeError("without labels, give a folder with a folder of images for each class", "input.type")
    paths, found = _learn.in_folders(os.fspath(images), every)
    return paths, paths, found


def labelled(
    images: Any,
    labels: Iterable[Any],
    start: Callable[[Iterable[Any], int | None], _residua.Run],
    errors: str,
) -> tuple[Floats, list[Any], list[int]]:
    """Runs images whose classes are known.

    Returns:
        The rows of those that could be read, their labels, and their places among all.
    """
    one_of("errors", errors, ("raise", "skip"))
    several, count, single = _inputs.split(images)
    if single:
        raise InputTypeError("one image; give several, with a label for each", "input.type")
    rows, failed = start(several, count).all_vectors(errors == "raise")
    given = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    if len(given) != len(rows):
        raise InputError(f"{len(given)} labels for {len(rows)} images", "input.shape")
    for index, error in failed.items():
        warn("image %d: %s [%s]", index, error, error.code)
    places = [place for place in range(len(rows)) if place not in failed]
    return rows[places], [given[place] for place in places], places


def only(results: list[T], single: bool) -> list[T] | T:
    """The only result if a single image was given; else all."""
    return results[0] if single else results


def vectors(found: tuple[Floats, dict[int, Error]], single: bool) -> Floats:
    """The only vector if a single image was given; else all. Warns of the images that could not be read."""
    vectors, errors = found
    for index, error in errors.items():
        warn("image %d: %s [%s]", index, error, error.code)
    return cast("Floats", vectors[0]) if single else vectors


async def in_thread(run: _residua.Run, work: Callable[[], T]) -> T:
    """Waits for ``work`` in a thread. Stops the run if the caller is cancelled."""
    import asyncio

    try:
        return await asyncio.to_thread(work)
    except asyncio.CancelledError:
        run.stop()
        raise


def stream(run: _residua.Run, errors: str, progress: bool | Callable[[int], object]) -> Iterator[tuple[str, Any]]:
    """The results of a run, with the path of each. Stops the run at the end."""
    one_of("errors", errors, ("return", "raise"))

    def results() -> Iterator[tuple[str, Any]]:
        shown = Progress(progress)
        try:
            while (batch := run.next()) is not None:
                shown.add(len(batch))
                for path, result in batch:
                    if errors == "raise" and isinstance(result, Error):
                        raise result
                    yield path, result
        finally:
            run.close()
            shown.close()

    return results()


def warn(message: str, *values: object) -> None:
    """Logs a warning."""
    # Import it late: it takes longer than everything else here.
    import logging

    logging.getLogger("residua").warning(message, *values)
