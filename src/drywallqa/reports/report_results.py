"""The training report's chapters of results: per prompt, curves, pictures, comparison, failures."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from drywallqa.bundle.bundle import HEAD
from drywallqa.imaging import mask_files
from drywallqa.reports.document import (
    Block,
    BulletList,
    Callout,
    Chapter,
    Heading,
    Paragraph,
    Picture,
    Pictures,
    Table,
    as_sentence,
    escape,
)
from drywallqa.reports.judgement import Statement, steps
from drywallqa.reports.material import ReportMaterial, split_name
from drywallqa.reports.sources import EvaluationRecord, FigureSlice, ReportedFigure
from drywallqa.visualization.panel_folder import EXAMPLE, FAILURE, FOLDER, PROMPTS, Panel

MARKS = {"IoU": (0.1, 0.3, 0.5), "Dice": (0.2, 0.4, 0.6)}
"""What counts as basic, good and excellent, as the training report of November 2025 set it."""
_MARK_NAMES = ("below basic", "basic", "good", "excellent")
_CURVES = {
    "precision-recall": "Precision and recall of pixels as the mask threshold moves",
    "thresholds": "What each mask threshold would give",
    "calibration": "How often a pixel of this probability is foreground",
    "presence": "What each presence threshold would give",
}
_HEAD = ("prompt", "IoU", "Dice", "precision", "recall", "false alarms", "photos with / without")


def grade(name: str, value: float) -> str:
    """Say in a word how good an IoU or a Dice is."""
    return _MARK_NAMES[sum(value > limit for limit in MARKS[name])]


def summary(material: ReportMaterial, statements: Sequence[Statement]) -> Chapter:
    """The figures that a hurried reader needs, and what they mean."""
    measured = material.headline
    rows = []
    for cut in measured.of("concept"):
        iou, dice = cut.figure("IoU"), cut.figure("Dice")
        rows.append((
            escape(cut.concept), iou.shown(), dice.shown(), cut.figure("false alarms").shown_percent(),
            grade("IoU", iou.value) if cut.pairs else "–",
        ))  # fmt: skip
    blocks: list[Block] = [Callout(as_sentence(note), measured.source) for note in _loud(measured)]
    blocks.append(Table(
        ("concept", "IoU (95 % interval)", "Dice (95 % interval)", "false alarms", "mark"), rows,
        f"{split_name(measured.split)}: {measured.data['photos']} photos of {measured.data['photographs']} "
        "photographs", measured.source,
    ))  # fmt: skip
    blocks.append(Paragraph(
        "IoU and Dice are means over photographs that show the concept; false alarms are the share of photos "
        "without it of which more than 0.1 % is marked. Marks are those that the training report of November "
        "2025 set itself: IoU above 0.1 basic, 0.3 good, 0.5 excellent."
    ))  # fmt: skip
    told = [statement.text for good in (True, False) for statement in _first(statements, good)]
    told += [f"Next: {one.step}" for one in steps(statements)[:1]]
    return Chapter("Summary", [*blocks, BulletList(told, measured.source)] if told else blocks)


def _first(statements: Sequence[Statement], good: bool, most: int = 3) -> list[Statement]:
    return [statement for statement in statements if statement.good == good][:most]


def _loud(measured: EvaluationRecord) -> list[str]:
    """Notes that change what the figures are worth."""
    return [str(note) for note in measured.data["notes"] if "LEAK" in note or "skipped" in note]


def results(material: ReportMaterial) -> Chapter:
    """Figures per prompt on every measured part; curves, cuts and pictures of the headline."""
    blocks: list[Block] = []
    for measured in material.evaluations:
        blocks.append(Heading(split_name(measured.split)))
        blocks += [Callout(as_sentence(note)) for note in measured.data["notes"]]
        blocks += _tables(measured)
    headline = material.headline
    blocks += [*_cuts(headline), *_regions(headline), *_curves(headline), *_examples(headline)]
    blocks += _in_bundle(material)
    return Chapter("Results per prompt", blocks)


def _tables(measured: EvaluationRecord) -> Iterator[Block]:
    cuts = [*measured.of("prompt"), *measured.of("overall")]
    rows = [_row(f'"{cut.name}"' if cut.kind == "prompt" else "all prompts", cut) for cut in cuts]
    yield Table(_HEAD, rows, "With 95 % intervals", measured.source)
    rows = []
    for cut in measured.of("concept"):
        told = (
            "pixel accuracy", "pixel accuracy of all background", "pooled IoU", "pooled Dice", "clDice",
            "F1 within 3 px",
        )  # fmt: skip
        rows.append((escape(cut.concept), *(cut.figure(name).shown() for name in told)))
    head = (
        "concept", "pixel accuracy", "that of marking nothing", "pooled IoU", "pooled Dice", "clDice",
        "F1 within 3 px",
    )  # fmt: skip
    yield Table(head, rows, "Pixels pooled, and lines", measured.source)


def _row(name: str, cut: FigureSlice) -> tuple[str, ...]:
    alarms = cut.figure("false alarms").shown_percent() if cut.absent_pairs else "not measured"
    figures = [cut.figure(one).shown() for one in ("IoU", "Dice", "precision", "recall")]
    return (escape(name), *figures, alarms, f"{cut.pairs} / {cut.absent_pairs}")


def _cuts(measured: EvaluationRecord) -> Iterator[Block]:
    cuts = [cut for kind in ("set", "setting", "width") for cut in measured.of(kind)]
    by_concept = {concept: [cut for cut in cuts if cut.concept == concept] for concept in _concepts(measured)}
    # one set or setting alone would repeat the figures above
    rows = [
        _row(f"{concept}, {cut.kind}: {cut.name}", cut)
        for concept, own in by_concept.items()
        for cut in own
        if sum(other.kind == cut.kind for other in own) > 1
    ]
    if rows:
        yield Heading(f"{split_name(measured.split)}, by set, setting and width")
        yield Table(("part", *_HEAD[1:]), rows, "Widths are area by length of the middle line, at 640 px",
                    measured.source)  # fmt: skip


def _concepts(measured: EvaluationRecord) -> list[str]:
    return list(dict.fromkeys(cut.concept for cut in measured.of("concept")))


def _regions(measured: EvaluationRecord) -> Iterator[Block]:
    regions: dict[str, dict[str, int]] = measured.data.get("regions") or {}
    if not regions:
        return
    columns = list(next(iter(regions.values())))
    rows = []
    for truth, row in regions.items():
        total = sum(row.values())
        shares = [f"{row[name] / total:.1%}" if total else "–" for name in columns]
        rows.append((escape(truth), *shares))
    yield Table(
        ("truth", *(f"marked as {escape(name)}" for name in columns)), rows,
        f"{split_name(measured.split)}: what the pixels of each truth were marked as", measured.source,
    )  # fmt: skip


def _curves(measured: EvaluationRecord) -> Iterator[Block]:
    for prompt in measured.first_prompts:
        slug = mask_files.slug_of(prompt)
        found = []
        for name, caption in _CURVES.items():
            path = measured.folder / "pictures" / f"{name}__{slug}.png"
            if path.is_file():
                alt = f'{caption}, under "{prompt}"'
                source = measured.beside(f"pictures/{path.name}")
                found.append(
                    Picture(_compact(path), f"{measured.split}-{path.name}", alt, caption + ".", source)
                )
        if found:
            yield Heading(f'{split_name(measured.split)}, curves under "{escape(prompt)}"')
            yield Pictures(found)


def _compact(path: Path) -> bytes:
    """Reduce a chart to a palette, which keeps what it shows at a third of the size."""
    with Image.open(path) as picture:
        reduced = picture.convert("RGB").quantize(128, kmeans=2, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    reduced.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _examples(measured: EvaluationRecord) -> Iterator[Block]:
    examples = _first_panels(measured, EXAMPLE)
    if examples:
        yield Heading(f"{split_name(measured.split)}, examples")
        yield Paragraph(
            "Chosen by rank of IoU, not by eye. The overlay lays the prediction over the photo: blue, with a "
            "white and a black line around it."
        )
    yield from (_panel(measured, panel) for panel in examples)
    several = [panel for panel in measured.panels if panel.kind == PROMPTS]
    if several:
        yield Heading("One photo under several prompts")
    yield from (_panel(measured, panel) for panel in several)


def _first_panels(measured: EvaluationRecord, kind: str) -> list[Panel]:
    """Panels under the first prompt of each concept; other wordings look the same."""
    return [
        panel for panel in measured.panels if panel.kind == kind and panel.prompt in measured.first_prompts
    ]


def _panel(measured: EvaluationRecord, panel: Panel) -> Picture:
    asked = f'"{escape(panel.prompt)}", ' if panel.prompt else ""
    shown = ", ".join(panel.heads)
    return Picture(
        (measured.folder / FOLDER / panel.file).read_bytes(), f"{measured.split}-{panel.file}",
        f"{panel.image_id}: {shown}",
        f"**{escape(panel.image_id)}**: {asked}{escape(panel.words)}.",
        measured.beside(f"{FOLDER}/{panel.file}"),
    )  # fmt: skip


def _in_bundle(material: ReportMaterial) -> Iterator[Block]:
    """Figures that the bundle itself holds, measured when it was made."""
    metrics = material.bundle.metrics if material.bundle else {}
    rows = []
    for split in ("val", "test"):
        for name, one in (metrics.get(split) or {}).items():
            iou, dice = (ReportedFigure(one[key], *one[f"{key}_interval"]) for key in ("iou", "dice"))
            rows.append((
                split_name(split), escape(name), iou.shown(), dice.shown(), f"{one['precision']:.3f}",
                f"{one['recall']:.3f}", f"{one['false_alarm_rate']:.1%}",
                f"{one['pairs']} / {one['photographs']}",
            ))  # fmt: skip
    if rows:
        yield Heading("What the bundle says of itself")
        yield Paragraph(
            "Measured when the bundle was made, on the data set that it was trained for, and kept in it. "
            "They are of the same model as those above; where the data sets differ, so do the photos."
        )
        yield Table(
            ("part", "concept", "IoU", "Dice", "precision", "recall", "false alarms", "photos / photographs"),
            rows, "", material.source(HEAD), 2,
        )  # fmt: skip
    further = metrics.get("benchmark")
    if isinstance(further, dict) and further:
        told = [(escape(str(name)), escape(str(value))) for name, value in further.items()]
        yield Table(("further measurements", "figure"), told, "", material.source(HEAD))


def failures(material: ReportMaterial) -> Chapter:
    """What went wrong, with pictures."""
    measured = material.headline
    shown = _first_panels(measured, FAILURE)
    blocks: list[Block] = []
    if measured.causes:
        rows = [(escape(cause), str(count)) for cause, count in measured.causes.items()]
        blocks.append(Table(
            ("likely cause", "failures"), rows, "The worst of each kind under each prompt, by likely cause",
            measured.beside("failures/to-labelling.csv"),
        ))  # fmt: skip
        blocks.append(
            Paragraph("Causes are rules of thumb on plain measurements. They say where to look first.")
        )
    if shown:
        blocks.append(Paragraph(
            "Truth and prediction are laid over the photo in blue. Errors: dark blue was missed, orange is "
            "falsely marked, pale is right."
        ))  # fmt: skip
    blocks += [_panel(measured, panel) for panel in shown]
    if not blocks:
        blocks.append(Paragraph("No failures were collected in this evaluation."))
    return Chapter("Failures", blocks)
