"""Measure the speed of a bundle, and format, plot, save and compare the results."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drywallqa._version import __version__
from drywallqa.bundle.bundle import load_bundle
from drywallqa.datasets import dataset
from drywallqa.errors import ConfigError, MissingExtraError
from drywallqa.evaluation import speed_parts
from drywallqa.evaluation.speed_cases import (
    NOT_MEASURED,
    Photo,
    load_case,
    measure_cases,
    speed_cases,
)
from drywallqa.files import json_bytes, write_whole
from drywallqa.onnx_session import DEFAULT, FAST
from drywallqa.processors import available_threads
from drywallqa.synthetic.examples import EXAMPLES, render_example
from drywallqa.visualization.charts import Chart, Line, chart_png

JSON, PLOT = "bench.json", "bench.png"
_KEYS = ("bundle", "backend", "precision", "window", "prompts", "batch", "threads")


@dataclass(frozen=True)
class SpeedRequest:
    """The configurations of a speed measurement. All combinations of the listed values are measured.

    Attributes:
        model: Folder of a bundle; None for the full and the fast bundle of the package.
        backends: Runtimes.
        precisions: Precisions; if empty, fp32, and also int8 for the fast bundle.
        windows: Window sizes in px; if empty, the window size of each bundle.
        prompts: Numbers of prompts, from 1 to 5.
        batches: Batch sizes in photos.
        threads: Numbers of threads; if empty, from 1 to the number of cores.
        seconds: Time in s during which the measurement of each case is repeated.
        data: Folder of a data set. The quality of each case is measured on its validation split.
        with_clipseg: Whether to measure the original CLIPSeg model for comparison.
        side: Side of the square photo in px.
    """

    model: Path | None = None
    backends: Sequence[str] = ("onnxruntime",)
    precisions: Sequence[str] = ()
    windows: Sequence[int] = ()
    prompts: Sequence[int] = (1, 5)
    batches: Sequence[int] = (1, 4)
    threads: Sequence[int] = ()
    seconds: float = 2.0
    data: Path | None = None
    with_clipseg: bool = True
    side: int = 640


def run_speed(request: SpeedRequest, report: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Measure the speed of one bundle, or of both bundles in the package.

    Args:
        request: The configurations to measure.
        report: Called with a line of text for each measured case and for each other step.

    Returns:
        All measurements, in the format of `bench.json`.

    Raises:
        ConfigError: A configuration cannot be measured.
    """
    if not all(1 <= count <= 5 for count in request.prompts):
        raise ConfigError(f"the numbers of prompts are {list(request.prompts)}; pass numbers from 1 to 5")
    bundles = [load_bundle(folder) for folder in ([request.model] if request.model else [DEFAULT, FAST])]
    bundle = bundles[0]
    photo = render_example(EXAMPLES[0], (request.side, request.side)).photo
    validation = dataset.load_dataset(request.data).part("val") if request.data else None
    ways = (request.backends, request.precisions, request.windows, request.prompts)
    first = speed_cases(bundle, *ways, request.batches, request.threads)
    threads = first[0].threads
    rows = []
    for each in bundles:
        chosen = first if each is bundle else speed_cases(each, *ways, (1,), (threads,))
        for row in measure_cases(each, chosen, photo, seconds=request.seconds, validation=validation):
            rows.append(row)
            report(speed_line(row))
    report("measuring the stages, the cold start and the hardware limits …")
    segmenter = load_case(bundle, first[0])
    return {
        "package": __version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": speed_parts.describe_machine(),
        "cores": available_threads(),
        "threads": threads,
        "bundle": {"name": bundle.name, "version": bundle.version, "window": bundle.window.size},
        "photo": f"{request.side}×{request.side} px",
        "rows": rows,
        "stages_ms": speed_parts.time_stages(segmenter, photo, request.seconds / 4),
        "start": speed_parts.cold_start(request.model),
        "ceiling": speed_parts.machine_ceiling(threads, request.seconds / 2),
        "clipseg": _clipseg(request, threads, photo, report),
    }


def _clipseg(
    request: SpeedRequest, threads: int, photo: Photo, report: Callable[[str], None]
) -> dict[str, Any]:
    if not request.with_clipseg:
        return {"problem": "not requested"}
    report("measuring the original CLIPSeg …")
    try:
        return speed_parts.time_clipseg(photo, threads, request.seconds, request.prompts)
    except MissingExtraError as error:
        return {"problem": str(error)}


def speed_line(row: Mapping[str, Any]) -> str:
    """Format the measurement of one case as one line."""
    how = (
        f"{row['bundle']:<7} {row['backend']:<11} {row['precision']:<4} {row['window']:>4} px  "
        f"{row['prompts']} prompts  batch {row['batch']}  {row['threads']} threads"
    )
    if row["problem"]:
        return f"{how}  {row['problem']}"
    quality = ", ".join(f"{name} {value:.3f}" for name, value in row["quality"].items()) or NOT_MEASURED
    return (
        f"{how}  {row['median_ms']:7.1f} ms (p95 {row['p95_ms']:.1f})  {row['photos_per_second']:5.1f}/s  "
        f"{row['cpu_ms']:.1f} ms CPU time  IoU: {quality}"
    )


