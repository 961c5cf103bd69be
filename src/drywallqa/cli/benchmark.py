"""`drywallqa benchmark`: measure a bundle's quality on a split, beside baselines that need no model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer


def benchmark(
    data: Annotated[Path, typer.Option(metavar="DIR", help="A data set, imported and split.")],
    model: Annotated[
        Path | None, typer.Option(metavar="BUNDLE", help="The bundle; by default the bundled one.")
    ] = None,
    split: Annotated[str, typer.Option(help="The part to measure.")] = "test",
    composites: Annotated[int, typer.Option(min=1, help="Composites to build.")] = 200,
    steadiness: Annotated[
        bool,
        typer.Option("--steadiness", help="Change light, sharpness, turn, scale and wording, too."),
    ] = False,
    phone_size: Annotated[
        bool,
        typer.Option(
            "--phone-size",
            help="Instead: false alarms and found cracks on photos of 2 to 16 megapixels (hours).",
        ),
    ] = False,
    section: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="With --phone-size, only this: walls, boards, cracks, mosaics or large-walls. Repeatable.",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --phone-size: rendered walls without a crack (200), and at most so many boards (60), "
            "mosaics (30) and cracks of each width (60).",
        ),
    ] = None,
    elsewhere: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="With --phone-size: photographs from elsewhere, for the section large-walls."
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write everything as JSON.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write figures and failures into the bundle and its card.")
    ] = False,
) -> None:
    """Measure a bundle from photos: IoU, Dice, false alarms, composites, pictures that are no walls."""
    from drywallqa.bundle.bundle import load_bundle
    from drywallqa.datasets import dataset
    from drywallqa.evaluation.release_figures import measure_release, release_lines

    if phone_size:
        _phone_size(data, model, split, section, count, elsewhere, json_file, write)
        return
    bundle = load_bundle(model)
    measured = measure_release(
        bundle, dataset.load_dataset(data), split, count=composites, steadiness=steadiness
    )
    for line in release_lines(measured):
        print(line)
    if json_file:
        json_file.write_text(json.dumps(measured.to_json(), indent=1) + "\n", encoding="utf-8")
    if write:
        from drywallqa.bundle.bundle import FAILURES
        from drywallqa.exporting.bundle_figures import write_figures
        from drywallqa.files import write_whole
        from drywallqa.inference.segmenter import Segmenter
        from drywallqa.visualization.failed_walls import failed_walls

        labelled = [concept for concept in ("crack", "taping area") if concept in bundle.concepts]
        write_whole(bundle.folder / FAILURES, failed_walls(Segmenter(bundle), labelled))
        write_figures(bundle, measured)
        print(f"{bundle.folder}: figures and card written")


def _phone_size(
    data: Path,
    model: Path | None,
    split: str,
    section: list[str] | None,
    count: int | None,
    elsewhere: Path | None,
    json_file: Path | None,
    write: bool,
) -> None:
    from drywallqa.bundle.bundle import load_bundle
    from drywallqa.datasets import dataset
    from drywallqa.evaluation.phone_size import (
        LARGE,
        SECTIONS,
        PhoneSizePlan,
        measure_phone_size,
        phone_size_lines,
    )
    from drywallqa.inference.segmenter import load

    plan = PhoneSizePlan() if count is None else PhoneSizePlan.of(count)
    wanted = section or [name for name in SECTIONS if name != LARGE or elsewhere is not None]
    plan = replace(plan, sections=wanted)
    measured = measure_phone_size(
        load(model), dataset.load_dataset(data), split, elsewhere=elsewhere, plan=plan
    )
    for line in phone_size_lines(measured):
        print(line)
    if LARGE not in wanted and not section:
        print(f"{LARGE}: not measured; --elsewhere names the folder of photographs from elsewhere")
    if json_file:
        json_file.write_text(json.dumps(measured.to_json(), indent=1) + "\n", encoding="utf-8")
    if write:
        from drywallqa.exporting.bundle_figures import write_phone_size

        print(f"{write_phone_size(load_bundle(model), measured).folder}: figures and card written")
