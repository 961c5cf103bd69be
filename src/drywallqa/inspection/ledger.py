"""The ledger of an inspection: places, visits, photos, findings, observations and reviews.

A *finding* is one crack or one joint at a place. Its number is never used again. Each visit adds
*observations*: measures on one photo. People add *reviews*. `inspection.json` contains one ledger. All
coordinates are pixels of the photo as viewed: x to the right, y down, pixel centres at whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from drywallqa.inspection.measures import NORMAL_95, Measure

SCHEMA = 1

Point = tuple[float, float]
Unit = Literal["px", "mm"]
Outcome = Literal["pass", "monitor", "fail", "not assessable", "no rule"]
State = Literal["open", "repaired", "merged", "split", "deleted"]
Action = Literal["confirm", "reject", "merge", "split", "delete", "add", "comment"]


@dataclass(frozen=True)
class Place:
    """Where findings are, for example one wall.

    Attributes:
        id: Unique in the ledger: the folder of the photos relative to the inspected folder, with "/".
        room: Name for people; "" if unknown.
        wall: Name for people; "" if unknown.
    """

    id: str
    room: str = ""
    wall: str = ""


@dataclass(frozen=True)
class ScaleRecord:
    """The scale of one photo.

    Attributes:
        mm_per_pixel: Millimetres per pixel; with perspective, at the centre of the photo.
        relative_sigma: Relative standard uncertainty, which includes an unknown tilt.
        source: Where the scale is from, such as "marker 17 (aruco-5x5) of 100 mm".
        homography: 3×3, from pixels of the photo to millimetres on the wall; None without perspective.
    """

    mm_per_pixel: float
    relative_sigma: float
    source: str
    homography: tuple[tuple[float, float, float], ...] | None = None


@dataclass(frozen=True)
class Verdict:
    """What one rule says about one observation, or about a photo without a finding.

    Attributes:
        rule: Id of the rule.
        outcome: Pass, monitor, fail or not assessable.
        reason: The number, the limit and the outcome, such as "Largest width 4.6 mm (2.8–6.3), over 2 mm", in
            the units of the report.
        advice: What to do, such as "add a scale"; "" if nothing.
        severity: Name of the class of a graded rule, such as "Burland 2"; "" if the rule has no classes.
        decidable: False if no photo can decide the rule.
    """

    rule: str
    outcome: Outcome
    reason: str
    advice: str = ""
    severity: str = ""
    decidable: bool = True


@dataclass(frozen=True)
class PhotoRecord:
    """One photo of a visit.

    Attributes:
        path: Path relative to the inspected folder, with "/".
        place: Id of the place.
        digest: SHA-256 of the file.
        width: Width in px as viewed.
        height: Height in px as viewed.
        quality: Remarks on defects of the photo.
        scale: The scale, or None.
        detection_limit_px: Width in px of the narrowest crack that is found in 90 % of cases on rendered
            walls (with 95 % confidence); None if unknown.
        detection_widest_px: Width in px up to which this holds; None if unknown. Wider cracks are missed
            more often.
        refused: Why the photo was not inspected; "" if it was.
        notes: Further remarks, such as "may show findings of another photo again".
        verdicts: One verdict per rule about a concept that was not found in the photo.
    """

    path: str
    place: str
    digest: str
    width: int = 0
    height: int = 0
    quality: tuple[str, ...] = ()
    scale: ScaleRecord | None = None
    detection_limit_px: float | None = None
    detection_widest_px: float | None = None
    refused: str = ""
    notes: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()

    @property
    def detection_limit_mm(self) -> float | None:
        """The detection limit in mm at the upper end of the scale's 95 % interval; None if unknown."""
        if self.scale is None or self.detection_limit_px is None:
            return None
        return self.detection_limit_px * self.scale.mm_per_pixel * (1 + NORMAL_95 * self.scale.relative_sigma)

    @property
    def detection_widest_mm(self) -> float | None:
        """The widest such crack in mm at the lower end of the scale's 95 % interval; None if unknown."""
        if self.scale is None or self.detection_widest_px is None:
            return None
        least = max(0.0, 1 - NORMAL_95 * self.scale.relative_sigma)
        return self.detection_widest_px * self.scale.mm_per_pixel * least


@dataclass(frozen=True)
class CentreLine:
    """A part of a finding's centre line between two ends or branch points.

    Attributes:
        points: Vertices in px of the photo.
        width_px: Width in px at each vertex.
        width_mm: Width in mm at each vertex; () without a scale.
        seen: False at each vertex where a gap is bridged.
    """

    points: tuple[Point, ...]
    width_px: tuple[float, ...]
    width_mm: tuple[float, ...] = ()
    seen: tuple[bool, ...] = ()


