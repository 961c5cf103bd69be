"""Parse, format and compare the values of mask pixels, which are grey values or colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Value = int | tuple[int, int, int]
"""A grey value, or a colour (red, green, blue) that is not grey."""

Pixels = Image.Image | NDArray[np.int64]
"""The pixels of a mask file: an image of mode L or RGB, or an array [H,W] of grey values above 255."""

NEAR = 16
"""Maximum difference of two values that may mean the same. For 16-bit files, it is multiplied by 257."""

_WEIGHTS = np.array([1 << 16, 1 << 8, 1], np.uint32)


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


def map_values(pixels: Pixels, numbers: Mapping[Value, int]) -> NDArray[np.uint8]:
    """Replace each value of a mask by a number from 0 to 255.

    Args:
        pixels: The pixels of the mask.
        numbers: Value → number, for all values of the mask.

    Returns:
        The numbers [H,W].
    """
    if isinstance(pixels, np.ndarray):
        values = np.array(sorted(value for value in numbers if isinstance(value, int)))
        return np.array([numbers[value] for value in values.tolist()], np.uint8)[
            np.searchsorted(values, pixels)
        ]
    array = np.asarray(pixels)
    if pixels.mode != "L":
        array = array[..., 0] * _WEIGHTS[0] + array[..., 1] * _WEIGHTS[1] + array[..., 2]
    weight = 1 if pixels.mode == "L" else int(_WEIGHTS.sum())
    table = np.zeros(256 if pixels.mode == "L" else 1 << 24, np.uint8)
    for value, number in numbers.items():
        table[value * weight if isinstance(value, int) else int(np.dot(value, _WEIGHTS))] = number
    return np.asarray(table[array])
