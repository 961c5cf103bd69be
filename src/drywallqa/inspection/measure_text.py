"""Write lengths, widths and areas with their 95 % intervals as text, in metric or imperial units."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal

from drywallqa.inspection.ledger import Unit
from drywallqa.inspection.measures import Measure

System = Literal["metric", "imperial"]

MM_PER_INCH = 25.4
_MOST_DECIMALS = {"px": 1, "mm": 2, "in": 3}
_SIXTY_FOURTH = 64


def measure_text(measure: Measure, unit: Unit, system: System, power: int = 1) -> str:
    """Return a measure with its interval, such as "1.2 mm (1.0–1.4)" or "≤ 0.3 mm".

    Args:
        measure: A length or a width; an area if `power` is 2.
        unit: Unit of the measure. Pixels stay pixels.
        system: "imperial" turns millimetres into inches.
        power: 1 or 2.
    """
    if unit == "mm" and system == "imperial":
        shown, name = measure.times(MM_PER_INCH**-power), "in"
    else:
        shown, name = measure, unit
    decimals = _decimals(shown, _MOST_DECIMALS[name])
    square = "²" if power == 2 else ""
    if shown.value is None:
        return f"≤ {_number(shown.high, decimals)} {name}{square}{_fraction(shown.high, name, power)}"
    interval = f"({_number(shown.low, decimals)}–{_number(shown.high, decimals)})"
    value = _number(shown.value, decimals)
    return f"{value} {name}{square}{_fraction(shown.value, name, power)} {interval}"


def length_text(value: float, unit: Unit, system: System) -> str:
    """Return a length that has no interval, such as "0.42 mm" or "0.017 in [1/64]"."""
    if unit == "mm" and system == "imperial":
        inches = value / MM_PER_INCH
        return f"{_number(inches, 3)} in{_fraction(inches, 'in', 1)}"
    return f"{_number(value, _MOST_DECIMALS[unit] if value < 100 else 0)} {unit}"


def limit_text(value: float, unit: Unit, system: System = "metric") -> str:
    """Return a limit without trailing zeros, such as "2 mm", or as `length_text` in inches."""
    if unit == "mm" and system == "imperial":
        return length_text(value, unit, system)
    number = f"{value:.2f}".rstrip("0").rstrip(".") if value >= 0.1 or value == 0 else f"{value:.2g}"
    return f"{number} {unit}"


def range_text(narrowest: float, widest: float | None, unit: Unit, system: System = "metric") -> str:
    """Return a range of widths, such as "0.5 mm to 8 mm"; "at least 0.5 mm" without an end."""
    low = limit_text(narrowest, unit, system)
    return f"at least {low}" if widest is None else f"{low} to {limit_text(widest, unit, system)}"


def fraction_of_inch(inches: float) -> str:
    """Return a length to the nearest 1/64 inch, such as "1 3/64"; "<1/64" if it rounds to nothing."""
    whole, rest = divmod(round(inches * _SIXTY_FOURTH), _SIXTY_FOURTH)
    if not whole and not rest:
        return "<1/64"
    part = str(Fraction(rest, _SIXTY_FOURTH)) if rest else ""
    return " ".join(filter(None, [str(whole) if whole else "", part]))


def _fraction(value: float, name: str, power: int) -> str:
    return f" [{fraction_of_inch(value)}]" if name == "in" and power == 1 else ""


def _decimals(measure: Measure, most: int) -> int:
    """Return the decimals that show one digit of the half interval, or two if the first digit is 1."""
    spread = (measure.high - measure.low) / 2
    return most if spread <= 0 else min(most, max(0, -math.floor(math.log10(spread / 2))))


def _number(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}"
