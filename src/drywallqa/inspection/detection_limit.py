"""The widths of cracks that a bundled model finds reliably in a photo.

`detection_limits.json` contains, for each bundle and view, the width that is found in 90 % of cases on
rendered walls, and the narrowest and the widest crack for which this holds with 95 % confidence. It also
contains the share of labelled pieces of cracks that were found on real photos, and the width from which this
share is at least 90 %. `evaluation.detection_limits`
and `evaluation.labelled_sections` measure them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from drywallqa.imaging.letterbox import Letterbox
from drywallqa.inference.tiles import plan_views
from drywallqa.inspection.measures import Measure

View = Literal["whole", "closer"]
LIMITS_FILE = "detection_limits.json"
REFERENCE_SIDE = 640
"""Longer side in px of the photos on which the limits of the view "whole" were measured."""
_VIEWS = {"whole": "small photos", "closer": "large photos"}


def view_of(window: Letterbox, height: int, width: int) -> tuple[View, float]:
    """Return how a bundle sees a photo of height×width px, and the factor from limits to px of the photo."""
    factors = plan_views("auto", True, height, width, window).factors
    if factors:
        return "closer", 1 / factors[-1]
    return "whole", max(1.0, max(height, width) / REFERENCE_SIDE)


@dataclass(frozen=True)
class DetectionRange:
    """The widths of which a bundle finds 90 % of the cracks on rendered walls, with 95 % confidence.

    Attributes:
        narrowest: Width in px of the narrowest crack. With 95 % confidence it is at most `high`, which is the
            width to report.
        widest: Width in px of the widest crack. Wider cracks are missed more often.
    """

    narrowest: Measure
    widest: float


def detection_range(bundle: str, window: Letterbox, height: int, width: int) -> DetectionRange | None:
    """Return the widths in px of which a bundle finds 90 % of the cracks in a photo.

    Args:
        bundle: Name of the bundle, such as "compact".
        window: The bundle's letterbox.
        height: Height of the photo in px.
        width: Width of the photo in px.

    Returns:
        The widths. None if the bundle was not measured, or if it misses over 10 % of cracks of any width.
    """
    view, scale = view_of(window, height, width)
    limits = _limits().get(bundle, {}).get(view)
    if limits is None:
        return None
    least = limits.get("real_90", 0.0)  # reports must not promise more than real photos show
    narrowest = Measure(max(limits["found_90"], least), 0.0, max(limits["found_90_sure_95"], least)).times(
        scale
    )
    if narrowest.high >= limits["widest_90_sure_95"] * scale:
        return None
    return DetectionRange(narrowest, limits["widest_90_sure_95"] * scale)


def real_text(model: str) -> str:
    """Return a sentence about the share of cracks that were found on real photos; "" for an unknown model.

    Args:
        model: Name of the bundle with its version, such as "compact 1.0".
    """
    views = _limits().get(model.partition(" ")[0], {})
    shares = [
        f"{one['real_found']:.0%} on {one['real_photos']} {_VIEWS[view]}"
        for view, one in views.items()
        if "real_found" in one
    ]
    if not shares:
        return ""
    return f"Share of labelled pieces of cracks that were found on real photos: {' and '.join(shares)}."


@cache
def _limits() -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    path = resources.files("drywallqa.inspection") / LIMITS_FILE
    table: Mapping[str, Mapping[str, Mapping[str, float]]] = json.loads(path.read_text(encoding="utf-8"))
    return table
