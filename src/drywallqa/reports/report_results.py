"""The result chapters of the training report: summary, metrics per prompt, comparison and failures."""

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
    "precision-recall": "Precision and recall of pixels at all mask thresholds",
    "thresholds": "Metrics at each mask threshold",
    "calibration": "Share of foreground pixels at each predicted probability",
    "presence": "Metrics at each presence threshold",
}
_HEAD = ("IoU", "Dice", "precision", "recall", "false alarms", "photos with / without")
_POOLED = {
    "pixel accuracy": "pixel accuracy", "pixel accuracy of all background": "pixel accuracy of an empty mask",
    "pooled IoU": "pooled IoU", "pooled Dice": "pooled Dice", "clDice": "clDice",
    "F1 within 3 px": "F1 within 3 px",
}  # fmt: skip
_COMPARED = ("IoU", "Dice", "false alarms")


def summary(material: ReportMaterial, statements: Sequence[Statement]) -> Chapter:
    """Compose the summary, which lists the most important metrics and draws conclusions from them."""
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
        ("concept", "IoU (95 % interval)", "Dice (95 % interval)", "false alarms", "grade"), rows,
        f"{split_name(measured.split)}: {measured.data['photos']} photos made from "
        f"{measured.data['photographs']} source photos", measured.source,
    ))  # fmt: skip
    blocks.append(Paragraph(
        "IoU and Dice are means over the source photos that show the concept. A false alarm is a photo "
        "without the concept in which the model marks more than 0.1 % of the pixels. The grades are those of "
        "the training report of November 2025: at least 0.1 IoU is basic, 0.3 is good, and 0.5 is excellent."
    ))  # fmt: skip
    points = [one.text for good in (True, False) for one in [s for s in statements if s.good == good][:3]]
    points += [f"Next step: {one.step}" for one in steps(statements)[:1]]
    if points:
        blocks.append(BulletList(points, measured.source))
    return Chapter("Summary", blocks)


def results(material: ReportMaterial) -> Chapter:
    """Compose the results chapter: metrics per prompt and split, then details of the main split."""
    blocks: list[Block] = []
    for measured in material.evaluations:
        blocks.append(Heading(split_name(measured.split)))
        blocks += [Callout(as_sentence(note)) for note in measured.data["notes"]]
        rows = [_row(f'"{part.name}"', part) for part in measured.of("prompt")]
        rows += [_row("all prompts", part) for part in measured.of("overall")]
        blocks.append(Table(("prompt", *_HEAD), rows, "Metrics with 95 % intervals", measured.source))
        rows = [(escape(p.concept), *(p.text(name) for name in _POOLED)) for p in measured.of("concept")]
        head = ("concept", *_POOLED.values())
        blocks.append(
            Table(
                head,
                rows,
                "Metrics over the pixels of all photos, and metrics of centre lines",
                measured.source,
            )
        )
    headline = material.headline
    blocks += [*_slices(headline), *_regions(headline), *_curves(headline), *_examples(headline)]
    blocks += _in_bundle(material)
    return Chapter("Results per prompt", blocks)


def _row(name: str, part: FigureSlice) -> tuple[str, ...]:
    alarms = part.text("false alarms", ".1%") if part.absent_pairs else NOT_MEASURED
    figures = [part.text(one) for one in ("IoU", "Dice", "precision", "recall")]
    return (escape(name), *figures, alarms, f"{part.pairs} / {part.absent_pairs}")


def _slices(measured: EvaluationRecord) -> Iterator[Block]:
    # A table with only one set or setting would repeat the metrics above.
    rows = [
        _row(f"{concept}, {kind}: {part.name}", part)
        for concept in dict.fromkeys(part.concept for part in measured.of("concept"))
        for kind in ("set", "setting", "width")
        if len(measured.of(kind, concept)) > 1
        for part in measured.of(kind, concept)
    ]
    if rows:
        yield Heading(f"{split_name(measured.split)}, by set, setting and width")
        caption = "The width is area divided by length of the centre line, at 640 px"
        yield Table(("slice", *_HEAD), rows, caption, measured.source)


def _regions(measured: EvaluationRecord) -> Iterator[Block]:
    regions: dict[str, dict[str, int]] = measured.data.get("regions") or {}
    if not regions:
        return
    columns = list(next(iter(regions.values())))
    rows = []
    for truth, row in regions.items():
        total = sum(row.values())
        rows.append((escape(truth), *(f"{row[name] / total:.1%}" if total else "–" for name in columns)))
    head = ("ground truth", *(f"marked as {escape(name)}" for name in columns))
    caption = f"{split_name(measured.split)}: predictions for the pixels of each concept"
    yield Table(head, rows, caption, measured.source)


