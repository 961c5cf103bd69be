"""Parse, format and compare the values of mask pixels, which are grey values or colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Value = int | tuple[int, int, int]
"""A grey value, or a colour (red, green, blue) that is not grey."""

NEAR = 16
"""Maximum difference of two values that may mean the same. For 16-bit files, it is multiplied by 257."""


def grey_or_colour(colour: Sequence[int]) -> Value:
    """Return the grey value of a colour if red, green and blue are equal, else the colour."""
    red, green, blue = (int(part) for part in colour)
    return red if red == green == blue else (red, green, blue)


def parse_value(text: str) -> Value:
    """Parse a value such as "100" or "#ff0000"."""
    return grey_or_colour(bytes.fromhex(text[1:])) if text.startswith("#") else int(text)


def describe_value(value: Value) -> str:
    """Return a value as text that `parse_value` can read."""
    return str(value) if isinstance(value, int) else "#{:02x}{:02x}{:02x}".format(*value)


def distance(first: Value, second: Value) -> int:
    """Return the largest difference between two values in red, green or blue."""
    if isinstance(first, int) and isinstance(second, int):
        return abs(first - second)
    return int(np.abs(np.subtract(np.broadcast_to(first, 3), np.broadcast_to(second, 3))).max())
