"""The walls of the inspection report, with one page per photo: overview, findings, close-ups, quality."""

from __future__ import annotations

from collections.abc import Iterator

from drywallqa.inspection.ledger import Observation
from drywallqa.inspection.measure_text import length_text
from drywallqa.inspection.measures import NORMAL_95
from drywallqa.reports.document import (
    Badge,
    Banner,
    Block,
    Callout,
    Chapter,
    Paragraph,
    Picture,
    Pictures,
    Table,
    as_sentence,
    bold,
    code,
    escape,
)
from drywallqa.reports.inspection_cells import (
    LIMIT_TERMS,
    deciding_verdicts,
    detection_text,
    kind_text,
    remark_text,
    size_text,
)
from drywallqa.reports.inspection_material import InspectedPhoto, InspectedWall, InspectionMaterial
from drywallqa.reports.picture_budget import budget_share, read_picture
from drywallqa.visualization.inspection_pictures import (
    CLOSE_UPS,
    Seen,
    close_up_name,
    overview_name,
    picture_folder,
)

_TALLEST = 88.0  # mm on paper, so that overview, table and four close-ups fit on one page
_BUDGET = 40_000_000  # bytes of all pictures of one document; HTML needs a third more


def wall_chapters(material: InspectionMaterial) -> Iterator[Chapter]:
    """Yield the chapter "Walls and photos" with a section per wall and a part per photo.

    Raises:
        DataError: A picture is missing.
    """
    if not material.walls:
        return
    yield Chapter("Walls and photos", list(_introduction(material)), new_page=True)
    pages = _PhotoPages(material)
    for place, wall in enumerate(material.walls, 1):
        first = wall.photos[0]
        yield Chapter(escape(wall.title), [_wall_text(wall)], 2, f"wall-{place}", new_page=place > 1)
        for photo in wall.photos:
            title = f"Photo {photo.number}: {code(photo.name)}"
            yield Chapter(title, list(pages.blocks(photo)), 3, photo.key, new_page=photo is not first)


def _introduction(material: InspectionMaterial) -> Iterator[Block]:
    unit = (
        "inches, with the nearest 1/64 in brackets,"
        if material.options.units == "imperial"
        else "millimetres"
    )
    yield Paragraph(
        f"Sizes are in {unit} if the scale of a photo is known, else in pixels (px). The numbers in round "
        "brackets are the 95 % interval. “≤” means that the photo can show only that a width is at most this "
        f"value. Only the {CLOSE_UPS} worst findings of a photo have a close-up. A close-up shows where the "
        "finding is (left) and its widest part with the measured edges (right)."
    )


def _wall_text(wall: InspectedWall) -> Paragraph:
    folder = f"Folder {code(wall.place.id)}. " if wall.place.id else ""
    photos, found = len(wall.photos), len(wall.worst)
    return Paragraph(
        f"{folder}{photos} {'photo' if photos == 1 else 'photos'}, "
        f"{found or 'no'} {'finding' if found == 1 else 'findings'}."
    )


class _PhotoPages:
    """Makes the blocks of the photos' pages."""

    def __init__(self, material: InspectionMaterial) -> None:
        self.material, self.units = material, material.options.units
        self.folder = picture_folder(material.folder, material.visit.number)
        names = [overview_name(photo.record.path) for photo in material.photos]
        for photo in material.photos:
            names += [close_up_name(photo.record.path, one.number) for one in photo.seen[:CLOSE_UPS]]
        self.share = budget_share((self.folder / name for name in names if self._is_drawn(name)), _BUDGET)

    def blocks(self, photo: InspectedPhoto) -> Iterator[Block]:
        """Yield the blocks of one photo."""
        yield Paragraph(self._about(photo))
        for fault in photo.record.quality:
            yield Callout(as_sentence(fault))
        if not photo.seen:
            yield self._nothing_found(photo)
        alt = f"Photo {photo.number} with {len(photo.seen)} numbered findings"
        overview = overview_name(photo.record.path)
        if self._is_drawn(overview):
            yield Pictures([self._picture(overview, alt)], tallest=_TALLEST)
        else:
            yield Callout("The photo is missing or has changed since its inspection, so it is not shown.")
        if photo.seen:
            yield self._table(photo)
            if close := [self._close_up(photo, one) for one in self._drawn(photo)]:
                yield Pictures(close, pairs=True)

    def _about(self, photo: InspectedPhoto) -> str:
        record = photo.record
        parts = [f"{record.width} × {record.height} px"]
        if record.scale:
            per_pixel = length_text(record.scale.mm_per_pixel, "mm", self.units)
            spread = f"{NORMAL_95 * record.scale.relative_sigma:.1%}"
            parts.append(f"{per_pixel} per pixel ± {spread} ({escape(record.scale.source)})")
        else:
            parts.append("no scale, so sizes are in pixels")
        if position := self.material.position_of(photo):
            parts.append(position)
        limit = detection_text(record, self.units)
        sentence = f"Detected cracks: {bold(limit)} ({LIMIT_TERMS}). Others are missed more often."
        if record.detection_limit_px is None:
            sentence = "It is unknown which cracks would have been found."
        notes = " ".join(map(as_sentence, record.notes))
        return f"{' · '.join(parts)}. {sentence} {notes}".strip()

    def _nothing_found(self, photo: InspectedPhoto) -> Banner:
        record = photo.record
        verdicts = deciding_verdicts(record.verdicts)
        parts = [as_sentence(text) for v in verdicts for text in (v.reason, v.advice) if text]
        if not parts and record.detection_limit_px is not None:
            limit = detection_text(record, self.units)
            parts = [f"A crack that is {limit} would have been found ({LIMIT_TERMS})."]
        outcome = self.material.worst_outcome_of([photo])
        return Banner(" ".join(map(escape, filter(None, parts))), outcome=outcome, title="Nothing found")

    def _table(self, photo: InspectedPhoto) -> Table:
        rows = [
            (
                f"{one.number}", Badge(one.outcome), kind_text(one),
                *(size_text(one, name, self.units) for name in ("length", "width_mean", "width_max")),
                remark_text(one, self._earlier(one), self.units),
            )
            for one in photo.seen
        ]  # fmt: skip
        head = ("No.", "Verdict", "Finding", "Length", "Mean width", "Largest width", "Remarks")
        return Table(head, rows, words=3, last_words=1)

    def _earlier(self, one: Seen) -> Observation | None:
        """Return the finding's newest observation before this visit."""
        before = [
            other
            for other in self.material.findings[one.number].observations
            if other.visit < one.observation.visit
        ]
        return max(before, key=lambda other: other.visit, default=None)

    def _is_drawn(self, name: str) -> bool:
        """Return whether a picture exists: it cannot be drawn if its photo is missing or has changed."""
        return (self.folder / name).is_file()

    def _drawn(self, photo: InspectedPhoto) -> list[Seen]:
        """Return the worst findings that have a close-up."""
        worst = photo.seen[:CLOSE_UPS]
        return [one for one in worst if self._is_drawn(close_up_name(photo.record.path, one.number))]

    def _close_up(self, photo: InspectedPhoto, one: Seen) -> Picture:
        width = size_text(one, "width_max", self.units)
        caption = f"**No. {one.number}**, {one.outcome}: {kind_text(one)}, largest width {width}"
        name = close_up_name(photo.record.path, one.number)
        return self._picture(name, f"Context and close-up of finding {one.number}", caption)

    def _picture(self, name: str, alt: str, caption: str = "") -> Picture:
        return Picture(read_picture(self.folder / name, self.share), name, alt, caption)
