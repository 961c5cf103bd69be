"""Turn sightings into observations: add sizes in pixels and, with a scale, in millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.line_search import CrackLine
from drywallqa.inspection.crack_shape import LineShape, orientation_of, shape_of, straightness_of
from drywallqa.inspection.crack_sizes import largest_width, reliable_points
from drywallqa.inspection.ledger import CentreLine, Observation, Point, ScaleRecord
from drywallqa.inspection.line_sizes import sizes_of
from drywallqa.inspection.scale import Scale
from drywallqa.inspection.sightings import JointExtent, Sighting

Floats = NDArray[np.float64]

_VERTICES = 1000  # vertices of a centre line as long as the photo


@dataclass(frozen=True)
class PhotoView:
    """What an observation states about its photo.

    Attributes:
        visit: Number of the visit.
        photo: Path of the photo in the ledger.
        model: Name of the bundle.
        longer_side: Longer side of the photo in px.
        scale: The scale; None if unknown.
    """

    visit: int
    photo: str
    model: str
    longer_side: int
    scale: Scale | None = None


def observe(sighting: Sighting, view: PhotoView) -> Observation:
    """Return the observation of a sighting."""
    lines, joint, scale = sighting.lines, sighting.joint, view.scale
    shape = _joint_shape(joint) if joint else shape_of(lines) if lines else _box_shape(sighting)
    spacing = max(1, round(view.longer_side / _VERTICES))
    return Observation(
        visit=view.visit,
        photo=view.photo,
        model=view.model,
        box=sighting.box,
        polygon=tuple(_points(ring) for ring in sighting.rings),
        centre_lines=tuple(_centre_line(line, spacing, scale) for line in lines),
        px=sizes_of(sighting, None),
        mm=None if scale is None else sizes_of(sighting, scale),
        widest_at=_widest_at(lines),
        orientation=round(shape.orientation, 1),
        tortuosity=round(shape.tortuosity, 4),
        branches=shape.branches,
        ends=shape.ends,
        straightness=_straightness(lines) if joint and lines else None,
        probability=round(sighting.probability, 4),
        line_visible=bool(lines),
        notes=(f"field of {sighting.marks} small marks",) if sighting.marks > 1 else (),
    )


def scale_record(scale: Scale) -> ScaleRecord:
    """Return a scale as the ledger stores it."""
    matrix = scale.homography
    rows = None if matrix is None else tuple((float(a), float(b), float(c)) for a, b, c in matrix)
    return ScaleRecord(scale.mm_per_pixel, scale.relative_sigma, scale.source, rows)


def scale_of_record(record: ScaleRecord) -> Scale:
    """Return the scale that a ledger states."""
    matrix = None if record.homography is None else np.array(record.homography)
    sigma = record.relative_sigma
    return Scale(record.mm_per_pixel, sigma, record.source, matrix, common_sigma=sigma)


def _joint_shape(joint: JointExtent) -> LineShape:
    return LineShape(orientation_of([joint.ends]), 1.0, 0, 2)


def _box_shape(sighting: Sighting) -> LineShape:
    """Return the shape of a sighting without lines: the direction in which its outline is longest."""
    points = np.concatenate(sighting.rings)
    away = points - points.mean(0)
    along = np.linalg.eigh(away.T @ away)[1][:, 1]
    return LineShape(orientation_of([np.stack([0 * along, along])]), 1.0, 0, 0)


def _centre_line(line: CrackLine, spacing: int, scale: Scale | None) -> CentreLine:
    """Return a centre line with a vertex at each end and every `spacing` points."""
    kept = np.unique(np.append(np.arange(0, len(line.points), spacing), len(line.points) - 1))
    points, widths = line.points[kept], line.width[kept]
    millimetres = () if scale is None else (widths * scale.mm_per_pixel_across(points)).round(4).tolist()
    return CentreLine(
        _points(points), tuple(widths.round(3).tolist()), tuple(millimetres), tuple(line.seen[kept].tolist())
    )


def _points(points: Floats) -> tuple[Point, ...]:
    return tuple((x, y) for x, y in points.round(2).tolist())


def _widest_at(lines: Sequence[CrackLine]) -> Point | None:
    """Return the point with the largest width that can be trusted."""
    if not any(line.seen.any() for line in lines):
        return None
    trusted = zip(lines, reliable_points(lines), strict=True)
    found = [(*largest_width(line.width, kept), line.points) for line, kept in trusted]
    _, place, points = max(found, key=lambda one: one[0])
    return _points(points[place][None])[0]


def _straightness(lines: Sequence[CrackLine]) -> float:
    points = np.concatenate([line.points[line.seen] for line in lines])
    return round(straightness_of(points), 2) if len(points) else 0.0
