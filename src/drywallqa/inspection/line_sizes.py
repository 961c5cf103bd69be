"""Length, area and widths of a sighting, in pixels or in millimetres."""

from __future__ import annotations

import math

from drywallqa.inspection.crack_sizes import crack_sizes, factors_across, steps_along
from drywallqa.inspection.ledger import Sizes
from drywallqa.inspection.measures import NORMAL_95, Measure
from drywallqa.inspection.scale import Scale
from drywallqa.inspection.sightings import JointExtent, Sighting


def sizes_of(sighting: Sighting, scale: Scale | None) -> Sizes | None:
    """Measure a sighting.

    Args:
        sighting: The sighting.
        scale: The scale for sizes in millimetres; None measures in pixels.

    Returns:
        The sizes. None if the photo shows no line and the sighting is not a joint.
    """
    if sighting.joint is not None:
        return _joint_sizes(sighting, sighting.joint, scale)
    return crack_sizes(sighting.lines, scale)


def _joint_sizes(sighting: Sighting, joint: JointExtent, scale: Scale | None) -> Sizes:
    """Return the sizes of a joint. Its seam is at most as wide as the marked area."""
    across = float(factors_across(joint.ends, scale).mean())
    along = float(steps_along(joint.ends, scale).sum() / max(1e-9, steps_along(joint.ends, None).sum()))
    relative = 0.0 if scale is None else scale.relative_sigma_of(joint.ends)
    length, width, area = joint.open_length * along, joint.width * across, sighting.area * along * across
    most = Measure(None, 0.0, width * (1 + NORMAL_95 * relative))
    return Sizes(
        "px" if scale is None else "mm",
        _interval(length, math.hypot(width / 2, relative * length)),
        _interval(area, math.hypot(width * width / 2, 2 * relative * area)),
        most, most, most, most,
    )  # fmt: skip


def _interval(value: float, sigma: float) -> Measure:
    return Measure(value, max(0.0, value - NORMAL_95 * sigma), value + NORMAL_95 * sigma)
