"""The input of an inspection report, sorted for reading: walls, photos, and findings with their outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from drywallqa.imaging.photo_position import read_position
from drywallqa.inspection.ledger import Finding, Ledger, Outcome, PhotoRecord, Place, Visit
from drywallqa.inspection.ledger_verdicts import worst_outcome
from drywallqa.inspection.measure_text import System
from drywallqa.inspection.rules import RuleSet
from drywallqa.visualization.inspection_pictures import WORST_FIRST, Seen, badness, seen_on

Paper = Literal["a4", "letter"]


@dataclass(frozen=True)
class ReportOptions:
    """Options of an inspection report.

    Attributes:
        title: Title of the report.
        client: Name of the client; "" leaves it out.
        address: Address of the property; "" leaves it out.
        inspector: Company or person that made the report; "" leaves it out.
        units: "metric" or "imperial".
        paper: "a4" or "letter".
        with_gps: Whether the report states the position that the camera stored in each photo.
    """

    title: str = "Wall inspection report"
    client: str = ""
    address: str = ""
    inspector: str = ""
    units: System = "metric"
    paper: Paper = "a4"
    with_gps: bool = False


@dataclass(frozen=True)
class InspectedPhoto:
    """A photo of the reported visit.

    Attributes:
        number: Number of the photo in the report.
        record: The photo in the ledger.
        seen: Its findings, the worst first.
    """

    number: int
    record: PhotoRecord
    seen: Sequence[Seen]

    @property
    def key(self) -> str:
        """Key of the photo's chapter."""
        return f"photo-{self.number}"

    @property
    def name(self) -> str:
        """File name without its folder."""
        return self.record.path.rpartition("/")[2]


@dataclass(frozen=True)
class InspectedWall:
    """One place with the photos that show it.

    Attributes:
        place: The place.
        photos: Photos that were inspected.
    """

    place: Place
    photos: Sequence[InspectedPhoto]

    @property
    def title(self) -> str:
        """Room and wall, or the folder if they are unknown."""
        names = [name for name in (self.place.room, self.place.wall) if name]
        return " / ".join(names) or self.place.id or "Photos"

    @property
    def worst(self) -> dict[int, tuple[Seen, InspectedPhoto]]:
        """The worst observation of each finding, by number."""
        pairs = [(one, photo) for photo in self.photos for one in photo.seen]
        best: dict[int, tuple[Seen, InspectedPhoto]] = {}
        for one, photo in sorted(pairs, key=lambda pair: badness(pair[0])):
            best.setdefault(one.number, (one, photo))
        return best


@dataclass(frozen=True)
class InspectionMaterial:
    """Everything that an inspection report is made from.

    Attributes:
        ledger: The ledger. The report is about its newest visit.
        rule_set: The rules that gave the verdicts; None without rules.
        folder: Folder of the results, which contains the pictures.
        options: Options of the report.
    """

    ledger: Ledger
    rule_set: RuleSet | None
    folder: Path
    options: ReportOptions

    @property
    def visit(self) -> Visit:
        """The newest visit."""
        return self.ledger.visits[-1]

    @cached_property
    def walls(self) -> list[InspectedWall]:
        """All places with inspected photos. The photos are numbered in this order."""
        by_photo: dict[str, list[Finding]] = {}
        for finding in self.ledger.findings:
            for path in {one.photo for one in finding.observations if one.visit == self.visit.number}:
                by_photo.setdefault(path, []).append(finding)
        walls, number = [], 0
        for place in self.ledger.places:
            photos = []
            for record in self.visit.photos:
                if record.place == place.id and not record.refused:
                    number += 1
                    own = by_photo.get(record.path, [])
                    seen = seen_on(record.path, self.visit.number, own)
                    photos.append(InspectedPhoto(number, record, seen))
            if photos:
                walls.append(InspectedWall(place, photos))
        return walls

    @property
    def photos(self) -> list[InspectedPhoto]:
        """All inspected photos."""
        return [photo for wall in self.walls for photo in wall.photos]

    @cached_property
    def worst(self) -> list[tuple[Seen, InspectedPhoto, InspectedWall]]:
        """The worst observation of each finding with its photo and wall, the worst finding first."""
        found = [(*pair, wall) for wall in self.walls for pair in wall.worst.values()]
        return sorted(found, key=lambda item: badness(item[0]))

    def position_of(self, photo: InspectedPhoto) -> str:
        """Return the position in EXIF, such as "52.51000° N, 13.25000° E"; "" if unknown or not asked for."""
        path = self.folder / self.visit.folder / photo.record.path
        position = read_position(path) if self.options.with_gps else None
        if position is None:
            return ""
        latitude, longitude = position
        north, east = "NS"[latitude < 0], "EW"[longitude < 0]
        return f"{abs(latitude):.5f}° {north}, {abs(longitude):.5f}° {east}"

    @property
    def refused(self) -> list[PhotoRecord]:
        """Photos that were not inspected."""
        return [record for record in self.visit.photos if record.refused]

    @cached_property
    def outcomes(self) -> Counter[Outcome]:
        """Number of findings with each outcome."""
        return Counter(one.outcome for one, _, _ in self.worst)

    @cached_property
    def findings(self) -> dict[int, Finding]:
        """All findings of the ledger by number."""
        return {finding.number: finding for finding in self.ledger.findings}

    def worst_outcome_of(self, photos: Sequence[InspectedPhoto]) -> Outcome:
        """Return the worst outcome of some photos and their findings; "no rule" without verdicts."""
        outcomes: list[Outcome] = [one.outcome for photo in photos for one in photo.seen]
        outcomes += [worst_outcome(photo.record.verdicts) for photo in photos if photo.record.verdicts]
        return min(outcomes, key=WORST_FIRST.index, default="no rule")

    def not_seen_again(self) -> list[Finding]:
        """Return the open findings of earlier visits that this visit has not observed."""
        return [
            finding
            for finding in self.ledger.findings
            if finding.state in ("open", "repaired")
            and finding.observations
            and all(one.visit != self.visit.number for one in finding.observations)
        ]
