"""Record the photos of a run in the ledger: link findings, number them, and find out what is absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from drywallqa.inspection.ledger import Finding, Ledger, PhotoRecord, Visit
from drywallqa.inspection.numbering import record_visit
from drywallqa.workflows.inspected_photos import PhotoResult
from drywallqa.workflows.photo_links import link_photos

MAY_COUNT_TWICE = "findings may count twice, because other photos of this wall may show them too"


def record_photos(ledger: Ledger, visit: Visit, photos: Sequence[PhotoResult], folder: Path) -> Ledger:
    """Return the ledger with the photos of a run and their observations.

    Args:
        ledger: The ledger.
        visit: The visit, without photos.
        photos: The photos of the run.
        folder: Folder of the results.
    """
    photos = sorted(photos, key=lambda photo: photo.record.path)
    new = [photo for photo in photos if photo.is_new]
    seen = [one for photo in new for one in photo.seen]
    links = link_photos(ledger, visit, [photo.record for photo in new], seen, folder)
    thresholds = {name: value for photo in photos for name, value in photo.thresholds.items()}
    recorded = [one.thresholds for one in ledger.visits if one.number == visit.number]
    visit = replace(
        visit,
        photos=tuple(_noted(photo.record, photo.record.path in links.doubtful) for photo in new),
        thresholds=dict(sorted({**(recorded[0] if recorded else {}), **thresholds}.items())),
        compared=dict(sorted(links.compared.items())),
    )
    searched = {(photo.record.path, concept) for photo in new for concept in photo.thresholds}
    places = [photo.place for photo in photos]
    ledger = record_visit(ledger, visit, places, searched, seen, links.known, links.same)
    return replace(ledger, findings=tuple(_merged(finding, links.merged) for finding in ledger.findings))


def _noted(record: PhotoRecord, is_doubtful: bool) -> PhotoRecord:
    return replace(record, notes=(*record.notes, MAY_COUNT_TWICE)) if is_doubtful else record


def _merged(finding: Finding, merged: Mapping[int, int]) -> Finding:
    """Return a finding, merged into another one if the new visit shows both as one."""
    if finding.number not in merged:
        return finding
    return replace(finding, state="merged", into=(merged[finding.number],))


def absent_of(ledger: Ledger) -> set[tuple[str, str]]:
    """Return pairs of photo path and concept of the newest visit for which there is no open finding."""
    visit = ledger.visits[-1]
    found = {
        (observation.photo, finding.concept)
        for finding in ledger.findings
        if finding.state == "open"
        for observation in finding.observations
        if observation.visit == visit.number
    }
    searched = {(photo.path, concept) for photo in visit.photos for concept in visit.thresholds}
    return searched - found
