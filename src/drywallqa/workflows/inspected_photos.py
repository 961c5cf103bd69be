"""The photos of an inspection: measure their findings, and find their scale."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import DrywallQAError, MissingExtraError
from drywallqa.files import file_digest
from drywallqa.imaging.camera_tags import read_camera_tags
from drywallqa.imaging.photos import read_photo
from drywallqa.imaging.straight_lines import StraightLine
from drywallqa.inference.outputs import Output
from drywallqa.inference.plan import PhotoOutcome, PlannedPhoto, RunPlan
from drywallqa.inference.prediction import Prediction
from drywallqa.inspection.finding_search import search_findings
from drywallqa.inspection.ledger import Ledger, PhotoRecord, Place, Visit
from drywallqa.inspection.numbering import PlacedObservation
from drywallqa.inspection.observing import PhotoView, observe, scale_record
from drywallqa.inspection.scale import Scale
from drywallqa.inspection.scale_sources import ScaleOptions, find_scale
from drywallqa.inspection.sightings import Sightings, encode_sightings, read_sightings

if TYPE_CHECKING:
    from drywallqa.inference.wrapped_model import RunnableBundle


SIGHTINGS = "sightings"
HERE = "."  # id of the place of photos that lie directly in the inspected folder


class Measuring:
    """Measures the findings of predictions while the photos are segmented.

    Attributes:
        seconds: Processor time that measuring took so far.
    """

    def __init__(self, bundle: RunnableBundle) -> None:
        self._straight = {name for name, settings in bundle.concepts.items() if settings.straight}
        self._lock = threading.Lock()
        self.seconds = 0.0
        self.output = Output(SIGHTINGS, ".sightings.json.gz", self._encode, SIGHTINGS)

    def _encode(self, photo: NDArray[np.uint8], prediction: Prediction) -> bytes:
        """Measure the findings of one prediction on a photo [H,W,3]."""
        start, concept = time.thread_time(), concept_name(prediction.concept, prediction.prompt)
        found = search_findings(
            photo,
            prediction.mask,
            prediction.probability,
            concept,
            joints=prediction.concept in self._straight,
        )
        content = encode_sightings(found)
        with self._lock:
            self.seconds += time.thread_time() - start
        return content


def concept_name(concept: str | None, prompt: str) -> str:
    """Return the concept, or the prompt of a concept that the model does not know."""
    return concept if concept is not None else prompt


@dataclass(frozen=True)
class PhotoResult:
    """One photo of a run.

    Attributes:
        record: The record for the ledger.
        place: The place of the photo.
        seen: Its observations, largest first.
        thresholds: Mask threshold of each concept that was searched.
    """

    record: PhotoRecord
    place: Place
    seen: tuple[PlacedObservation, ...] = ()
    thresholds: dict[str, float] = field(default_factory=dict)


class PhotoReader:
    """Reads the results of the segmentation, one photo after the other."""

    def __init__(self, plan: RunPlan, visit: Visit, scale: ScaleOptions, ledger: Ledger) -> None:
        self._plan, self._visit, self._scale = plan, visit, scale
        self._items = {str(item.path): item for item in plan.items}
        same = [one for one in ledger.visits if one.number == visit.number]
        self._earlier = {photo.path: photo for one in same for photo in one.photos}

    def read(self, outcome: PhotoOutcome) -> tuple[PhotoOutcome, PhotoResult | None]:
        """Return what was found in a photo.

        Returns:
            The outcome, whose error also names a problem with the scale or the mask. The photo; None if there
            is no photo, or if the results of an earlier run of this visit stay.

        Raises:
            MissingExtraError: The scale needs a package that is not installed.
        """
        item = self._items.get(str(outcome.source))
        if item is None:
            return outcome, None
        place = place_of(item.folder, self._plan.base)
        path = f"{item.folder}/{item.path.name}" if item.folder else item.path.name
        if outcome.error is not None:
            return self._refused(item, path, place, outcome)
        found = {
            concept_name(record["concept"], record["prompt"]): read_sightings(
                self._plan.out / record[SIGHTINGS]
            )
            for record in outcome.records
        }
        return self._measured(item, path, place, outcome, found)

    def _refused(
        self, item: PlannedPhoto, path: str, place: Place, outcome: PhotoOutcome
    ) -> tuple[PhotoOutcome, PhotoResult | None]:
        """Return a photo that was not segmented, unless an earlier run of this visit did so."""
        digest, earlier = _digest_of(item.path), self._earlier.get(path)
        if earlier is not None and not earlier.refused:
            if digest not in ("", earlier.digest):
                error = (
                    f"{item.path}: the photo has changed since its inspection on {self._visit.date}; "
                    "add --visit new for a new visit, or --overwrite to replace its results"
                )
                outcome = replace(outcome, error=error)
            return outcome, None
        record = PhotoRecord(path, place.id, digest, refused=str(outcome.error))
        return outcome, PhotoResult(record, place)

    def _measured(
        self, item: PlannedPhoto, path: str, place: Place, outcome: PhotoOutcome, found: dict[str, Sightings]
    ) -> tuple[PhotoOutcome, PhotoResult]:
        about, visit = outcome.records[0], self._visit
        problems = [remark for sightings in found.values() for remark in sightings.remarks]
        refused = "; ".join(problems)
        scale: Scale | None = None
        notes: tuple[str, ...] = ()
        try:
            scale = self._scale_of(item.path, found) if self._scale.has_source else None
        except MissingExtraError:
            raise
        except DrywallQAError as error:
            problems.append(f"no scale was found, so sizes are in pixels only: {error}")
            notes = (problems[-1],)
        view = PhotoView(visit.number, path, visit.model, max(about["height"], about["width"]), scale)
        if problems:
            outcome = replace(outcome, error=f"{item.path}: {'; '.join(problems)}")
        return outcome, PhotoResult(
            PhotoRecord(
                path, place.id, about["source_sha256"], about["width"], about["height"],
                tuple(dict.fromkeys(note for record in outcome.records for note in record["quality"])),
                scale_record(scale) if scale else None, refused=refused, notes=notes,
            ),
            place,
            tuple(
                PlacedObservation(place.id, concept, observe(sighting, view))
                for concept, sightings in found.items()
                for sighting in sightings.found
            ),
            {concept_name(one["concept"], one["prompt"]): one["threshold"] for one in outcome.records},
        )  # fmt: skip

    def _scale_of(self, path: Path, found: dict[str, Sightings]) -> Scale | None:
        joints = [
            StraightLine.between(*sighting.joint.ends)
            for sightings in found.values()
            for sighting in sightings.found
            if sighting.joint is not None
        ]
        return find_scale(read_photo(path), self._scale, read_camera_tags(path), joints)


def place_of(folder: str, base: Path) -> Place:
    """Return the place of a folder relative to the inspected folder; the last folder is a wall of a room."""
    room, _, wall = folder.rpartition("/")
    if not folder:
        return Place(HERE, wall=base.name)
    return Place(folder, room, wall) if room else Place(folder, wall)


def _digest_of(path: Path) -> str:
    """Return the SHA-256 of a photo, or "" if the photo cannot be read."""
    try:
        return file_digest(path)
    except (OSError, ValueError):
        return ""
