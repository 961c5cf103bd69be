"""A run on a fleet: photos and prompts in; masks and one table out, from workers on many machines."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from drywallqa.files import check_folder
from drywallqa.fleet import cluster, dispatch
from drywallqa.fleet.cluster import Fleet
from drywallqa.fleet.locations import is_address, open_location
from drywallqa.fleet.photo_listing import FleetPhoto, FoundPhotos, find_fleet_photos
from drywallqa.fleet.results_table import (
    NAME,
    FolderResults,
    StoreResults,
    open_results,
    without_empty_columns,
)
from drywallqa.fleet.worker import Opener, SegmentationRequest
from drywallqa.imaging import mask_files
from drywallqa.inference import batch_run
from drywallqa.inference.manifest import Record
from drywallqa.inference.outputs import MASK
from drywallqa.inference.plan import OutcomeCounter, PhotoOutcome, RunOptions, SegmentSummary, split_refused
from drywallqa.inference.segmenter import Segmenter


def segment_fleet(
    opener: Opener,
    paths: Sequence[str | os.PathLike[str]],
    prompts: Sequence[str],
    out: str | os.PathLike[str],
    options: RunOptions | None = None,
    *,
    fleet: Fleet | None = None,
    on_start: Callable[[int], None] = lambda total: None,
    on_outcome: Callable[[PhotoOutcome], None] = lambda outcome: None,
) -> SegmentSummary:
    """Segment photos on the workers of a Ray cluster, or of this machine.

    Masks are those of a local run, under the same names; the table is `results.parquet` beside them. A mask
    of an earlier run is not made again if it is still there and the photo has the same size and time, the
    same prompt, model and settings. Photos, results and the bundle must be reachable on every worker under
    the same path or address.

    Args:
        opener: Loads the segmenter, here and on each worker: `partial(drywallqa.load, threads=1)`.
        paths: Photos, folders and patterns on disks, or photos and folders in one store (`s3://`, `gs://`).
        prompts: The prompts.
        out: The folder for the results, on disk or in a store.
        options: How photos are segmented into it.
        fleet: The workers.
        on_start: Called once with the number of photos.
        on_outcome: Called after each photo, and for each path and prompt that failed.

    Raises:
        MissingExtraError: Ray is not installed.
        BackendError: No cluster answers, or all workers failed.
        OutputError: Nothing can be written.
        ConfigError: An address, or the mix of places is impossible.
    """
    counter, options = OutcomeCounter(on_outcome), options or RunOptions()
    if not is_address(os.fspath(out)):
        check_folder(out)
    place, segmenter = open_location(os.fspath(out)), opener()
    askable, refused = split_refused(segmenter.bundle, prompts, options.segment.allow_unknown)
    found = find_fleet_photos(paths, place, recursive=options.recursive)
    failed = (*refused, *found.refused)
    counter.count(failed)
    on_start(len(found.each))
    request = SegmentationRequest(askable, options, found.place, place)
    results = open_results(place, [output.kind for output in options.all_outputs])
    results.take_back(map(str, paths), askable)
    results.add_records([outcome.failure() for outcome in failed])
    run = _Run(opener, request, found, fleet or Fleet(), results)
    try:
        counter.count(run.outcomes(segmenter))
    finally:
        results.close()
    table = None
    if askable and found.each:
        table = str(Path(place.shown, NAME)) if place.is_local else place.name(place.below(NAME))
    return counter.summary(prompts=askable, out=place.shown, table=table, begun=run.begun)


class _Run:
    def __init__(
        self,
        opener: Opener,
        request: SegmentationRequest,
        found: FoundPhotos,
        fleet: Fleet,
        results: FolderResults | StoreResults,
    ) -> None:
        self.opener, self.request, self.found = opener, request, found
        self.fleet, self.results, self.begun = fleet, results, 0
        self.done: dict[str, list[Record]] = {}

    def outcomes(self, segmenter: Segmenter) -> Iterator[PhotoOutcome]:
        """Yield photos that are done already, then have the others segmented."""
        work: list[tuple[FleetPhoto, list[str]]] = []
        for photo, todo in self._todo(segmenter):
            if todo:
                work.append((photo, todo))
            else:
                self.results.take_back([photo.source])
                yield self._outcome(photo.source, ())
        if not work:
            return
        with cluster.reached(self.fleet.address) as ray, dispatch.BlockDispatcher(ray, self.fleet) as blocks:
            for table in blocks.segmented(self.opener, self.request, work):
                self.results.add(table)
                grouped: dict[str, list[Record]] = {}
                for row in table.to_pylist():
                    grouped.setdefault(row["source"], []).append(row)
                for source, rows in grouped.items():
                    yield self._outcome(source, rows)
            self.begun = blocks.begun()

    def _todo(self, segmenter: Segmenter) -> Iterator[tuple[FleetPhoto, list[str]]]:
        """Yield each photo with the prompts that it has still to be asked; note the records of the others."""
        if not self.request.prompts:
            return
        options, out = self.request.options, self.request.out
        _, marks = batch_run.queries_for(segmenter, self.request.prompts, options.segment)
        known = self.results.done()
        present: frozenset[str] = frozenset()
        try:
            if known:
                present = frozenset(entry.path[len(out.below("")) :] for entry in out.entries())
        except OSError as error:
            raise out.unwritable(error) from error
        for photo in self.found.each:
            done = self.done[photo.source] = [
                row
                for prompt, mark in marks.items()
                if (row := known.get(MASK.path(photo.folder, mask_files.base_name(photo.image_id, prompt))))
                and (row.get("settings"), row.get("source_size"), row.get("source_modified"))
                == (mark, photo.size, photo.modified)
                and all(row.get(output.kind) in present for output in options.all_outputs)
            ]
            yield photo, [prompt for prompt in marks if prompt not in {row["prompt"] for row in done}]

    def _outcome(self, source: str, rows: Sequence[Record]) -> PhotoOutcome:
        """Make a photo's outcome from the rows of a worker and the records of earlier runs."""
        errors = [str(row["error"]) for row in rows if row["error"] is not None]
        done = [*self.done.get(source, ()), *(row for row in rows if row["error"] is None)]
        records = [without_empty_columns(row) for row in done]
        records.sort(key=lambda record: self.request.prompts.index(record["prompt"]))
        status = "failed" if errors else "done" if rows else "skipped"
        return PhotoOutcome(status, source, tuple(records), errors[0] if errors else None)
