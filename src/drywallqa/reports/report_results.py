"""The training report's result chapters: summary, figures per prompt, comparison and failures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from drywallqa.bundle.bundle import HEAD
from drywallqa.imaging import mask_files
from drywallqa.intervals import Figure
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
    bold,
    escape,
)
from drywallqa.reports.findings_text import grade
from drywallqa.reports.judgement import Statement, steps
from drywallqa.reports.material import NOT_MEASURED, ReportMaterial, split_name
from drywallqa.reports.sources import EvaluationRecord, FigureSlice, figure_text
from drywallqa.visualization.panel_folder import EXAMPLE, FAILURE, FOLDER, PROMPTS

_CURVES = {
    "precision-recall": "Precision and recall of pixels as the mask threshold moves",
    "thresholds": "Figures at each mask threshold",
    "calibration": "How often a pixel of this probability is foreground",
    "presence": "Figures at each presence threshold",
}
_HEAD = ("IoU", "Dice", "precision", "recall", "false alarms", "photos with / without")
_POOLED = {
    "pixel accuracy": "pixel accuracy", "pixel accuracy of all background": "that of marking nothing",
    "pooled IoU": "pooled IoU", "pooled Dice": "pooled Dice", "clDice": "clDice",
    "F1 within 3 px": "F1 within 3 px",
}  # fmt: skip
_COMPARED = ("IoU", "Dice", "false alarms")


def summary(material: ReportMaterial, statements: Sequence[Statement]) -> Chapter:
    """Compose the summary: the most important figures and the conclusions from them."""
    measured = material.headline
    loud = [note for note in measured.data["notes"] if "LEAK" in note or "skipped" in note]
    blocks: list[Block] = [Callout(as_sentence(note), measured.source) for note in loud]
    rows = [
        (
            escape(part.concept), part.text("IoU"), part.text("Dice"), part.text("false alarms", ".1%"),
            grade(part.figure("IoU").value),
        )
        for part in measured.of("concept")
    ]  # fmt: skip
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
    points = [one.text for good in (True, False) for one in [s for s in statements if s.good == good][:3]]
    points += [f"Next: {one.step}" for one in steps(statements)[:1]]
    if points:
        blocks.append(BulletList(points, measured.source))
    return Chapter("Summary", blocks)


def results(material: ReportMaterial) -> Chapter:
    """Compose the results: figures per prompt and split, then details of the headline split."""
    blocks: list[Block] = []
    for measured in material.evaluations:
        blocks.append(Heading(split_name(measured.split)))
        blocks += [Callout(as_sentence(note)) for note in measured.data["notes"]]
        rows = [_row(f'"{part.name}"', part) for part in measured.of("prompt")]
        rows += [_row("all prompts", part) for part in measured.of("overall")]
        blocks.append(Table(("prompt", *_HEAD), rows, "With 95 % intervals", measured.source))
        rows = [(escape(p.concept), *(p.text(name) for name in _POOLED)) for p in measured.of("concept")]
        head = ("concept", *_POOLED.values())
        blocks.append(Table(head, rows, "Pixels pooled, and lines", measured.source))
    headline = material.headline
    blocks += [*_slices(headline), *_regions(headline), *_curves(headline), *_examples(headline)]
    blocks += _in_bundle(material)
    return Chapter("Results per prompt", blocks)


def _row(name: str, part: FigureSlice) -> tuple[str, ...]:
    alarms = part.text("false alarms", ".1%") if part.absent_pairs else NOT_MEASURED
    figures = [part.text(one) for one in ("IoU", "Dice", "precision", "recall")]
    return (escape(name), *figures, alarms, f"{part.pairs} / {part.absent_pairs}")


def _slices(measured: EvaluationRecord) -> Iterator[Block]:
    # a table with a single set or setting would repeat the figures above
    rows = [
        _row(f"{concept}, {kind}: {part.name}", part)
        for concept in dict.fromkeys(part.concept for part in measured.of("concept"))
        for kind in ("set", "setting", "width")
        if len(measured.of(kind, concept)) > 1
        for part in measured.of(kind, concept)
    ]
    if rows:
        yield Heading(f"{split_name(measured.split)}, by set, setting and width")
        caption = "Widths are area by length of the middle line, at 640 px"
        yield Table(("part", *_HEAD), rows, caption, measured.source)


def _regions(measured: EvaluationRecord) -> Iterator[Block]:
    regions: dict[str, dict[str, int]] = measured.data.get("regions") or {}
    if not regions:
        return
    columns = list(next(iter(regions.values())))
    rows = []
    for truth, row in regions.items():
        total = sum(row.values())
        rows.append((escape(truth), *(f"{row[name] / total:.1%}" if total else "–" for name in columns)))
    head = ("truth", *(f"marked as {escape(name)}" for name in columns))
    caption = f"{split_name(measured.split)}: what the pixels of each truth were marked as"
    yield Table(head, rows, caption, measured.source)


def _curves(measured: EvaluationRecord) -> Iterator[Block]:
    for prompt in measured.first_prompts:
        pictures = []
        for name, caption in _CURVES.items():
            file = f"pictures/{name}__{mask_files.slug_of(prompt)}.png"
            if (path := measured.folder / file).is_file():
                picture = Picture(
                    path.read_bytes(), f"{measured.split}-{path.name}", f'{caption}, under "{prompt}"',
                    f"{caption}.", measured.beside(file),
                )  # fmt: skip
                pictures.append(picture)
        if pictures:
            yield Heading(f'{split_name(measured.split)}, curves under "{escape(prompt)}"')
            yield Pictures(pictures)


def _examples(measured: EvaluationRecord) -> Iterator[Block]:
    if examples := list(_panels(measured, EXAMPLE)):
        yield Heading(f"{split_name(measured.split)}, examples")
        yield Paragraph(
            "Chosen by rank of IoU, not by eye. The overlay lays the prediction over the photo: blue, with a "
            "white and a black line around it."
        )
        yield from examples
    if several := list(_panels(measured, PROMPTS)):
        yield Heading("One photo under several prompts")
        yield from several


def _panels(measured: EvaluationRecord, kind: str) -> Iterator[Pictures]:
    """Show panels for the first prompt of each concept, because other wordings look the same."""
    for panel in measured.panels:
        if panel.kind == kind and panel.prompt in ("", *measured.first_prompts):
            prompt = f'"{escape(panel.prompt)}", ' if panel.prompt else ""
            yield Pictures([Picture(
                (measured.folder / FOLDER / panel.file).read_bytes(), f"{measured.split}-{panel.file}",
                f"{panel.image_id}: {', '.join(panel.heads)}",
                f"{bold(panel.image_id)}: {prompt}{escape(panel.words)}.",
                measured.beside(f"{FOLDER}/{panel.file}"),
            )])  # fmt: skip


def _in_bundle(material: ReportMaterial) -> Iterator[Block]:
    """Show the figures that were measured at export and stored in the bundle."""
    metrics = material.bundle.metrics if material.bundle else {}
    rows = []
    for split in ("val", "test"):
        for name, one in (metrics.get(split) or {}).items():
            ends = {key: one[f"{key}_interval"] for key in ("iou", "dice")}
            figures = [Figure(one[key], low, high, 0, 0) for key, (low, high) in ends.items()]
            rows.append((
                split_name(split), escape(name), *map(figure_text, figures), f"{one['precision']:.3f}",
                f"{one['recall']:.3f}", f"{one['false_alarm_rate']:.1%}",
                f"{one['pairs']} / {one['photographs']}",
            ))  # fmt: skip
    if rows:
        yield Heading("Figures stored in the bundle")
        yield Paragraph(
            "Measured at export on the data set of the training, and stored in the bundle. These figures "
            "describe the same model as those above, but possibly on photos of another data set."
        )
        yield Table(
            ("part", "concept", *_HEAD[:5], "photos / photographs"), rows, "", material.source(HEAD), 2
        )
    further = metrics.get("benchmark")
    if isinstance(further, dict) and further:
        rows = [(escape(name), escape(value)) for name, value in further.items()]
        yield Table(("further measurements", "figure"), rows, "", material.source(HEAD))


def comparison(material: ReportMaterial) -> Chapter:
    """Compose the comparison with other models and earlier runs."""
    measured = material.headline
    blocks: list[Block] = []
    same = [other for other in material.others if other.split == measured.split]
    if same:
        rows = [row for one in (measured, *same) for row in _compared(one, measured)]
        blocks.append(Table(
            ("model", "concept", *_COMPARED, "photos"), rows,
            f"{split_name(measured.split)}, with 95 % intervals",
            ", ".join(one.source for one in (measured, *same)), 2,
        ))  # fmt: skip
    if against := measured.data.get("against"):
        rows = [
            (escape(entry["concept"]), *(_difference(entry["figures"].get(name)) for name in _COMPARED))
            for entry in against.get("differences", ())
            if entry["kind"] == "concept"
        ]
        title = f"{escape(measured.model)} less {escape(against['model'])}, same pairs, with 95 % intervals"
        blocks.append(Table(("concept", *_COMPARED), rows, title, measured.source))
    if others := [other for other in material.others if other.split != measured.split]:
        names = ", ".join(f"{escape(other.model)} ('{escape(other.split)}')" for other in others)
        blocks.append(Paragraph(f"Measured on another part and therefore not comparable: {names}."))
    if not blocks:
        blocks.append(Paragraph(
            "Not measured: no evaluation of an earlier run or another model was given (`--against`)."
        ))  # fmt: skip
    own = measured.data.get("report_iou")
    if own is not None:
        blocks.append(Paragraph(
            f"Counted as the training report of November 2025 counted (batches of two averaged, two empty "
            f"masks count 1), this model's IoU would be {own:.3f}. That figure serves the comparison with "
            "that report alone.", measured.source,
        ))  # fmt: skip
    return Chapter("Comparison with earlier runs and other models", blocks)


def _compared(one: EvaluationRecord, headline: EvaluationRecord) -> Iterator[tuple[str, ...]]:
    photos = f"{one.data['photos']} of {one.data['photographs']}"
    if photos != f"{headline.data['photos']} of {headline.data['photographs']}":
        photos += " (others)"
    for part in one.of("concept"):
        figures = (part.text("IoU"), part.text("Dice"), part.text("false alarms", ".1%"))
        yield (escape(one.model), escape(part.concept), *figures, photos)


def _difference(entry: dict[str, Any] | None) -> str:
    if not entry or entry["value"] is None:
        return "–"
    interval = "" if entry["low"] is None else f" ({entry['low']:+.3f} to {entry['high']:+.3f})"
    return f"{entry['value']:+.3f}{interval}"


def failures(material: ReportMaterial) -> Chapter:
    """Compose the chapter on failures, with counts by likely cause and pictures."""
    measured = material.headline
    shown = list(_panels(measured, FAILURE))
    blocks: list[Block] = []
    if measured.causes:
        rows = [(escape(cause), str(count)) for cause, count in measured.causes.items()]
        caption = "The worst of each kind under each prompt, by likely cause"
        source = measured.beside("failures/to-labelling.csv")
        blocks.append(Table(("likely cause", "failures"), rows, caption, source))
        blocks.append(
            Paragraph("Causes are rules of thumb on plain measurements. They say where to look first.")
        )
    if shown:
        blocks.append(Paragraph(
            "Truth and prediction are drawn over the photo in blue. Errors: dark blue was missed, orange is "
            "falsely marked, pale is correct."
        ))  # fmt: skip
        blocks += shown
    return Chapter("Failures", blocks or [Paragraph("No failures were collected in this evaluation.")])
