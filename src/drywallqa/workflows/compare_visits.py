"""Compare two visits: align their photos, match their findings, and write what changed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from drywallqa.errors import DataError, OutputError
from drywallqa.files import check_folder, json_bytes, write_whole
from drywallqa.imaging.photo_search import absolute_path
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inspection.ledger import Ledger
from drywallqa.inspection.visit_changes import FindingChange, VisitPair, find_changes, with_states
from drywallqa.inspection.visit_ledger import joined_ledger, seen_in_visit
from drywallqa.inspection.visits import PhotoPair, match_findings
from drywallqa.reports.comparison_report import ComparisonMaterial, write_comparison_report
from drywallqa.reports.sweep_table import csv_text
from drywallqa.visualization.comparison_pictures import write_comparison_picture
from drywallqa.workflows.inspect import InspectOptions, inspect, relative_path
from drywallqa.workflows.inspection_files import LEDGER, write_tables
from drywallqa.workflows.visit_photos import InspectedVisit, align_visits, check_different, open_visit

COMPARISON = "comparison.json"


@dataclass(frozen=True)
class CompareSummary:
    """The results of a comparison.

    Attributes:
        ledger: The ledger with both visits.
        changes: The change of each finding, sorted by number.
        pairs: Aligned photos.
        unmatched: Later photos that could not be aligned with an earlier photo.
        problems: One sentence for each photo that could not be compared.
        out: The folder of the results.
    """

    ledger: Ledger
    changes: tuple[FindingChange, ...]
    pairs: tuple[PhotoPair, ...]
    unmatched: tuple[str, ...]
    problems: tuple[str, ...]
    out: Path

    @property
    def counts(self) -> Counter[str]:
        """Number of findings with each change."""
        return Counter(one.change for one in self.changes)

    @property
    def got_worse(self) -> bool:
        """Whether a finding is new or has grown."""
        return bool(self.counts["new"] + self.counts["grown"])


def compare_visits(
    before: str | os.PathLike[str],
    after: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: InspectOptions | None = None,
    *,
    segmenter: Segmenter | None = None,
    on_step: Callable[[str], None] = lambda sentence: None,
) -> CompareSummary:
    """Compare two visits, and write the comparison and the ledger of both visits into a folder.

    Args:
        before: Folder of the results of an inspection, or a folder of photos, which are then inspected.
        after: The same for the later visit.
        out: Folder for the results.
        options: Options for inspecting a folder of photos that has no inspection yet.
        segmenter: The model for folders of photos. Default: the bundled model.
        on_step: Called with a sentence at each step.

    Raises:
        DataError: The visits do not match, are the same, or cannot be read.
        MissingExtraError: OpenCV is not installed.
        OutputError: The results cannot be written.
    """
    if absolute_path(out) in (absolute_path(before), absolute_path(after)):
        raise OutputError(f"{out} is one of the two visits; choose another --out")
    folder = check_folder(out)
    first = _opened(Path(before), folder / "before", options, segmenter, on_step)
    second = _opened(Path(after), folder / "after", options, segmenter, on_step)
    check_different(first, second, folder)
    on_step(f"Aligning {len(first.photos)} earlier and {len(second.photos)} later photos …")
    pairs = align_visits(first, second)
    summary = _compared(first, second, pairs, folder)
    on_step("Writing the comparison …")
    _write(summary, first, second)
    return summary


def _opened(
    given: Path,
    results: Path,
    options: InspectOptions | None,
    segmenter: Segmenter | None,
    on_step: Callable[[str], None],
) -> InspectedVisit:
    """Open an inspection. A folder of photos is inspected first."""
    if not given.is_dir():
        raise DataError(f"{given} is not a folder; pass the results of an inspection or a folder of photos")
    if (given / LEDGER).exists():
        return open_visit(given)
    on_step(f"Inspecting the photos in {given} …")
    inspect(given, results, options, segmenter=segmenter)
    return open_visit(results)


def _compared(
    first: InspectedVisit, second: InspectedVisit, pairs: Sequence[PhotoPair], out: Path
) -> CompareSummary:
    matches = match_findings(
        seen_in_visit(first.ledger, first.visit.number),
        seen_in_visit(second.ledger, second.visit.number),
        pairs,
    )
    joined = joined_ledger(_moved(first, out), _moved(second, out), matches, pairs)
    visits = VisitPair(
        joined, joined.visits[-2].number, joined.visits[-1].number, pairs, first.look, second.look
    )
    changes = find_changes(visits)
    aligned = {pair.second.path for pair in pairs}
    return CompareSummary(
        with_states(joined, changes),
        tuple(changes),
        tuple(pairs),
        tuple(one.path for one in second.photos if one.path not in aligned),
        first.problems + second.problems,
        out,
    )


def _moved(visit: InspectedVisit, out: Path) -> Ledger:
    """Return a ledger whose folders of photos are relative to another folder of results."""
    visits = tuple(
        replace(one, folder=relative_path(absolute_path(visit.folder / one.folder), absolute_path(out)))
        for one in visit.ledger.visits
    )
    return replace(visit.ledger, visits=visits)


def _write(summary: CompareSummary, first: InspectedVisit, second: InspectedVisit) -> None:
    out = summary.out
    write_tables(summary.ledger, out)
    write_whole(out / COMPARISON, json_bytes(_data_of(summary)))
    write_whole(out / "comparison.csv", csv_text(_rows(summary.changes)).encode())
    pictures = []
    for pair in _best_pairs(summary.pairs):
        photos = first.read(pair.first.path), second.read(pair.second.path)
        pictures.append(write_comparison_picture(photos, pair, summary.ledger, summary.changes, out))
    material = ComparisonMaterial(
        summary.ledger, summary.changes, pictures, summary.unmatched, summary.problems, out
    )
    write_comparison_report(material)


def _best_pairs(pairs: Sequence[PhotoPair]) -> list[PhotoPair]:
    """Return the pair with the most agreeing features for each later photo."""
    best: dict[str, PhotoPair] = {}
    for pair in sorted(pairs, key=lambda pair: -pair.alignment.features):
        best.setdefault(pair.second.path, pair)
    return [best[path] for path in sorted(best)]


def _data_of(summary: CompareSummary) -> dict[str, object]:
    before, after = summary.ledger.visits[-2:]
    return {
        "schema": 1,
        "before": {"visit": before.number, "date": before.date},
        "after": {"visit": after.number, "date": after.date},
        "photos": [
            {
                "before": pair.first.path,
                "after": pair.second.path,
                "homography": pair.alignment.homography.round(12).tolist(),
                "features": pair.alignment.features,
                "line_share": round(pair.alignment.line_share, 3),
                "residual_px": round(pair.alignment.residual, 3),
            }
            for pair in summary.pairs
        ],
        "unmatched_photos": summary.unmatched,
        "problems": summary.problems,
        "findings": [asdict(one) for one in summary.changes],
    }


def _rows(changes: Sequence[FindingChange]) -> list[list[object]]:
    quantities, numbers = ("width", "length"), ("before", "after", "value", "low", "high")
    head = ["finding", "place", "concept", "change", "photo_before", "photo_after", "pieces", "merged"]
    head += [f"{quantity}_{name}" for quantity in quantities for name in ("unit", *numbers)]
    rows: list[list[object]] = [[*head, "reason"]]
    for one in changes:
        row: list[object] = [
            one.number,
            one.place,
            one.concept,
            one.change,
            one.before,
            one.after,
            one.pieces,
        ]
        row.append(" ".join(map(str, one.merged)))
        for difference in (one.width, one.length):
            if difference is None:
                row += [""] * (1 + len(numbers))
            else:
                row += [difference.unit, *(round(getattr(difference, name), 3) for name in numbers)]
        rows.append([*row, one.reason])
    return rows
