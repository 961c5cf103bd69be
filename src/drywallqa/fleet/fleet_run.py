"""Segment photos with Ray workers on one or several machines. The run writes masks and one table."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from drywallqa.errors import ConfigError
from drywallqa.files import check_folder
from drywallqa.fleet import cluster
from drywallqa.fleet.cluster import Fleet
from drywallqa.fleet.locations import is_address, open_location
from drywallqa.fleet.photo_listing import FleetPhoto, find_fleet_photos
from drywallqa.fleet.results_table import (
    NAME,
    FolderResults,
    StoreResults,
    without_empty_columns,
)
from drywallqa.fleet.worker import Opener, SegmentationRequest
from drywallqa.imaging import mask_files
from drywallqa.inference import batch_run
from drywallqa.inference.manifest import Record
from drywallqa.inference.outputs import MASK
from drywallqa.inference.plan import PhotoOutcome, RunOptions, SegmentSummary, count_outcomes, split_refused
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
    """Segment photos with Ray workers on a cluster or on this machine.

    The masks and their file names are the same as in a local run. The run also writes the table
    `results.parquet`. A mask of an earlier run is kept if its file exists and if the photo's size and
    modification time, the prompt, the model and the settings have not changed. Photos, results and the bundle
    must have the same path or address on every worker.

    Args:
        opener: Function that loads the segmenter, for example `partial(drywallqa.load, threads=1)`. It is
            called in this process and on each worker.
        paths: Photos, folders and patterns on disk, or photos and folders in one object store (`s3://` or
            `gs://`).
        prompts: Text prompts.
        out: Folder for the results, on disk or in a store.
        options: Options of the run.
        fleet: The Ray cluster, the number of workers, and the cores and GPUs of each worker.
        on_start: Called once, with the number of photos.
        on_outcome: Called for each finished or failed photo, and for each rejected path and prompt.

    Raises:
        MissingExtraError: Ray is not installed.
        BackendError: No Ray cluster answers at the address, or the workers failed.
        OutputError: The results cannot be written.
        ConfigError: An address is invalid, the photos are in different stores, or labels are requested.
    """
    start, options = time.perf_counter(), options or RunOptions()
    if options.labels:
        raise ConfigError("--format writes labels only with --engine local; run it on the same folder later")
    if not is_address(os.fspath(out)):
        check_folder(out)
    place, segmenter = open_location(os.fspath(out)), opener()
    askable, refused = split_refused(segmenter.bundle, prompts, options.segment.allow_unknown)
    source, photos, unreachable = find_fleet_photos(paths, place, recursive=options.recursive)
    on_start(len(photos))
    kinds = [output.kind for output in options.all_outputs]
    results = FolderResults(place) if place.is_local else StoreResults(place, kinds)
    results.take_back(map(str, paths), askable)
    failed = (*refused, *unreachable)
    for outcome in failed:
        results.add(outcome.failure())
    request = SegmentationRequest(askable, options, source, place)
    outcomes = _outcomes(opener, segmenter, request, photos, fleet or Fleet(), results)
    try:
        counts = count_outcomes(chain(failed, outcomes), on_outcome)
    finally:
        results.close()
    table = None
    if askable and photos:
        table = str(Path(place.shown, NAME)) if place.is_local else place.name(place.below(NAME))
    seconds = time.perf_counter() - start
    return SegmentSummary(**counts, seconds=seconds, prompts=askable, out=place.shown, table=table)


def _outcomes(
    opener: Opener,
    segmenter: Segmenter,
    request: SegmentationRequest,
    photos: Sequence[FleetPhoto],
    fleet: Fleet,
    results: FolderResults | StoreResults,
) -> Iterator[PhotoOutcome]:
    """Yield the outcomes of photos that earlier runs finished, then segment the other photos."""
    if not request.prompts:
        return
    work: list[tuple[FleetPhoto, list[str]]] = []
    earlier = _done_earlier(segmenter, request, photos, results)
    for photo in photos:
        done = earlier[photo.source]
        todo = [prompt for prompt in request.prompts if prompt not in {row["prompt"] for row in done}]
        if todo:
            work.append((photo, todo))
        else:
            results.take_back([photo.source])
            yield _outcome(photo.source, (), done, request)
    if work:
        with cluster.reached(fleet.address) as ray:
            for table in cluster.segment_blocks(ray, fleet, opener, request, work):
                results.add_table(table)
                grouped: dict[str, list[Record]] = {}
                for row in table.to_pylist():
                    grouped.setdefault(row["source"], []).append(row)
                for source, rows in grouped.items():
                    yield _outcome(source, rows, earlier[source], request)


def _done_earlier(
    segmenter: Segmenter,
    request: SegmentationRequest,
    photos: Sequence[FleetPhoto],
    results: FolderResults | StoreResults,
) -> dict[str, list[Record]]:
    """Return the records of earlier runs that are still valid, grouped by the source of the photo."""
    outputs, out, known = request.options.all_outputs, request.out, results.masks
    _, marks = batch_run.queries_for(segmenter, request.prompts, request.options.segment)
    try:
        present = {entry.path[len(out.below("")) :] for entry in out.entries()} if known else set()
    except OSError as error:
        raise out.unwritable(error) from error
    return {
        photo.source: [
            row
            for prompt, mark in marks.items()
            if (row := known.get(MASK.path(photo.folder, mask_files.base_name(photo.image_id, prompt))))
            and (row.get("settings"), row.get("source_size"), row.get("source_modified"))
            == (mark, photo.size, photo.modified)
            and all(row.get(output.kind) in present for output in outputs)
        ]
        for photo in photos
    }


def _outcome(
    source: str, rows: Sequence[Record], earlier: Sequence[Record], request: SegmentationRequest
) -> PhotoOutcome:
    errors = [str(row["error"]) for row in rows if row["error"] is not None]
    done = [*earlier, *(row for row in rows if row["error"] is None)]
    records = [without_empty_columns(row) for row in done]
    records.sort(key=lambda record: request.prompts.index(record["prompt"]))
    status = "failed" if errors else "done" if rows else "skipped"
    return PhotoOutcome(status, source, tuple(records), errors[0] if errors else None)
