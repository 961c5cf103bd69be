"""Compose the training report: its title, its summary, and the chapters on model, data and training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from drywallqa._version import __version__
from drywallqa.bundle.bundle import HEAD
from drywallqa.errors import MissingExtraError
from drywallqa.models import registry
from drywallqa.reports.document import (
    Block,
    BulletList,
    Callout,
    Chapter,
    CodeBlock,
    Document,
    Heading,
    Paragraph,
    Picture,
    Pictures,
    Table,
    bold,
    code,
    escape,
)
from drywallqa.reports.judgement import judge
from drywallqa.reports.material import NOT_MEASURED, ReportMaterial, SourcedFigures, split_name
from drywallqa.reports.report_closing import duration, next_steps, reproduction, runtime, strengths
from drywallqa.reports.report_results import comparison, failures, results, summary
from drywallqa.reports.sources import CONFIG, ENVIRONMENT, LOG, RunRecord
from drywallqa.visualization.charts import chart_png
from drywallqa.visualization.overlay import image_bytes
from drywallqa.visualization.training_charts import course_charts

_REGISTRY = "the package's registry of models"
_SHEET = "batch.png"
_SETTINGS = ("seed", "model", "data", "loss", "optimisation")


def compose(material: ReportMaterial, today: str) -> Document:
    """Compose the training report.

    Args:
        material: All inputs of the report.
        today: Date of the report, as text.
    """
    measured, statements = material.headline, judge(material.headline)
    parameters, _ = material.parameters
    facts = [
        ("model", material.name),
        ("parameters", f"{sum(parameters.values()):,}" if parameters else NOT_MEASURED),
        ("size on disk", material.size),
        ("measured on", f"{measured.data['photos']} photos ({split_name(measured.split).lower()})"),
        ("written", today),
        ("package", f"drywallqa {__version__}"),
    ]
    return Document(
        f"Training report: {material.name}",
        "Training, quality and failures of a model that segments cracks and taping areas by text prompts.",
        facts,
        (
            summary(material, statements),
            _goal(material),
            _approach(material),
            _models(material),
            _data(material),
            Chapter("Course of training", list(_course(material))),
            results(material),
            comparison(material),
            strengths(material, statements),
            failures(material),
            runtime(material),
            next_steps(material, statements),
            reproduction(material),
        ),
    )


def _goal(material: ReportMaterial) -> Chapter:
    prompts = [
        f'"{escape(question["prompt"])}" (concept: {escape(question["concept"])})'
        for question in material.headline.data["questions"]
    ]
    return Chapter("Goal", [
        Paragraph(
            "The model takes a photo of a wall and a prompt. It returns a mask of the pixels that show the "
            "object named by the prompt. The mask is empty if the photo does not show the object. The mask "
            "is a PNG of the photo's size with the values 0 and 255. A good model marks the same pixels as "
            "the human labels (high IoU and Dice) and few other pixels (few false alarms). It does so in "
            "every setting, for thin and wide objects."
        ),
        Paragraph("The model was evaluated with these prompts:"),
        BulletList(prompts, material.headline.source),
    ])  # fmt: skip


def _approach(material: ReportMaterial) -> Chapter:
    blocks: list[Block] = []
    if family := material.family:
        closed = "closed: the model rejects prompts that mean none of its concepts"
        vocabulary = "open: the model accepts prompts beyond the trained concepts"
        blocks += [
            Paragraph(
                f"**{family.name}**: {family.summary}. The vocabulary is "
                f"{vocabulary if family.open_vocabulary else closed}."
            ),
            Paragraph(f"Publication of the architecture: {family.paper}.", _REGISTRY),
        ]
    if bundle := material.bundle:
        rows = [
            (escape(name), f"{one.threshold:.3f}", f"{one.presence_threshold:.2f}", f"{one.scale} px")
            for name, one in bundle.concepts.items()
        ]
        blocks.append(Table(
            ("concept", "mask threshold", "presence threshold", "trained size"), rows,
            "Pixels above the mask threshold are marked. If the presence is below its threshold, no pixel "
            f"is marked. The window is {bundle.window.size} px.", material.source(HEAD),
        ))  # fmt: skip
    counts, source = material.parameters
    if counts:
        total = sum(counts.values())
        parts = [(code(part), f"{count:,}", f"{count / total:.1%}") for part, count in counts.items()]
        parts.append(("**total**", f"**{total:,}**", ""))
        blocks.append(Table(("module", "parameters", "share"), parts, "Parameters", source))
    else:
        blocks.append(
            Paragraph("The number of parameters was not measured, because the model has no readable weights.")
        )
    return Chapter("Approach and parameters", blocks)


def _models(material: ReportMaterial) -> Chapter:
    measured = {other.model.split()[0] for other in material.others}
    rows = []
    for family in registry.FAMILIES.values():
        parameters, state = family.parameters, "not measured here"
        if family is material.family:
            parameters, state = sum(material.parameters[0].values()) or parameters, "this model"
        elif family.name in measured:
            state = "measured, see below"
        rows.append((code(family.name), family.summary, state, f"{parameters / 1e6:.1f} M"))
    return Chapter("Models compared", [
        Table(
            ("family", "description", "in this report", "parameters"), rows,
            "Model families of the package. Except for this model, sizes are those of the default settings.",
            _REGISTRY, 3,
        ),
        Paragraph(
            "The chapter “Comparison with earlier runs and other models” has the metrics of other models."
            if material.others else
            "This report contains no metrics of other models, because no evaluation of them was passed."
        ),
    ])  # fmt: skip


def _data(material: ReportMaterial) -> Chapter:
    blocks: list[Block] = [_parts(material.data)] if material.data else []
    for run in material.runs:
        photos = run.environment.get("photos")
        if isinstance(photos, dict):
            counts = ", ".join(f"{count} {part}" for part, count in photos.items())
            blocks.append(
                Paragraph(
                    f"Number of photos for the run {code(run.name)}: {counts}.", run.source(ENVIRONMENT)
                )
            )
    for measured in material.evaluations:
        data = measured.data
        blocks.append(Paragraph(
            f"The split '{measured.split}' was evaluated on {data['photos']} photos made from "
            f"{data['photographs']} source photos; {data.get('skipped', 0)} photos were skipped, and "
            f"{data.get('leaking_photos', 0)} photos are copies of training photos.", measured.source,
        ))  # fmt: skip
    if bundle := material.bundle:
        known = len(bundle.training_hashes)
        blocks.append(Paragraph(
            f"The bundle contains perceptual hashes of {known:,} training photos. Every evaluated photo "
            "was compared with these hashes." if known else
            "The bundle contains no hashes of its training photos. Leaks could not be detected.",
            material.source(HEAD),
        ))  # fmt: skip
        licences = [f"{part}: {licence}" for part, licence in bundle.licences.items()]
        blocks += [Heading("Licences"), BulletList(licences, material.source(HEAD))] if licences else []
    blocks.append(Paragraph(
        "Each mean is first taken over the copies of a source photo, then over the source photos. "
        "Near-duplicate source photos are resampled together, so that the intervals are not too narrow."
    ))  # fmt: skip
    return Chapter("Data sets and splits", blocks)


def _parts(figures: SourcedFigures) -> Table:
    parts: Sequence[Any] = figures.data["parts"]
    concepts = list(dict.fromkeys(concept for part in parts for concept in part["concepts"]))
    rows = []
    for part in parts:
        found = [part["concepts"].get(concept) for concept in concepts]
        cells = [f"{one['shown']} / {one['absent']}" if one else "–" for one in found]
        counts = (str(part["photos"]), str(part["photographs"]))
        rows.append((escape(part["set"]), escape(part["split"]), *counts, *cells))
    head = ("set", "split", "photos", "source photos", *(f"{escape(c)}: shown / absent" for c in concepts))
    return Table(head, rows, f"Data set {escape(figures.data['title'])}", figures.source, 2)


def _course(material: ReportMaterial) -> Iterator[Block]:
    if not material.runs:
        yield Paragraph(
            "A bundle has no training log. Pass the training run with `--run` to see the course of training."
        )
    for run in material.runs:
        if len(material.runs) > 1:
            yield Heading(f"Run {escape(run.name)}")
        yield Paragraph(_duration(run), run.source(LOG))
        yield from _charts(run)
        found = [event for event in run.of("check", "alarm") if event.get("finding")]
        if found:
            yield Callout(f"The checks of the run reported {len(found)} findings:", run.source(LOG))
            yield BulletList([f"{bold(event['finding'])}: {escape(event['evidence'])}" for event in found])
        elif run.events:
            yield Paragraph("The checks before and during the run found no problem.", run.source(LOG))
        if (sheet := run.folder / _SHEET).is_file():
            yield Pictures([Picture(
                _smaller(sheet), f"{run.name}-batch.jpg",
                "The first training pictures, with the ground truth drawn over them",
                "The first training pictures after augmentation, with the ground truth drawn over them.",
                run.source(_SHEET),
            )])  # fmt: skip
        yield CodeBlock(_settings(run), run.source(CONFIG))


def _charts(run: RunRecord) -> Iterator[Block]:
    charts = course_charts(run.events)
    try:
        pictures = [
            Picture(
                chart_png(chart), f"{run.name}-{name}.png", f"{chart.title} over the training steps",
                source=run.source(LOG),
            )
            for name, chart in charts.items()
        ]  # fmt: skip
    except MissingExtraError as error:
        yield Paragraph(f"No charts: {error}.")
        return
    if pictures:
        yield Pictures(pictures)


def _duration(run: RunRecord) -> str:
    steps, seconds = run.of("step"), run.seconds
    if not run.events or seconds is None:
        return f"The log of the run {code(run.name)} has no duration and no losses."
    speeds = sorted(float(step["photos_per_second"]) for step in steps if step.get("photos_per_second"))
    speed = f", at {speeds[len(speeds) // 2]:.1f} photos per second (median)" if speeds else ""
    starts = len(run.of("start"))
    resumed = f", resumed {starts - 1} times" if starts > 2 else ", resumed once" if starts == 2 else ""
    last = f"{steps[-1]['step']:,} steps, " if steps else ""
    end = "" if run.of("end") else " The run has not finished."
    threads = run.environment.get("threads", "unknown")
    return (
        f"{code(run.name)}: {last}{duration(seconds)} of training, threads: {threads}{speed}{resumed}.{end}"
    )


def _settings(run: RunRecord) -> str:
    import yaml  # imported here, because only training runs need YAML

    settings = {name: run.settings[name] for name in _SETTINGS if name in run.settings}
    return str(yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, width=80)).strip()


def _smaller(path: Path, width: int = 1000) -> bytes:
    with Image.open(path) as picture:
        small = picture.convert("RGB")
    small.thumbnail((width, 4 * width), Image.Resampling.LANCZOS)
    return image_bytes(small, "JPEG", quality=75, optimize=True)
