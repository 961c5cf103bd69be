"""The photos of an inspection: measure their findings, and find their scale."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import DataError, DrywallQAError, MissingExtraError
from drywallqa.files import file_digest
from drywallqa.formats.outlines import draw_ring
from drywallqa.imaging.camera_tags import read_camera_tags
from drywallqa.imaging.line_search import paint_lines
from drywallqa.imaging.mask_files import encode_mask
from drywallqa.imaging.photos import read_photo
from drywallqa.imaging.straight_lines import StraightLine
from drywallqa.inference.manifest import Record
from drywallqa.inference.outputs import Output
from drywallqa.inference.plan import PhotoOutcome, PlannedPhoto, RunPlan
from drywallqa.inference.prediction import Prediction
from drywallqa.inspection.detection_limit import DetectionRange, detection_range
from drywallqa.inspection.finding_pieces import Rings
from drywallqa.inspection.finding_search import measure_outline, search_findings
from drywallqa.inspection.ledger import Ledger, Observation, PhotoRecord, Place, Visit
from drywallqa.inspection.numbering import PlacedObservation
from drywallqa.inspection.observing import PhotoView, observe, scale_of_record, scale_record
from drywallqa.inspection.scale import Scale
from drywallqa.inspection.scale_sources import ScaleOptions, find_scale
from drywallqa.inspection.sightings import Sightings, encode_sightings, read_sightings

if TYPE_CHECKING:
    from drywallqa.inference.wrapped_model import RunnableBundle


SIGHTINGS, FINDING_MASKS = "sightings", "finding-masks"
HERE = "."  # id of the place of photos that lie directly in the inspected folder


class Measuring:
    """Measures the findings of predictions while the photos are segmented.

    Attributes:
        concepts: The concepts that the model knows.
        outputs: The kinds of files that measuring writes for each photo and prompt.
        seconds: Processor time that measuring took so far.
    """

    def __init__(self, bundle: RunnableBundle) -> None:
        self.concepts = set(bundle.concepts)
        self._straight = {name for name, settings in bundle.concepts.items() if settings.straight}
        self._lock = threading.Lock()
        self.seconds = 0.0
        self._thread = threading.local()
        self.outputs = (
            Output(SIGHTINGS, ".sightings.json.gz", self._encode, SIGHTINGS),
            Output("finding_mask", ".png", self._encode_mask, FINDING_MASKS),
        )

    def is_joint(self, concept: str | None) -> bool:
        """Return whether a concept is a joint: a straight line, or the band along it."""
        return concept in self._straight

    def _encode(self, photo: NDArray[np.uint8], prediction: Prediction) -> bytes:
        return encode_sightings(self._sightings(photo, prediction))

    def _encode_mask(self, photo: NDArray[np.uint8], prediction: Prediction) -> bytes:
        """Encode the mask [H,W] of all findings: the cracks' own pixels, and the marked areas of joints."""
        if self.is_joint(prediction.concept):
            return encode_mask(prediction.mask)
        lines = [line for one in self._sightings(photo, prediction).found for line in one.lines]
        return encode_mask(paint_lines(lines, prediction.mask.shape))

    def _sightings(self, photo: NDArray[np.uint8], prediction: Prediction) -> Sightings:
        """Measure the findings of a prediction on a photo [H,W,3], once for all outputs."""
        last = getattr(self._thread, "last", None)
        if last is not None and last[0] is prediction:
            return cast(Sightings, last[1])
        start = time.thread_time()
        found = search_findings(
            photo, prediction.mask, prediction.probability,
            concept_name(prediction.concept, prediction.prompt), joints=self.is_joint(prediction.concept),
        )  # fmt: skip
        self._thread.last = (prediction, found)
        with self._lock:
            self.seconds += time.thread_time() - start
        return found


