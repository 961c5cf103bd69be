"""Parse lengths and points that a user types, such as "50mm", "2 in", "40px" or "12,30 480,30"."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import ScaleError

_MM = {
    "mm": 1.0, "cm": 10.0, "m": 1000.0, "in": 25.4, "inch": 25.4, "inches": 25.4, '"': 25.4,
    "ft": 304.8, "foot": 304.8, "feet": 304.8, "'": 304.8,
}  # fmt: skip
_PIXELS = ("px", "pixel", "pixels")
_LENGTH = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)\s*(.*)", re.IGNORECASE)


@dataclass(frozen=True)
class Length:
    """A positive length.

    Attributes:
        value: The length in `unit`.
        unit: "mm" or "px".
    """

    value: float
    unit: str


def parse_length(text: str, option: str) -> Length:
    """Parse a positive length with its unit.

    Args:
        text: A number and a unit: mm, cm, m, in, ft or px.
        option: The option for error messages, such as "--band".

    Raises:
        ScaleError: The number or the unit is missing or unknown, or the length is not positive.
    """
    match = _LENGTH.fullmatch(text.strip())
    if match is None:
        raise ScaleError(f'{option}: "{text}" is not a length; write a number and a unit, such as 50mm')
    unit = match[2].strip().lower()
    if not unit:
        raise ScaleError(f'{option}: "{text}" has no unit; write it as {text.strip()}mm, in, m or px')
    if unit not in _MM and unit not in _PIXELS:
        raise ScaleError(f'{option}: "{unit}" is not a known unit; use mm, cm, m, in, ft or px')
    value = float(match[1]) * _MM.get(unit, 1.0)
    check_positive(value, option, text)
    return Length(value, "mm" if unit in _MM else "px")


def parse_mm(text: str, option: str) -> float:
    """Parse a positive length that must not be in pixels, and return it in mm.

    Raises:
        ScaleError: As `parse_length`, or the length is in pixels.
    """
    length = parse_length(text, option)
    if length.unit == "px":
        raise ScaleError(f'{option}: "{text}" is in pixels; write a length on the wall, such as 50mm')
    return length.value


def parse_points(text: str, count: int, option: str) -> NDArray[np.float64]:
    """Parse points of a photo, such as "12,30 480,30", as float64 [count,2] (x, y in px).

    Raises:
        ScaleError: The text does not contain exactly `count` pairs of numbers.
    """
    parts = [part for part in re.split(r"[\s,;]+", text.strip()) if part]
    try:
        values = np.array([float(part) for part in parts], np.float64)
    except ValueError:
        values = np.empty(0)
    if len(values) != 2 * count or not np.isfinite(values).all():
        example = " ".join(["120,80", "940,85", "935,610", "115,600"][:count])
        raise ScaleError(
            f'{option}: "{text}" is not {count} points; write x,y in pixels of each, such as "{example}"'
        )
    return values.reshape(count, 2)


def parse_known_length(text: str, count: int, option: str) -> tuple[NDArray[np.float64], float]:
    """Parse points of a photo with their length on the wall, such as "12,30 480,30 = 500mm".

    Returns:
        The points [count,2] in px, and the length in mm.

    Raises:
        ScaleError: The text has another form.
    """
    points, length = _split(text, "120,80 940,85 = 500mm", option)
    return parse_points(points, count, option), parse_mm(length, option)


def parse_known_rectangle(text: str, option: str) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Parse four points of a photo with the rectangle's size, such as "1,1 9,1 9,5 1,5 = 800mm x 400mm".

    Returns:
        The points [4,2] in px, and the width and height in mm.

    Raises:
        ScaleError: The text has another form.
    """
    points, size = _split(text, "120,80 940,85 935,610 115,600 = 1200mm x 800mm", option)
    sides = re.split(r"\s*[x×]\s*", size)
    if len(sides) != 2:
        raise ScaleError(f'{option}: "{size}" is not a size; write width x height, such as 1200mm x 800mm')
    width, height = (parse_mm(side, option) for side in sides)
    return parse_points(points, 4, option), (width, height)


def _split(text: str, example: str, option: str) -> tuple[str, str]:
    points, sign, length = text.partition("=")
    if not sign:
        raise ScaleError(
            f'{option}: "{text}" has no "="; write the points and their length, such as "{example}"'
        )
    return points, length.strip()


def check_positive(value: float, option: str, text: object) -> None:
    """Check that a number is finite and above zero.

    Raises:
        ScaleError: It is not.
    """
    if not math.isfinite(value):
        raise ScaleError(f"{option}: {text} is not a finite number; write a positive number")
    if value <= 0:
        raise ScaleError(f"{option}: {text} is not above zero; write a positive number")


def check_inside(points: NDArray[np.float64], size: tuple[int, int], option: str) -> None:
    """Check that points [N,2] lie in a photo of a size (height, width) in px.

    Raises:
        ScaleError: A point lies outside the photo.
    """
    height, width = size
    outside = ((points < 0) | (points > (width, height))).any(axis=1)
    if outside.any():
        x, y = points[outside][0]
        raise ScaleError(
            f"{option}: the point {x:g},{y:g} lies outside the photo of {width}×{height} px; read the points "
            "off this photo in an image viewer"
        )
