"""Sightings: the cracks and joints of one photo in pixels, before they have a scale and a number."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import DataError, reason_of
from drywallqa.imaging.line_search import CrackLine
from drywallqa.imaging.morphology import BoundingBox

Floats = NDArray[np.float64]

_PLAIN = ("concept", "box", "area", "probability", "marks")
_LINE = ("points", "left", "right", "sigma", "depth", "seen", "start", "end")


@dataclass(frozen=True, eq=False)
class JointExtent:
    """The straight extent of a joint, as far as it is still open.

    Attributes:
        ends: Both ends (x, y) in px, float64 [2,2].
        open_length: Length in px along which the joint is marked as open, at most the distance of the ends.
        width: Mean width of the marked area in px.
    """

    ends: Floats
    open_length: float
    width: float


@dataclass(frozen=True, eq=False)
class Sighting:
    """One crack, one joint or one field of small marks on one photo.

    Attributes:
        concept: The concept, or the prompt if it belongs to no concept.
        box: Left, top, right, bottom in px; right and bottom are exclusive.
        area: Area of the outline in px.
        probability: Mean probability of the outline, 0–1.
        rings: Outer rings of the outline in px, each float64 [N,2].
        lines: Visible lines inside the outline, with bridges between them; () if no line is visible.
        marks: Number of separate marks, if the sighting is a field of small marks; else 1.
        joint: The extent of a joint; None for a crack.
    """

    concept: str
    box: BoundingBox
    area: int
    probability: float
    rings: tuple[Floats, ...]
    lines: tuple[CrackLine, ...] = ()
    marks: int = 1
    joint: JointExtent | None = None

    @property
    def extent(self) -> float:
        """Diagonal of the bounding box in px."""
        left, top, right, bottom = self.box
        return float(np.hypot(right - left, bottom - top))


@dataclass(frozen=True)
class Sightings:
    """All sightings of one prompt on one photo.

    Attributes:
        found: The sightings, largest first.
        remarks: Sentences about the mask, such as that it fills the photo.
    """

    found: tuple[Sighting, ...]
    remarks: tuple[str, ...] = ()


def encode_sightings(sightings: Sightings) -> bytes:
    """Encode sightings as compressed JSON. The same sightings always give the same bytes."""
    data = {"remarks": sightings.remarks, "found": [_data_of(one) for one in sightings.found]}
    return gzip.compress(json.dumps(data).encode(), 6, mtime=0)


def read_sightings(path: Path) -> Sightings:
    """Read sightings that `encode_sightings` encoded.

    Raises:
        DataError: The file is missing or damaged.
    """
    try:
        data = json.loads(gzip.decompress(path.read_bytes()))
        return Sightings(tuple(_sighting_of(one) for one in data["found"]), tuple(data["remarks"]))
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read ({reason_of(error)}); remove it and inspect the photo again"
        ) from error


def _data_of(sighting: Sighting) -> dict[str, Any]:
    joint = sighting.joint
    return {
        **{name: getattr(sighting, name) for name in _PLAIN},
        "rings": [_numbers(ring) for ring in sighting.rings],
        "lines": [{name: _numbers(getattr(line, name)) for name in _LINE} for line in sighting.lines],
        "joint": joint and {**vars(joint), "ends": _numbers(joint.ends)},
    }


def _numbers(values: Any) -> Any:
    """Return an array or a number as JSON data, with coordinates to a thousandth of a pixel."""
    values = np.asarray(values)
    return (values.round(3) if values.dtype.kind == "f" else values.astype(np.int64)).tolist()


def _sighting_of(data: dict[str, Any]) -> Sighting:
    joint = data["joint"]
    return Sighting(
        **{name: data[name] for name in _PLAIN if name != "box"},
        box=tuple(data["box"]),
        rings=tuple(np.array(ring, np.float64) for ring in data["rings"]),
        lines=tuple(_line_of(line) for line in data["lines"]),
        joint=joint and JointExtent(**{**joint, "ends": np.array(joint["ends"], np.float64)}),
    )


def _line_of(data: dict[str, Any]) -> CrackLine:
    names = ("points", "left", "right", "sigma", "depth")
    arrays = {name: np.array(data[name], np.float64) for name in names}
    return CrackLine(
        **arrays, seen=np.array(data["seen"], np.bool_), start=int(data["start"]), end=int(data["end"])
    )
