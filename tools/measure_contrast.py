"""Compute the WCAG contrasts of the colours of a page: measure_contrast.py [TOKENS.CSS].

WCAG 2.2 requires 4.5 for text (1.4.3), and 3 for borders of controls, focus rings and graphics (1.4.11). The
exit code is 1 if a contrast is too low.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

TOKENS = Path(__file__).parents[1] / "docs" / "page-design" / "tokens.css"
TEXT, GRAPHIC = 4.5, 3.0
GROUNDS = ("surface", "shade", "ground", "chosen")
PAIRS = (
    *((ink, ground, TEXT) for ink in ("ink", "soft", "accent") for ground in GROUNDS),
    ("on-accent", "accent", TEXT),
    *((f"on-{name}", name, TEXT) for name in ("fail", "monitor", "pass", "unknown", "warning")),
    *((edge, ground, GRAPHIC) for edge in ("edge", "focus") for ground in GROUNDS),
    ("fail", "surface", GRAPHIC),
    ("warning-edge", "warning", GRAPHIC),
    *((f"mask-{number}", "halo", GRAPHIC) for number in (1, 2, 3, 4)),
)
"""Two colours, and the lowest contrast that they may have."""


def main(path: Path) -> int:
    """Print the contrasts of the light and the dark colours; return the number of low ones."""
    light, dark = read_themes(path.read_text(encoding="utf-8"))
    low = 0
    print("| colour | on | required | light | dark |\n|---|---|---|---|---|")
    for one, other, required in PAIRS:
        found = [contrast(theme[one], theme[other]) for theme in (light, dark)]
        low += sum(value < required for value in found)
        print(f"| {one} | {other} | {required} | {found[0]:.1f} | {found[1]:.1f} |")
    print(f"{low} of {2 * len(PAIRS)} contrasts are too low.")
    return low


def read_themes(css: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the light and the dark colours by name; the dark theme inherits what it does not change."""
    first, _, second = css.partition('[data-theme="dark"]')
    light = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", first))
    return light, {**light, **dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", second))}


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb, 0 to 1."""
    values = [value / 255 for value in bytes.fromhex(colour[1:])]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


if __name__ == "__main__":
    sys.exit(bool(main(Path(sys.argv[1]) if sys.argv[1:] else TOKENS)))
