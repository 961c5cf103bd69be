"""A fleet's run: photos and prompts in; masks and one table out, from workers on any number of machines."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drywallqa.files import check_folder
from drywallqa.fleet import cluster
from drywallqa.fleet.cluster import Fleet
from drywallqa.fleet.dispatch import BlockDispatcher
from drywallqa.fleet.locations import Location, is_address, open_location
from drywallqa.fleet.photo_listing import FleetPhoto, FoundPhotos, find_fleet_photos
from drywallqa.fleet.results_table import NAME, open_results, without_empty_columns
from drywallqa.fleet.worker import Opener, SegmentationRequest
from drywallqa.imaging import mask_files
from drywallqa.inference import batch_run
from drywallqa.inference.manifest import Record
from drywallqa.inference.outputs import MASK, Output
from drywallqa.inference.plan import PhotoOutcome, RunSettings, check_settings, split_refused
from drywallqa.inference.segmenter import Segmenter


@dataclass(frozen=True)
class FleetSummary:
    """What a run did.

    Attributes:
        done: Photos segmented.
        skipped: Photos whose results lay there already.
        failed: Photos, paths and prompts that failed.
        masks: Masks that now lie there for this run's photos and prompts.
        begun: How often a photo was begun; more than were to do only where workers were lost.
        seconds: How long it took.
        seconds_at_work: Of them, between the first and the last photo that were done.
        prompts: The prompts that could be asked.
        out: Where the results are.
        table: Where the table is; None where there was nothing to do.
    """

    done: int
    skipped: int
    failed: int
    masks: int
    begun: int
    seconds: float
    seconds_at_work: float
    prompts: tuple[str, ...]
    out: str
    table: str | None


def segment_fleet(
    opener: Opener,
    paths: Sequence[str | os.PathLike[str]],
    prompts: Sequence[str],
    out: str | os.PathLike[str],
    *,
    settings: RunSettings | None = None,
    outputs: Sequence[Output] = (),
    fleet: Fleet | None = None,
    on_start: Callable[[int], None] = lambda total: None,
    on_outcome: Callable[[PhotoOutcome], None] = lambda outcome: None,
) -> FleetSummary:
    """Segment photos on the workers of a Ray cluster, or of this machine.

    Masks are those of a plain run, under the same names; the table is `results.parquet` beside them. What
    an earlier run has done is not done again: a photo of the same size and time, under the same prompt,
    model and settings, whose mask lies there. Photos, results and the bundle must be reachable on every
    worker under the same path or address.

    Args:
        opener: Loads the segmenter, here and on each worker: `partial(drywallqa.load, threads=1)`.
        paths: Photos, folders and patterns on disks, or photos and folders in one store (`s3://`, `gs://`).
        prompts: What to look for.
        out: The folder for the results, on disk or in a store.
        settings: How photos are segmented.
        outputs: What is written beside the masks.
        fleet: Which workers.
        on_start: Called once with the number of photos.
        on_outcome: Called after each photo, and for each path and prompt that failed.

    Raises:
        MissingExtraError: Ray is not installed.
        BackendError: No cluster answers, or all workers failed.
        OutputError: Nothing can be written.
        ConfigError: A setting, an address, or the mix of places is impossible.
    """
    began = time.perf_counter()
    chosen = settings or RunSettings()
    check_settings(chosen)
    place = _open_out(out)
    segmenter = opener()
    askable, refused = split_refused(segmenter.bundle, prompts, chosen.allow_unknown)
    found = find_fleet_photos(paths, place, recursive=chosen.recursive)
    counted = _Counted(askable, on_outcome)
    failed = (*refused, *found.refused)
    for outcome in failed:
        counted.take(outcome)
    on_start(len(found.each))
    task = SegmentationRequest(askable, chosen, (MASK, *outputs), found.place, place)
    run = _Run(opener, task, found, fleet or Fleet(), counted)
    run.table.take_back(map(str, paths), askable)
    run.table.add_records([outcome.failure() for outcome in failed])
    begun, table = run.run(segmenter), None
    if askable and found.each:
        table = str(Path(place.shown, NAME)) if place.is_local else place.name(place.below(NAME))
    return FleetSummary(
        **counted.counts,
        masks=counted.masks,
        begun=begun,
        seconds=time.perf_counter() - began,
        seconds_at_work=counted.last - counted.first,
        prompts=askable,
        out=place.shown,
        table=table,
    )


def _open_out(out: str | os.PathLike[str]) -> Location:
    text = os.fspath(out)
    if not is_address(text):
        check_folder(text)
    return open_location(text)


class _Counted:
    """Passes outcomes on, and counts them."""

    def __init__(self, prompts: Sequence[str], on_outcome: Callable[[PhotoOutcome], None]) -> None:
        self.counts = dict.fromkeys(("done", "skipped", "failed"), 0)
        self.masks, self.first, self.last = 0, 0.0, 0.0
        self._order = {prompt: place for place, prompt in enumerate(prompts)}
        self._on_outcome = on_outcome

    def take(self, outcome: PhotoOutcome) -> None:
        self.counts[outcome.status] += 1
        self.masks += sum("mask" in record for record in outcome.records)
        self._on_outcome(outcome)

    def take_rows(self, source: str, rows: Sequence[Record], earlier: Sequence[Record]) -> None:
        """Take what a worker or an earlier run made of one photo."""
        now = time.perf_counter()
        self.first, self.last = self.first or now, now
        errors = [str(row["error"]) for row in rows if row["error"] is not None]
        records = [
            *map(without_empty_columns, earlier),
            *(without_empty_columns(row) for row in rows if row["error"] is None),
        ]
        records.sort(key=lambda record: self._order[record["prompt"]])
        status = "failed" if errors else "done" if rows else "skipped"
        self.take(PhotoOutcome(status, source, tuple(records), errors[0] if errors else None))


class _Run:
    def __init__(
        self, opener: Opener, task: SegmentationRequest, found: FoundPhotos, fleet: Fleet, counted: _Counted
    ) -> None:
        self.opener, self.task, self.found, self.fleet, self.counted = opener, task, found, fleet, counted
        self.table = open_results(task.out, [output.kind for output in task.outputs])
        self.earlier: dict[str, list[Record]] = {}

    def run(self, segmenter: Segmenter) -> int:
        """Do what is not done yet; return how often a photo was begun."""
        begun = 0
        try:
            if left := self._left(segmenter):
                begun = self._on_workers(left)
        finally:
            self.table.close()
        return begun

    def _left(self, segmenter: Segmenter) -> list[tuple[FleetPhoto, list[str]]]:
        """Find the prompts that each photo still has to be asked; report those that are done."""
        if not self.task.prompts:
            return []
        _, marks = batch_run.queries_for(segmenter, self.task.prompts, self.task.settings)
        known = self.table.done()
        lying = self._lying() if known else frozenset()
        left = []
        for photo in self.found.each:
            done = [
                row
                for prompt, mark in marks.items()
                if (row := known.get(MASK.path(photo.folder, mask_files.base_name(photo.image_id, prompt))))
                and (row.get("settings"), row.get("source_size"), row.get("source_modified"))
                == (mark, photo.size, photo.modified)
                and all(row.get(output.kind) in lying for output in self.task.outputs)
            ]
            self.earlier[photo.source] = done
            todo = [prompt for prompt in marks if prompt not in {row["prompt"] for row in done}]
            if todo:
                left.append((photo, todo))
            else:
                self.table.take_back([photo.source])
                self.counted.take_rows(photo.source, (), done)
        return left

    def _lying(self) -> frozenset[str]:
        """List the files that lie below the place for results."""
        out = self.task.out
        try:
            return frozenset(entry.path[len(out.below("")) :] for entry in out.entries())
        except OSError as error:
            raise out.unwritable(error) from error

    def _on_workers(self, left: list[tuple[FleetPhoto, list[str]]]) -> int:
        with cluster.reached(self.fleet.address) as ray, BlockDispatcher(ray, self.fleet) as blocks:
            for rows in blocks.segmented(self.opener, self.task, left):
                self.table.add(rows)
                self._report(rows)
            return blocks.begun()

    def _report(self, table: Any) -> None:
        """Report a block's photos, each with all of its rows."""
        grouped: dict[str, list[Record]] = {}
        for row in table.to_pylist():
            grouped.setdefault(row["source"], []).append(row)
        for source, rows in grouped.items():
            self.counted.take_rows(source, rows, self.earlier.get(source, ()))
