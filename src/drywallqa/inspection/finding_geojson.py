"""Write the findings of a ledger as GeoJSON in the pixels of their photos, for robots and drawing programs.

The coordinates are not WGS 84. RFC 7946, section 4, allows other coordinates by prior arrangement. The member
`frame` of the file states the arrangement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from drywallqa.files import json_bytes, write_whole
from drywallqa.inspection.ledger import Finding, Ledger, Observation, PhotoRecord, Point, ScaleRecord, Sizes

FRAME = {
    "coordinates": "pixels of the photo that the property photo names, as a viewer shows the photo",
    "origin": "centre of the upper left pixel",
    "x": "to the right",
    "y": "down",
    "wgs84": False,
    "line_mm": "the same vertices in millimetres on the wall, x to the right and y down; only with a scale",
    "line_mm_origin": "as photo_to_mm maps it; without perspective, the centre of the upper left pixel",
}


def write_findings_geojson(ledger: Ledger, path: Path) -> None:
    """Write `findings.geojson` with the newest visit's observations of all open findings.

    Each observation gives two features: its outline (property `part` is "outline", a MultiPolygon) and its
    centre line (`part` is "centre line", a MultiLineString with the width at each vertex in px and mm).

    Raises:
        OutputError: The file cannot be written.
    """
    visit = ledger.visits[-1]
    photos = {photo.path: photo for photo in visit.photos}
    features = [
        feature
        for finding in ledger.findings
        if finding.state == "open"
        for seen in finding.observations
        if seen.visit == visit.number
        for feature in _features_of(finding, seen, photos[seen.photo])
    ]
    content = {"type": "FeatureCollection", "frame": FRAME, "features": features}
    write_whole(path, json_bytes(content, None))


def _features_of(finding: Finding, seen: Observation, photo: PhotoRecord) -> Iterator[dict[str, Any]]:
    common = {
        "finding": finding.number,
        "place": finding.place,
        "concept": finding.concept,
        "visit": seen.visit,
        "photo": seen.photo,
        "photo_size_px": [photo.width, photo.height],
        "verdicts": [{"rule": v.rule, "outcome": v.outcome, "severity": v.severity} for v in seen.verdicts],
        "px": _describe_sizes(seen.px),
        "mm": _describe_sizes(seen.mm),
        "mm_per_pixel": photo.scale.mm_per_pixel if photo.scale else None,
        "photo_to_mm": photo.scale.homography if photo.scale else None,
    }
    rings = [ring for ring in map(_close_ring, seen.polygon) if ring]
    if rings:
        yield _feature(finding, seen, "outline", "MultiPolygon", [[ring] for ring in rings], common)
    lines = [line for line in seen.centre_lines if len(line.points) > 1]
    if lines:
        widths = {
            "width_px": [_rounded(line.width_px) for line in lines],
            "width_mm": [_rounded(line.width_mm) for line in lines] if seen.mm else None,
            "seen": [list(line.seen) for line in lines],
            "line_mm": [_to_mm(line.points, photo.scale) for line in lines] if photo.scale else None,
        }
        points = [_positions(line.points) for line in lines]
        yield _feature(finding, seen, "centre line", "MultiLineString", points, common | widths)


def _feature(
    finding: Finding, seen: Observation, part: str, kind: str, coordinates: Any, properties: dict[str, Any]
) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": f"{finding.number}/{seen.photo}/{part}",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {"part": part, **properties},
    }


def _close_ring(ring: Sequence[Point]) -> list[list[float]]:
    """Return the closed ring, counterclockwise in the numbers (x, y), as RFC 7946 3.1.6 wants it.

    Returns:
        At least four positions, of which the first and the last are equal; [] if the ring encloses no area.
    """
    area = sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in _edges(ring))
    if area == 0:
        return []
    positions = _positions(ring if area > 0 else ring[::-1])
    return positions if positions[0] == positions[-1] else [*positions, positions[0]]


def _edges(ring: Sequence[Point]) -> Iterator[tuple[Point, Point]]:
    return zip(ring, (*ring[1:], ring[0]), strict=True)


def _positions(points: Sequence[Point]) -> list[list[float]]:
    return [_rounded(point) for point in points]


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in values]


def _to_mm(points: Sequence[Point], scale: ScaleRecord) -> list[list[float]]:
    """Map points from px to mm on the wall, with the homography if the scale has one."""
    size = scale.mm_per_pixel
    rows = scale.homography or ((size, 0.0, 0.0), (0.0, size, 0.0), (0.0, 0.0, 1.0))
    mapped = [[row[0] * x + row[1] * y + row[2] for row in rows] for x, y in points]
    return [_rounded((x / w, y / w)) for x, y, w in mapped]


def _describe_sizes(sizes: Sizes | None) -> dict[str, Any] | None:
    if sizes is None:
        return None
    names = ("length", "area", "width_mean", "width_median", "width_p95", "width_max")
    measures = {name: getattr(sizes, name) for name in names}
    return {name: {"value": m.value, "low": m.low, "high": m.high} for name, m in measures.items()}
