"""Find the cracks and joints of one photo: from the outline of a concept to sightings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.line_search import CrackLine, find_lines, paint_lines
from drywallqa.imaging.morphology import Mask, dilate
from drywallqa.inspection.joint_search import find_joints
from drywallqa.inspection.line_groups import group_lines
from drywallqa.inspection.outline_parts import OutlineParts, find_fields
from drywallqa.inspection.outline_rings import outer_rings
from drywallqa.inspection.sightings import Sighting, Sightings

Numbers = NDArray[np.int64]
Photo = NDArray[np.uint8]
Probability = NDArray[np.float32]

_MARGIN = 4.0  # px at 640 around an outline of one finding, which may follow the edges of its crack
_MOST_AREA = 0.6  # a mask that covers a larger share of the photo does not outline single findings


def search_findings(
    photo: Photo, outline: Mask, probability: Probability | None, concept: str, *, joints: bool
) -> Sightings:
    """Find the cracks or the joints inside the outline of a concept.

    Args:
        photo: RGB uint8 [H,W,3].
        outline: The outline [H,W].
        probability: The model's probability of each pixel [H,W]; None if unknown.
        concept: The concept.
        joints: Whether the concept is a joint: a straight line, or the band along it.
    """
    share = float(np.count_nonzero(outline)) / outline.size
    if share > _MOST_AREA:
        remark = (
            f"the mask of '{concept}' covers {share:.0%} of the photo, so no single finding can be seen; "
            "take the photo from farther away or choose a higher --threshold"
        )
        return Sightings((), (remark,))
    parts = OutlineParts.of(outline, probability)
    kept = parts.measured()
    found = find_fields(parts, np.flatnonzero(~kept), concept)
    if kept.any():
        outline = parts.keep(kept)
        search = find_joints if joints else find_cracks
        found += search(photo, outline, probability, parts, concept)
    return Sightings(tuple(sorted(found, key=lambda one: (-one.extent, one.box))))


def find_cracks(
    photo: Photo, outline: Mask, probability: Probability | None, parts: OutlineParts, concept: str
) -> list[Sighting]:
    """Find the cracks inside an outline.

    Args:
        photo: RGB uint8 [H,W,3].
        outline: The components to search [H,W].
        probability: The model's probability of each pixel [H,W]; None if unknown.
        parts: All components.
        concept: The concept of the outline.
    """
    lines = find_lines(photo, outline, probability)
    components = np.array([_component_of(line, parts) for line in lines.lines], np.int64)
    cracks = group_lines(lines.lines, components, parts.unit)
    found = [_crack_of(crack, parts, concept) for crack in cracks]
    unseen = np.setdiff1d(np.unique(parts.labels[lines.unseen & outline]), 0) - 1
    specks = parts.specks()[unseen]
    found += [parts.sighting_of(concept, unseen[n : n + 1]) for n in np.flatnonzero(~specks).tolist()]
    return found + find_fields(parts, unseen[specks], concept)


def measure_outline(photo: Photo, outline: Mask, concept: str, *, joints: bool) -> Sighting:
    """Measure an outline that a person drew as one finding.

    Args:
        photo: RGB uint8 [H,W,3].
        outline: The outline [H,W], not empty.
        concept: The concept.
        joints: Whether the concept is a joint.
    """
    parts = OutlineParts.of(outline, None)
    everything = np.arange(len(parts.sizes))
    if joints:
        found = find_joints(photo, outline, None, parts, concept)
        return found[0] if len(found) == 1 else parts.sighting_of(concept, everything)
    found_lines = find_lines(photo, dilate(outline, round(_MARGIN * parts.unit))).lines
    near = dilate(outline, 1)
    lines = [part for line in found_lines if (part := _part_inside(line, near)) is not None]
    if not lines:
        return parts.sighting_of(concept, everything)
    (crack,) = group_lines(lines, np.zeros(len(lines), np.int64), parts.unit)
    return _crack_of(crack, parts, concept)


def _part_inside(line: CrackLine, mask: Mask) -> CrackLine | None:
    """Return the part of a line from its first to its last point in a mask [H,W]; None below two points."""
    columns, rows = np.rint(line.points).astype(np.intp).T
    inside = mask[rows.clip(0, mask.shape[0] - 1), columns.clip(0, mask.shape[1] - 1)]
    places = np.flatnonzero(inside)
    if len(places) < 2:
        return None
    part = slice(int(places[0]), int(places[-1]) + 1)
    arrays = {
        name: getattr(line, name)[part] for name in ("points", "left", "right", "sigma", "depth", "seen")
    }
    return replace(line, **arrays)


def _component_of(line: CrackLine, parts: OutlineParts) -> int:
    """Return the index of the component in which most points of a line lie; -1 if none does."""
    height, width = parts.labels.shape
    columns, rows = np.rint(line.points).astype(np.intp).T
    own = parts.labels[rows.clip(0, height - 1), columns.clip(0, width - 1)]
    counts = np.bincount(own[own > 0], minlength=1)
    return int(counts.argmax()) - 1


def _crack_of(lines: Sequence[CrackLine], parts: OutlineParts, concept: str) -> Sighting:
    """Return the sighting of a crack with the given lines."""
    left, top, right, bottom = box = _box_around(lines, parts.labels.shape)
    shift = np.array([left, top])
    local = [replace(line, points=line.points - shift) for line in lines]
    mask = paint_lines(local, (bottom - top, right - left))
    members = np.unique([number for line in lines if (number := _component_of(line, parts)) >= 0])
    likelihood = parts.likelihood_of(members.astype(np.int64)) if len(members) else 0.0
    rings = tuple(outer_rings(mask, (left, top)))
    return Sighting(concept, box, int(mask.sum()), likelihood, rings, tuple(lines))


def _box_around(lines: Sequence[CrackLine], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the box in px around lines and their widths, inside a photo of the given shape."""
    points = np.concatenate([line.points for line in lines])
    reach = np.concatenate([np.maximum(line.left, line.right) for line in lines])[:, None]
    left, top = np.floor((points - reach).min(0)).astype(int).clip(0).tolist()
    right, bottom = (np.ceil((points + reach).max(0)).astype(int) + 1).tolist()
    return left, top, min(right, shape[1]), min(bottom, shape[0])
