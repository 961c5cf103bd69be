"""A scale bar with a round length in millimetres, inches or pixels."""

from __future__ import annotations

import math
from typing import Any

from drywallqa.inspection.measure_text import MM_PER_INCH, System, fraction_of_inch
from drywallqa.visualization.finding_labels import BLACK

_ROUND_INCHES = [2.0**power for power in range(-6, 2)] + [3, 6, 12, 24, 36, 72, 120]
_ROUND = (1, 2, 5)


def round_length(longest: float, mm_per_pixel: float | None, system: System) -> tuple[float, str]:
    """Return the longest round length that fits, in px, and its name.

    Args:
        longest: Room for the bar in px of the photo.
        mm_per_pixel: Scale of the photo; None without a scale.
        system: Unit of a photo with a scale.
    """
    if mm_per_pixel is None:
        pixels = _round_down(longest)
        return pixels, f"{pixels:g} px"
    if system == "metric":
        millimetres = _round_down(longest * mm_per_pixel)
        text = f"{millimetres / 1000:g} m" if millimetres >= 1000 else f"{millimetres:g} mm"
        return millimetres / mm_per_pixel, text
    room = longest * mm_per_pixel / MM_PER_INCH
    inches = max((value for value in _ROUND_INCHES if value <= room), default=_ROUND_INCHES[0])
    return inches * MM_PER_INCH / mm_per_pixel, f"{fraction_of_inch(inches)} in"


def _round_down(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return max(number for number in _ROUND if number * power <= value * (1 + 1e-9)) * power


def draw_scale_bar(pen: Any, corner: tuple[float, float], length: float, text: str, font: Any) -> None:
    """Draw a bar whose lower left end is at `corner`, with its text to the right of the bar."""
    left, bottom = corner
    thick, height = max(2, round(font.size / 7)), font.size * 0.7
    pen.rectangle((left, bottom - thick, left + length, bottom), fill=BLACK)
    for x in (left, left + length - thick):
        pen.rectangle((x, bottom - height, x + thick, bottom), fill=BLACK)
    pen.text((left + length + font.size / 2, bottom), text, fill=BLACK, font=font, anchor="ls")
