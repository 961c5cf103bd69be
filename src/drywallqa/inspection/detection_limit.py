"""The narrowest crack that a bundled model finds reliably in a photo.

`detection_limits.json` contains, for each bundle and view, the width that is found in 90 % of cases, and the
width for which this holds with 95 % confidence. `evaluation.detection_limits` measures them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
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


def detection_limit(bundle: str, window: Letterbox, height: int, width: int) -> Measure | None:
    """Return the width in px of the narrowest crack that a bundle finds in 90 % of cases.

    Args:
        bundle: Name of the bundle, such as "compact".
        window: The bundle's letterbox.
        height: Height of the photo in px.
        width: Width of the photo in px.

    Returns:
        The width. With 95 % confidence it is at most `high`, which is the width to report. None if the
        bundle was not measured, or if it misses more than 10 % of the cracks of any width.
    """
    factors = plan_views("auto", True, height, width, window).factors
    view: View = "closer" if factors else "whole"
    limits = _limits().get(bundle, {}).get(view)
    if limits is None:
        return None
    scale = 1 / factors[-1] if factors else max(1.0, max(height, width) / REFERENCE_SIDE)
    return Measure(limits["found_90"], 0.0, limits["found_90_sure_95"]).times(scale)


@cache
def _limits() -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    path = resources.files("drywallqa.inspection") / LIMITS_FILE
    table: Mapping[str, Mapping[str, Mapping[str, float]]] = json.loads(path.read_text(encoding="utf-8"))
    return table
