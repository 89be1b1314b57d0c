"""Checks of arguments that several rooms share."""

from __future__ import annotations

from typing import Any

import numpy as np

from aeframe.core.errors import ArgumentError


def is_integer(value: Any) -> bool:
    """Whether ``value`` is an integer, of Python or of NumPy; a boolean is none.

    >>> is_integer(np.int64(3)), is_integer(True)
    (True, False)
    """
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether ``value`` is a real number, of Python or of NumPy; a boolean is none.

    >>> is_number(0.5), is_number("0.5")
    (True, False)
    """
    return is_integer(value) or isinstance(value, float | np.floating)


def count(name: str, value: Any, least: int = 1) -> int:
    """``value`` as an integer of at least ``least``.

    Raises
    ------
    ArgumentError
        When it is no integer, or smaller.

    >>> count("epochs", np.int64(3))
    3
    """
    if not is_integer(value) or value < least:
        raise ArgumentError(
            f"`{name}` is an integer from {least} up",
            expected=f"{name}={max(least, 10)}",
            got=repr(value),
        )
    return int(value)


def acceptance_rate(value: Any) -> None:
    """Refuse a target acceptance rate that is not between 0 and 1.

    Raises
    ------
    ArgumentError
        When it is none.
    """
    if not is_number(value) or not 0 < value < 1:
        raise ArgumentError(
            "the acceptance rate lies between 0 and 1",
            expected="target_acceptance=0.8, or up to 0.99 where draws diverge",
            got=repr(value),
        )