def _way(row: Mapping[str, Any]) -> str:
    return f"{row['bundle']} {row['backend']} {row['precision']} {row['window']} px"


def speed_table(report: Mapping[str, Any]) -> list[str]:
    """Format a speed report as lines of text."""
    bundle, start, ceiling = report["bundle"], report["start"], report["ceiling"]
    product = ceiling["matrix_gflops"]
    return [
        f"{bundle['name']} {bundle['version']} (drywallqa {report['package']}) on {report['machine']}, "
        f"{report['cores']} cores, {report['date']}; photo size: {report['photo']}",
        *(speed_line(row) for row in report["rows"]),
        "stages: " + ", ".join(f"{name} {ms:.1f} ms" for name, ms in report["stages_ms"].items()),
        f"cold start: model loaded after {start['loaded_s']:.2f} s, first mask after "
        f"{start['first_mask_s']:.2f} s; peak memory {start['peak_mb']:.0f} MB",
        f"hardware limits: matrix product {f'{product:.0f} GFLOP/s' if product else NOT_MEASURED}, "
        f"memory copy {ceiling['copy_gb_s']:.1f} GB/s",
        *_against_clipseg(report),
    ]


def _against_clipseg(report: Mapping[str, Any]) -> list[str]:
    other = report["clipseg"]
    if "median_ms" not in other:
        return [f"original CLIPSeg: {NOT_MEASURED} ({other['problem']})"]
    lines = []
    for count, took in other["median_ms"].items():
        processor = other["cpu_ms"][count]
        lines.append(
            f"original CLIPSeg ({other['parameters']:,} parameters, random weights, "
            f"{speed_parts.CLIPSEG_SIDE} px), {count} prompts: {took:.0f} ms, {processor:.0f} ms CPU time"
        )
        for row in report["rows"]:
            same = row["prompts"] == int(count) and row["threads"] == report["threads"]
            if same and row["batch"] == 1 and not row["problem"]:
                times, by_processor = took / row["median_ms"], processor / row["cpu_ms"]
                lines.append(f"  {_way(row)}: {times:.1f} × as fast ({by_processor:.1f} × by CPU time)")
    return lines


def compare_speed(report: Mapping[str, Any], earlier: Mapping[str, Any]) -> list[str]:
    """Compare the cases of two reports. Each line shows the new time as a fraction of the old time."""
    before = {tuple(row.get(key) for key in _KEYS): row for row in earlier["rows"]}
    lines = [f"compared with drywallqa {earlier['package']} of {earlier['date']} on {earlier['machine']}:"]
    for row in report["rows"]:
        old = before.get(tuple(row[key] for key in _KEYS))
        if old and old["median_ms"] and row["median_ms"]:
            share = row["median_ms"] / old["median_ms"]
            lines.append(f"  {' '.join(str(row[key]) for key in _KEYS)}: {share:.2f} of the earlier time")
    return lines if len(lines) > 1 else [*lines, "  the two reports have no case in common"]


def read_speed(path: Path) -> dict[str, Any]:
    """Read an earlier speed report.

    Raises:
        ConfigError: The file is missing or is not a speed report.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not {"rows", "package", "date", "machine"} <= set(found):
            raise ValueError("it is not a speed report")
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"cannot compare with {path} ({error}); pass a {JSON}") from error
    return dict(found)


def write_speed(report: Mapping[str, Any], out: Path) -> str:
    """Write `bench.json`, and `bench.png` if Matplotlib is installed. Return a line that names the files.

    Raises:
        OutputError: A file cannot be written.
    """
    write_whole(out / JSON, json_bytes(report))
    try:
        write_whole(out / PLOT, chart_png(speed_chart(report)))
    except MissingExtraError as error:
        return f"{out / JSON} written; no chart: {error}"
    return f"{out / JSON} and {out / PLOT} written"


def speed_chart(report: Mapping[str, Any]) -> Chart:
    """Plot photos per second by number of prompts, with one line per configuration."""
    groups: dict[str, list[tuple[float, float]]] = {}
    for row in report["rows"]:
        if row["batch"] == 1 and row["threads"] == report["threads"] and not row["problem"]:
            name = _way(row)
            groups.setdefault(name, []).append((row["prompts"], row["photos_per_second"]))
    other = report["clipseg"].get("median_ms", {})
    if other:
        groups["original CLIPSeg"] = [(float(count), 1e3 / took) for count, took in other.items()]
    highest = max((y for points in groups.values() for _, y in points), default=1.0)
    return Chart(
        title="Photos per second",
        x_title="prompts",
        y_title="photos per second",
        lines=[Line(name, sorted(points), markers=True) for name, points in groups.items()],
        x_range=(0.0, 5.0),
        y_range=(0.0, 1.1 * highest),
        notes=[
            f"{report['machine']}, {report['cores']} cores. Photos of {report['photo']}, from the pixel "
            "array to the masks."
        ],
    )