class DrawnOutlines:
    """Measures outlines that people drew on photos of the newest visit."""

    def __init__(self, ledger: Ledger, folder: Path, measuring: Measuring) -> None:
        self._visit, self._measuring = ledger.visits[-1], measuring
        self._base = folder / self._visit.folder
        self._records = {photo.path: photo for photo in self._visit.photos}

    def measure(self, path: str, concept: str, rings: Rings) -> Observation:
        """Measure the pixels inside rings on a photo as one finding.

        Raises:
            PhotoError: The photo cannot be read.
            DataError: The photo has changed since its inspection, or the outline is empty.
        """
        record, photo = self._records[path], read_photo(self._base / path)
        if file_digest(self._base / path) != record.digest:
            raise DataError(f"{path} has changed since its inspection, so outlines on it cannot be measured")
        outline = np.zeros(photo.shape[:2], np.bool_)
        for ring in rings:
            draw_ring(outline, (np.array(ring) + 0.5).clip(0, outline.shape[::-1]))
        if not outline.any():
            raise DataError(f"an outline on {path} contains no pixel; draw a larger one")
        sighting = measure_outline(photo, outline, concept, joints=self._measuring.is_joint(concept))
        scale = scale_of_record(record.scale) if record.scale else None
        view = PhotoView(self._visit.number, path, self._visit.model, max(outline.shape), scale)
        return observe(sighting, view)


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
        is_new: False if the ledger already contains these results.
    """

    record: PhotoRecord
    place: Place
    seen: tuple[PlacedObservation, ...] = ()
    thresholds: dict[str, float] = field(default_factory=dict)
    is_new: bool = True


class PhotoReader:
    """Reads the results of the segmentation, one photo after the other."""

    def __init__(
        self, plan: RunPlan, visit: Visit, scale: ScaleOptions, ledger: Ledger, bundle: RunnableBundle
    ) -> None:
        self._bundle = bundle
        self._plan, self._visit, self._scale = plan, visit, scale
        self._items = {str(item.path): item for item in plan.items}
        same = [one for one in ledger.visits if one.number == visit.number]
        self._earlier = {photo.path: photo for one in same for photo in one.photos}
        self._same_model = any(one.model_digest == visit.model_digest for one in same)

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
        record = PhotoRecord(path, place.id, digest, refused=_without_path(str(outcome.error), item.path))
        return outcome, PhotoResult(record, place)

    def _measured(
        self, item: PlannedPhoto, path: str, place: Place, outcome: PhotoOutcome, found: dict[str, Sightings]
    ) -> tuple[PhotoOutcome, PhotoResult | None]:
        about, visit = outcome.records[0], self._visit
        scale, problem = self._scale_or_problem(item.path, found)
        refused = "; ".join(remark for sightings in found.values() for remark in sightings.remarks)
        quality = tuple(dict.fromkeys(note for record in outcome.records for note in record["quality"]))
        shown = None if quality or "crack" not in found else self._detection_range(about)
        record = PhotoRecord(
            path, place.id, about["source_sha256"], about["width"], about["height"], quality,
            scale_record(scale) if scale else None, shown.narrowest.high if shown else None,
            shown.widest if shown else None, refused, (problem,) if problem else (),
        )  # fmt: skip
        if refused or problem:
            problems = "; ".join(filter(None, (refused, problem)))
            outcome = replace(outcome, error=f"{item.path}: {problems}")
        thresholds = {
            concept_name(one["concept"], one["prompt"]): one["threshold"] for one in outcome.records
        }
        if self._is_recorded(record, outcome):
            return outcome, PhotoResult(record, place, thresholds=thresholds, is_new=False)
        view = PhotoView(visit.number, path, visit.model, max(about["height"], about["width"]), scale)
        seen = tuple(
            PlacedObservation(place.id, concept, observe(sighting, view))
            for concept, sightings in found.items()
            for sighting in sightings.found
        )
        return outcome, PhotoResult(record, place, seen, thresholds)

    def _is_recorded(self, record: PhotoRecord, outcome: PhotoOutcome) -> bool:
        """Return whether the ledger contains the results of an earlier run with the same input."""
        earlier = self._earlier.get(record.path)
        if earlier is None or outcome.status != "skipped" or not self._same_model:
            return False
        scale = record.scale if self._scale.has_source else earlier.scale  # without a source, it stays
        return (earlier.digest, earlier.scale, earlier.refused) == (record.digest, scale, record.refused)

    def _scale_or_problem(self, path: Path, found: dict[str, Sightings]) -> tuple[Scale | None, str]:
        try:
            return (self._scale_of(path, found) if self._scale.has_source else None), ""
        except MissingExtraError:
            raise
        except DrywallQAError as error:
            reason = _without_path(str(error), path)
            return None, f"no scale was found, so sizes are in pixels only: {reason}"

    def _detection_range(self, about: Record) -> DetectionRange | None:
        """Return the widths that are found reliably; None if they are unknown for these options."""
        options = self._plan.options.segment
        if options.threshold != "auto" or options.scale != "auto":
            return None
        return detection_range(self._bundle.name, self._bundle.window, about["height"], about["width"])

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


def _without_path(error: str, path: Path) -> str:
    """Return an error without the path of its photo, which can contain folders of this machine."""
    return error.removeprefix(f"{path}: ")


def _digest_of(path: Path) -> str:
    """Return the SHA-256 of a photo, or "" if the photo cannot be read."""
    try:
        return file_digest(path)
    except (OSError, ValueError):
        return ""