@dataclass(frozen=True)
class Sizes:
    """Sizes of a finding in one unit: px (area: px²) or mm (area: mm²).

    Attributes:
        unit: The unit.
        length: Length of all centre lines. Of a joint: the length that is still open.
        area: Area of the crack mask.
        width_mean: Mean width along the centre line.
        width_median: Median width.
        width_p95: 95th percentile of the width.
        width_max: Largest width.
    """

    unit: Unit
    length: Measure
    area: Measure
    width_mean: Measure
    width_median: Measure
    width_p95: Measure
    width_max: Measure


@dataclass(frozen=True)
class Observation:
    """Measures of one finding on one photo of one visit.

    Attributes:
        visit: Number of the visit.
        photo: Path of the photo.
        model: Name of the bundle; "" if a person drew the outline.
        box: Left, top, right, bottom in px; right and bottom are exclusive.
        polygon: Outer rings of the mask in px.
        centre_lines: The centre line with the width at each vertex.
        px: Sizes in pixels.
        mm: Sizes in millimetres; None without a scale.
        widest_at: Place of the largest width in px.
        orientation: Direction in degrees, 0–180: 0 is horizontal, 90 is vertical.
        tortuosity: Length of the longest path over the distance of its ends; at least 1.
        branches: Number of branch points.
        ends: Number of free ends.
        straightness: Of a joint: largest distance of the centre line from a straight line in px; else None.
        probability: Mean probability of the outline, 0–1.
        line_visible: False if the photo shows no line inside the outline.
        verdicts: One verdict per rule that applies.
        notes: Remarks, such as "may count twice".
    """

    visit: int
    photo: str
    model: str
    box: tuple[int, int, int, int]
    polygon: tuple[tuple[Point, ...], ...]
    centre_lines: tuple[CentreLine, ...]
    px: Sizes | None
    mm: Sizes | None
    widest_at: Point | None
    orientation: float
    tortuosity: float
    branches: int
    ends: int
    straightness: float | None
    probability: float
    line_visible: bool = True
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One crack or joint at a place.

    Attributes:
        number: Unique in the ledger and never used again.
        place: Id of the place.
        concept: "crack", "taping area", …
        observations: Oldest visit first.
        state: "open" until a review or a later visit changes it.
        into: Numbers of the findings that replace a merged or split finding.
    """

    number: int
    place: str
    concept: str
    observations: tuple[Observation, ...] = ()
    state: State = "open"
    into: tuple[int, ...] = ()


@dataclass(frozen=True)
class Visit:
    """One date on which photos were taken.

    Attributes:
        number: 1, 2, …
        date: ISO date.
        reviewer: Name of the person who is responsible; "" if not given.
        model: Name of the bundle.
        model_digest: SHA-256 of the bundle.
        thresholds: Mask threshold of each concept.
        rule_set: Name and version of the rule set.
        photos: Photos of the visit, sorted by path.
        folder: The inspected folder relative to the folder of `inspection.json`, with "/".
        compared: Photos of an earlier visit that could be aligned: their paths by path of this visit's photo.
    """

    number: int
    date: str
    reviewer: str = ""
    model: str = ""
    model_digest: str = ""
    thresholds: dict[str, float] = field(default_factory=dict)
    rule_set: str = ""
    photos: tuple[PhotoRecord, ...] = ()
    folder: str = "."
    compared: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Review:
    """What a person said about a finding; reviews are kept apart from predictions.

    Attributes:
        finding: Number of the finding; 0 for "add".
        action: What the person decided.
        reviewer: Name.
        time: ISO time with the offset from UTC.
        detail: Data of the action: other numbers (merge), points in px (split, add), text (comment).
    """

    finding: int
    action: Action
    reviewer: str
    time: str
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ledger:
    """All data of one inspection project.

    Attributes:
        name: Name of the project.
        next_number: The number of the next new finding.
        places: Sorted by id.
        visits: Oldest first.
        findings: Sorted by number; merged, split and deleted findings stay.
        reviews: Oldest first.
    """

    name: str
    next_number: int = 1
    places: tuple[Place, ...] = ()
    visits: tuple[Visit, ...] = ()
    findings: tuple[Finding, ...] = ()
    reviews: tuple[Review, ...] = ()
