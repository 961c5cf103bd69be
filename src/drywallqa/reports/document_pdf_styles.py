"""Fonts, colours and paragraph styles of the PDF reports."""

from __future__ import annotations

from typing import Any

from reportlab.lib import colors
from reportlab.lib.styles import ParagraphStyle

from drywallqa.reports.document import COLOURS

PADDING = 6  # padding of a ReportLab frame, in points
ACCENT, SOFT, LINE, _SHADE = (colors.HexColor(c) for c in ("#0b4f8a", "#57606a", "#d5d9de", "#f5f7f9"))
FONTS = {"Vera": "Vera.ttf", "Vera-Bold": "VeraBd.ttf"}
_BOX: dict[str, Any] = {
    "borderPadding": 6, "leftIndent": 6, "rightIndent": 6, "spaceBefore": 7, "spaceAfter": 12,
}  # fmt: skip
_BOLD = {"fontName": "Vera-Bold"}
_BADGE = {**_BOLD, "borderPadding": (1, 2, 2, 2), "borderWidth": 0.4, "borderColor": LINE, "borderRadius": 3}


def _style(name: str, size: float, more: dict[str, Any]) -> ParagraphStyle:
    # Names of files may have no spaces, so long words are split.
    settings = {"fontName": "Vera", "fontSize": size, "leading": size * 1.42, "splitLongWords": 1, **more}
    return ParagraphStyle(name, **settings)


def _outcome_styles() -> dict[str, ParagraphStyle]:
    styles = {}
    for outcome, (fill, ink, _) in COLOURS.items():
        text, back = {"textColor": colors.HexColor(ink)}, {"backColor": colors.HexColor(fill)}
        styles[f"badge {outcome}"] = _style("badge", 7, {**_BADGE, **text, **back})
        styles[f"banner {outcome}"] = _style("banner", 11, {**_BADGE, **text, **back, "alignment": 1})
    return styles


STYLES = {
    name: _style(name, size, more)
    for name, size, more in (
        ("title", 20, {**_BOLD, "spaceAfter": 4}),
        ("subtitle", 10, {"textColor": SOFT, "spaceAfter": 8}),
        ("chapter", 13.5, {**_BOLD, "spaceBefore": 16, "spaceAfter": 6, "textColor": ACCENT}),
        ("section", 11.5, {**_BOLD, "spaceBefore": 12, "spaceAfter": 5}),
        ("part", 10.5, {**_BOLD, "spaceBefore": 8, "spaceAfter": 4}),
        ("heading", 10, {**_BOLD, "spaceBefore": 9, "spaceAfter": 4, "keepWithNext": True}),
        ("text", 8.8, {"spaceAfter": 5}),
        ("bullet", 8.8, {"spaceAfter": 3, "leftIndent": 9, "firstLineIndent": -9}),
        ("banner", 12, {**_BOLD, "spaceAfter": 3}),
        ("tile", 15, {**_BOLD}),
        ("notice", 8.8, {**_BOX, "backColor": colors.HexColor("#fff6ea")}),
        ("caption", 8, {"spaceBefore": 3, "spaceAfter": 2}),
        ("source", 6.6, {"textColor": SOFT, "spaceBefore": 2, "spaceAfter": 8}),
        ("cell", 7.4, {}),
        ("figure", 7.4, {"alignment": 2}),
        ("code", 7.2, {**_BOX, "fontName": "Courier", "leading": 10, "backColor": _SHADE}),
    )
} | _outcome_styles()
"""Paragraph styles by name. "badge" and "banner" also exist with each outcome, as in "badge fail"."""