def _curves(measured: EvaluationRecord) -> Iterator[Block]:
    for prompt in measured.first_prompts:
        pictures = []
        for name, caption in _CURVES.items():
            file = f"pictures/{name}__{mask_files.slug_of(prompt)}.png"
            if (path := measured.folder / file).is_file():
                picture = Picture(
                    path.read_bytes(), f"{measured.split}-{path.name}", f'{caption}; prompt: "{prompt}"',
                    f"{caption}.", measured.beside(file),
                )  # fmt: skip
                pictures.append(picture)
        if pictures:
            yield Heading(f'{split_name(measured.split)}, curves for the prompt "{escape(prompt)}"')
            yield Pictures(pictures)


def _examples(measured: EvaluationRecord) -> Iterator[Block]:
    if examples := list(_panels(measured, EXAMPLE)):
        yield Heading(f"{split_name(measured.split)}, examples")
        yield Paragraph(
            "The examples are chosen by their rank in IoU, not by hand. The overlay draws the prediction in "
            "blue over the photo, with a white and a black outline."
        )
        yield from examples
    if several := list(_panels(measured, PROMPTS)):
        yield Heading("The same photo with several prompts")
        yield from several


def _panels(measured: EvaluationRecord, kind: str) -> Iterator[Pictures]:
    """Yield the pictures for the first prompt of each concept. Other prompts give similar pictures."""
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
    """Show the metrics that were measured during the export and stored in the bundle."""
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
        yield Heading("Metrics stored in the bundle")
        yield Paragraph(
            "The export measured these metrics on the data set of the run. The metrics above are for "
            "the same model, but possibly for another data set."
        )
        yield Table(
            ("split", "concept", *_HEAD[:5], "photos / source photos"), rows, "", material.source(HEAD), 2
        )
    further = metrics.get("benchmark")
    if isinstance(further, dict) and further:
        rows = [(escape(name), escape(value)) for name, value in further.items()]
        yield Table(("further measurements", "value"), rows, "", material.source(HEAD))


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
        title = f"{escape(measured.model)} minus {escape(against['model'])}, with 95 % intervals"
        blocks.append(Table(("concept", *_COMPARED), rows, title, measured.source))
    if others := [other for other in material.others if other.split != measured.split]:
        names = ", ".join(f"{escape(other.model)} ('{escape(other.split)}')" for other in others)
        blocks.append(
            Paragraph(f"These models were measured on another split and are not comparable: {names}.")
        )
    if not blocks:
        blocks.append(Paragraph(
            "Not measured: no evaluation of an earlier run or another model was passed with `--against`."
        ))  # fmt: skip
    own = measured.data.get("report_iou")
    if own is not None:
        blocks.append(Paragraph(
            "The training report of November 2025 averaged the IoU over batches of two photos, and counted "
            f"two empty masks as 1. By this method, the IoU of this model is {own:.3f}. Use this number only "
            "for a comparison with that report.", measured.source,
        ))  # fmt: skip
    return Chapter("Comparison with earlier runs and other models", blocks)


def _compared(one: EvaluationRecord, headline: EvaluationRecord) -> Iterator[tuple[str, ...]]:
    photos = f"{one.data['photos']} of {one.data['photographs']}"
    if photos != f"{headline.data['photos']} of {headline.data['photographs']}":
        photos += " (other photos)"
    for part in one.of("concept"):
        figures = (part.text("IoU"), part.text("Dice"), part.text("false alarms", ".1%"))
        yield (escape(one.model), escape(part.concept), *figures, photos)


def _difference(entry: dict[str, Any] | None) -> str:
    if not entry or entry["value"] is None:
        return "–"
    interval = "" if entry["low"] is None else f" ({entry['low']:+.3f} to {entry['high']:+.3f})"
    return f"{entry['value']:+.3f}{interval}"


def failures(material: ReportMaterial) -> Chapter:
    """Compose the chapter on failures, with the number of failures per likely cause and with pictures."""
    measured = material.headline
    shown = list(_panels(measured, FAILURE))
    blocks: list[Block] = []
    if measured.causes:
        rows = [(escape(cause), str(count)) for cause, count in measured.causes.items()]
        caption = "The worst masks of each kind and prompt, counted by likely cause"
        source = measured.beside("failures/to-labelling.csv")
        blocks.append(Table(("likely cause", "failures"), rows, caption, source))
        blocks.append(
            Paragraph("The likely causes come from simple rules, and only suggest where to look first.")
        )
    if shown:
        blocks.append(Paragraph(
            "The ground truth and the prediction are drawn in blue over the photo. In the error map, missed "
            "pixels are dark blue, falsely marked pixels are orange, and correct pixels are pale."
        ))  # fmt: skip
        blocks += shown
    return Chapter("Failures", blocks or [Paragraph("This evaluation lists no failures.")])
