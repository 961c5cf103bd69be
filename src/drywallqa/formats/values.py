"""Read ids, numbers and names from annotation files, whatever type the exporter used for them."""

from __future__ import annotations

import math
import re
from typing import Any

_UNIT = re.compile(r"\s*(px|pixels?)\s*$", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?[0-9]{1,999}(\.0*)?")


def identifier(value: object) -> int | str | None:
    """Normalise an id, so that 7, 7.0, "7" and " 7 " are equal. Return None if it cannot be an id.

    Large numbers stay exact, and a hash such as "1e5" stays text.
    """
    if isinstance(value, str):
        text = value.strip()
        return int(text.partition(".")[0]) if _WHOLE.fullmatch(text) else text or None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if isinstance(value, int) or value.is_integer() else None


def number_of(value: object) -> float | None:
    """Convert a number, or a text such as "64" or "64 px", to a float. Return None for other values.

    NaN and infinity are kept.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not value[-1:].isdigit():
        value = _UNIT.sub("", value)
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def whole_number(value: object) -> int | None:
    """Convert a whole number such as 3, 3.0, "3" or "3.0" to an integer. Return None for other values."""
    number = number_of(value)
    return int(number) if number is not None and math.isfinite(number) and number.is_integer() else None


def size_of(height: object, width: object) -> tuple[int, int] | None:
    """Return a photo's height and width in px, or None if either is missing or not positive."""
    size = whole_number(height), whole_number(width)
    return (size[0], size[1]) if size[0] and size[1] and min(size[0], size[1]) > 0 else None


def is_true(value: object) -> bool:
    """Whether a flag is set, stored as a truth value, as a number, or as a text such as "true" or "1"."""
    if isinstance(value, str):
        return value.strip().lower() not in {"", "0", "false", "no"}
    return isinstance(value, int | float) and bool(value)


def class_name(value: Any) -> str | None:
    """Return a class name as text, or None if the value is neither text nor a number."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
