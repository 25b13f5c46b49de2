"""Checks the arguments of calls."""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from typing import Any

from residua._errors import ConfigError


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raises an error unless ``value`` is allowed."""
    if value not in allowed:
        raise ConfigError(f"argument: {name} = {value!r}: {' or '.join(map(repr, allowed))}", "config.value")


def whole(name: str, value: Any, least: int, most: int) -> int:
    """``value`` as a whole number."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or not least <= number <= most:
        raise ConfigError(f"argument: {name} = {value!r}: a whole number from {least} to {most}", "config.value")
    return number


def triple(name: str, values: Sequence[float] | None) -> tuple[float, float, float] | None:
    """Three numbers, for red, green and blue."""
    if values is None:
        return None
    red, *others = (float(value) for value in values)
    if len(others) != 2:
        raise ConfigError(f"argument: {name} = {values!r}: three numbers, for red, green and blue", "config.value")
    return red, others[0], others[1]


def labels_of(labels: str | os.PathLike[str] | Sequence[str] | None) -> str | list[str] | None:
    """Labels, or the path of a file of labels, as the engine takes them."""
    if labels is None:
        return None
    return os.path.abspath(labels) if isinstance(labels, (str, os.PathLike)) else [str(label) for label in labels]
