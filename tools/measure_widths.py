"""Measure the accuracy of crack sizes and the detection limit, and calibrate the intervals.

    python tools/measure_widths.py calibrate [--count 1500] [--out bench-output/widths]
    python tools/measure_widths.py test [--count 1500]
    python tools/measure_widths.py real [--part dev] [--data ../shared/data/elsewhere]
    python tools/measure_widths.py by-eye [--data ../shared/data/elsewhere]
    python tools/measure_widths.py limits [--bundle compact] [--small 165] [--large 45] [--part dev]
    python tools/measure_widths.py tables

`calibrate` renders cracks of known geometry and writes inspection/width_calibration.json. `test` does the
same with other seeds and surfaces, and prints errors and coverage. Both continue after an interruption. `fit`
and `tables` do their last step with what was measured so far. `--count` is the number of cracks per width
class. `real` compares widths with labels of real photos, and `by-eye` compares both with widths
read by eye. `limits` measures which cracks a bundle finds, and writes inspection/detection_limits.json. It
uses `--small` rendered photos for the whole view, `--large` for the closer views, and labels of real photos.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import drywallqa
from drywallqa.bundle.bundle import load_bundle
from drywallqa.evaluation.detection_limits import (
    DetectionCurve,
    Hit,
    fit_detection,
    large_wall_hits,
    small_wall_hits,
)
from drywallqa.evaluation.known_findings import (
    SOURCES,
    KnownFinding,
    Part,
    Segment,
    measure_walls,
    read_findings,
)
from drywallqa.evaluation.labelled_sections import (
    LabelledWall,
    Section,
    measure_sections,
    narrowest_found,
    sections_table,
)
from drywallqa.evaluation.labelled_widths import WIDTH_SETS, compare_photo, labelled_photos, labelled_table
from drywallqa.evaluation.width_accuracy import (
    accuracy_table,
    bias_table,
    class_accuracies,
    fit_calibration,
    length_bias,
)
from drywallqa.evaluation.widths_by_eye import by_eye_table, compare_by_eye
from drywallqa.inference.mask_kinds import OUTLINE
from drywallqa.inspection.crack_sizes import CALIBRATION_FILE
from drywallqa.inspection.detection_limit import LIMITS_FILE, View, view_of

PACKAGE = Path(drywallqa.__file__).parent
BY_EYE = Path(__file__).parents[1] / "benchmarks" / "widths_by_eye.csv"
PROMPT = "segment crack"


def segment_with(bundle: str) -> Segment:
    """Return a function that outlines cracks with a bundled model, on one thread."""
    segmenter = drywallqa.load(PACKAGE / "bundles" / bundle, threads=1)
    queries = segmenter.ask(PROMPT, options=drywallqa.SegmentOptions(mask=OUTLINE))

    def segment(photo):
        prediction = next(iter(segmenter.answer(photo, queries)))
        return prediction.mask, prediction.probability

    return segment


def measure(part: Part, options: argparse.Namespace) -> None:
    """Render and measure the walls of one part that were not measured yet."""
    options.out.mkdir(parents=True, exist_ok=True)
    for source in SOURCES:
        segment = segment_with(options.bundle) if source == "model" else None
        for number in measure_walls(part, source, options.count, path_of(options, part, source), segment):
            if number % 100 == 0:
                print(f"{part}, outlines from the {source}: wall {number}", flush=True)


def path_of(options: argparse.Namespace, part: Part, source: str) -> Path:
    """Return the file with the findings of one part."""
    bundle = f"-{options.bundle}" if source == "model" else ""
    return options.out / f"{part}-{source}{bundle}.jsonl"


def findings_of(options: argparse.Namespace, part: Part) -> list[KnownFinding]:
    """Return all findings of one part that were measured so far."""
    return [one for source in SOURCES for one in read_findings(path_of(options, part, source))]


def calibrate(options: argparse.Namespace) -> None:
    """Measure the calibration walls, and write the table of the package."""
    measure("calibration", options)
    write_table(options)


def write_table(options: argparse.Namespace) -> None:
    """Fit the table of the package to the calibration walls measured so far."""
    table = fit_calibration(findings_of(options, "calibration"))
    write(PACKAGE / "inspection" / CALIBRATION_FILE, table)


def test(options: argparse.Namespace) -> None:
    """Measure the test walls, and print the tables."""
    measure("test", options)
    tables(options)


def tables(options: argparse.Namespace) -> None:
    """Print the accuracy on the test walls measured so far."""
    table = json.loads((PACKAGE / "inspection" / CALIBRATION_FILE).read_text(encoding="utf-8"))
    findings = findings_of(options, "test")
    for source in SOURCES:
        own = [one for one in findings if one.source == source]
        if own:
            print(f"\noutlines: {source}\n\n{accuracy_table(class_accuracies(own, table))}\n")
            print(bias_table(length_bias(own, table)))


def real(options: argparse.Namespace) -> None:
    """Compare widths on real photos with their labels."""
    segment = segment_with(options.bundle)
    for name in WIDTH_SETS:
        found = []
        for photo, pixels, label in labelled_photos(options.data, name, options.part):
            for outlines in (None, segment):
                found += compare_photo(photo, pixels, label, outlines)
        print(f"\n{name}, {options.part}\n\n{labelled_table(found)}", flush=True)


def by_eye(options: argparse.Namespace) -> None:
    """Compare labels and measured widths with widths that were read by eye from grey profiles."""
    places = list(compare_by_eye(BY_EYE, options.data))
    for name in WIDTH_SETS:
        print(f"\n{by_eye_table([one for one in places if one.place.startswith(name)])}")


def limits(options: argparse.Namespace) -> None:
    """Measure the detection limit of a bundle, and write it into the table of the package."""
    path = PACKAGE / "inspection" / LIMITS_FILE
    table = json.loads(path.read_text(encoding="utf-8"))
    options.out.mkdir(parents=True, exist_ok=True)
    segment = segment_with(options.bundle)
    real = list(real_sections(options, segment))
    rendered = {view: rendered_hits(options, view, segment) for view in get_args(View)}
    views = {}
    for view, hits in rendered.items():
        curve = fit_detection(hits)
        print(f"\n{options.bundle}, {view}, rendered: {json.dumps(asdict(curve))}")
        own = [section for section in real if section.view == view]
        if own:
            print(
                f"\n{options.bundle}, {view}, real photos, {options.part}\n\n{sections_table(own)}",
                flush=True,
            )
        if curve.found_90_sure_95 is not None and curve.widest_90_sure_95 is not None:
            views[view] = limits_entry(curve) | real_entry(own)
    write(path, table | {options.bundle: views})


def limits_entry(curve: DetectionCurve) -> dict[str, float]:
    """Return the limits of one view as in the table of the package."""
    widths = asdict(curve)
    return {name: round(widths[name], 2) for name in ("found_90", "found_90_sure_95", "widest_90_sure_95")}


def real_entry(sections: list[Section]) -> dict[str, float]:
    """Return what was found on real photos as in the table of the package."""
    if not sections:
        return {}
    share = sum(section.found for section in sections) / len(sections)
    photos = len({section.photo for section in sections})
    entry = {"real_found": round(share, 3), "real_sections": len(sections), "real_photos": photos}
    return entry | {"real_90": narrowest_found(sections)}


def rendered_hits(options: argparse.Namespace, view: View, segment: Segment) -> list[Hit]:
    """Return which cracks are found on rendered photos that the model sees in this view."""
    hits_of, count = (small_wall_hits, options.small) if view == "whole" else (large_wall_hits, options.large)
    path = options.out / f"hits-{view}-{options.bundle}.jsonl"
    for number in range(len(read_rows(path)), count):
        append(path, [asdict(hit) for hit in hits_of(segment, number)])
    return [Hit(**hit) for hits in read_rows(path)[:count] for hit in hits]


def real_sections(options: argparse.Namespace, segment: Segment) -> Iterator[Section]:
    """Yield the sections of the labels of real photos, and whether they are found."""
    path = options.out / f"sections-{options.part}-{options.bundle}.jsonl"
    done = len(read_rows(path))
    window = load_bundle(PACKAGE / "bundles" / options.bundle).window
    walls = (wall for name in WIDTH_SETS for wall in labelled_photos(options.data, name, options.part))
    for name, photo, label in islice(walls, done, None):
        view, scale = view_of(window, *label.shape)
        mask, _ = segment(photo)
        append(
            path,
            [asdict(one) for one in measure_sections(LabelledWall(name, photo, label, view, scale), mask)],
        )
        print(name, flush=True)
    for row in read_rows(path):
        yield from (Section(**one) for one in row)


def append(path: Path, row: object) -> None:
    """Append one line of JSON to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read_rows(path: Path) -> list[list[dict[str, Any]]]:
    """Read all lines of JSON that were written completely."""
    return (
        [json.loads(row) for row in path.read_text(encoding="utf-8").split("\n")[:-1]]
        if path.exists()
        else []
    )


def write(path: Path, table: object) -> None:
    """Write a table of the package."""
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path}")


ACTIONS: dict[str, Callable[[argparse.Namespace], None]] = {
    "calibrate": calibrate,
    "fit": write_table,
    "test": test,
    "tables": tables,
    "real": real,
    "by-eye": by_eye,
    "limits": limits,
}


def main() -> None:
    """Run one action."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--small", type=int, default=165)
    parser.add_argument("--large", type=int, default=45)
    parser.add_argument("--bundle", default="compact")
    parser.add_argument("--part", default="dev")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/elsewhere"))
    parser.add_argument("--out", type=Path, default=Path("bench-output/widths"))
    options = parser.parse_args()
    ACTIONS[options.action](options)


if __name__ == "__main__":
    main()
