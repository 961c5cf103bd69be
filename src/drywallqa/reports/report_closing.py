"""The last chapters of the training report: strengths and limits, runtime, next steps, reproduction."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from drywallqa._version import __version__
from drywallqa.bundle.bundle import CARD, HEAD
from drywallqa.reports.document import (
    Block,
    BulletList,
    Chapter,
    CodeBlock,
    Heading,
    Paragraph,
    Table,
    as_sentence,
    bold,
    code,
    escape,
)
from drywallqa.reports.judgement import Statement, steps
from drywallqa.reports.material import NOT_MEASURED, ReportMaterial, SourcedFigures
from drywallqa.reports.sources import ENVIRONMENT, LOG

_VERSIONS = ("drywallqa", "torch", "lightning", "python", "machine")  # keys of a run's environment.json
_LIMITS = re.compile(r"^## Limits\s*\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def strengths(material: ReportMaterial, statements: Sequence[Statement]) -> Chapter:
    """Compose the chapter on strengths and limits from the metrics and the model card."""
    measured, card = material.headline, material.subject / CARD
    blocks: list[Block] = [
        Paragraph(f"Fixed rules derive these points from the metrics on the split '{measured.split}'.")
    ]
    for title, good in (("Strengths", True), ("Limits", False)):
        points = [statement.text for statement in statements if statement.good == good]
        blocks += [Heading(title), BulletList(points or ["The rules find no such point."], measured.source)]
    found = _LIMITS.search(card.read_text(encoding="utf-8")) if card.is_file() else None
    if found:
        listed = re.split(r"^- ", found[1].strip(), flags=re.MULTILINE)
        points = [" ".join(point.split()) for point in listed if point.strip()]
        blocks += [Heading("Limits stated in the model card"), BulletList(points, material.source(CARD))]
    return Chapter("Strengths and limits", blocks)


def runtime(material: ReportMaterial) -> Chapter:
    """Compose the chapter on times, memory use and file sizes."""
    timed = [(run, run.seconds) for run in material.runs if run.seconds is not None]
    training = "; ".join(f"{run.name}: {duration(seconds)}" for run, seconds in timed if seconds is not None)
    size = f"{material.size} in {len(material.sizes)} files" if material.sizes else NOT_MEASURED
    rows = [("training", training or NOT_MEASURED), ("size on disk", size)]
    sources = ", ".join([*(run.source(LOG) for run, _ in timed), material.source("")])
    blocks: list[Block] = [Table(("measurement", "value"), rows, "", sources)]
    if material.footprint:
        blocks += _speed(material.footprint)
    else:
        reason = "the timing was disabled" if material.bundle else "export the run to measure it"
        blocks.append(Paragraph(f"Time per image and peak memory: {NOT_MEASURED}; {reason}."))
    if material.bundle:
        rows = [
            (code(name), f"{size / 1e6:.2f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB")
            for name, size in material.sizes.items()
        ]
        blocks.append(Table(("file", "size"), rows, "Files", material.source("")))
    return Chapter("Runtime and footprint", blocks)


def duration(seconds: float) -> str:
    """Format a duration in seconds as text, such as "12 minutes"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _speed(figures: SourcedFigures) -> Iterator[Block]:
    data, start = figures.data, figures.data["start"]
    rows = [
        (
            f"{row['prompts']} {'prompt' if row['prompts'] == 1 else 'prompts'}, "
            + ("one by one" if row["batch"] == 1 else f"in batches of {row['batch']}"),
            f"{row['median_ms']:.1f} ms", f"{row['p95_ms']:.1f} ms", f"{row['photos_per_second']:.1f}",
            str(row["threads"]),
        )
        for row in data["rows"]
        if not row.get("problem")
    ]  # fmt: skip
    yield Table(
        ("images", "median", "95th percentile", "images per second", "threads"), rows,
        f"Photos of {data['photo']}; time per image from the pixel array to masks of the photo's size",
        figures.source,
    )  # fmt: skip
    yield Table(
        ("measurement", "value"),
        (
            ("peak memory of a process that segments a photo", f"{start['peak_mb']:.0f} MB"),
            ("time from a cold start to the loaded model", f"{start['loaded_s']:.2f} s"),
            ("time from a cold start to the first mask", f"{start['first_mask_s']:.2f} s"),
            ("machine", f"{escape(data['machine'])}, {data['cores']} cores"),
            ("date", escape(data["date"])[:10]),
        ), "", figures.source,
    )  # fmt: skip


def next_steps(material: ReportMaterial, statements: Sequence[Statement]) -> Chapter:
    """Compose the chapter on next steps: remedies of the diagnosis, then steps derived from the metrics."""
    blocks: list[Block] = []
    if material.findings is None:
        blocks.append(Paragraph(f"Diagnosis: {NOT_MEASURED}; run `drywallqa diagnose` to create one."))
    elif findings := material.findings.data.get("findings"):
        points = [
            f"{bold(one.get('name') or one.get('finding'))}: {escape(one['evidence'])}. "
            f"{as_sentence(one['cause'])} {as_sentence(one['remedy'])} {code(one['command'])}"
            for one in findings
        ]
        blocks += [Heading("Findings of the diagnosis"), BulletList(points, material.findings.source)]
    else:
        blocks.append(Paragraph(
            "`drywallqa diagnose` found no known fault of data, training or thresholds.",
            material.findings.source,
        ))  # fmt: skip
    points = [
        f"**{one.step}** {one.text}{f' {code(one.command)}' if one.command else ''}"
        for one in steps(statements)
    ]
    if points:
        blocks.append(Heading("Steps derived from the metrics, most promising first"))
        blocks.append(BulletList(points, material.headline.source))
    else:
        blocks.append(Paragraph("The rules of this report derive no further steps from the metrics."))
    return Chapter("Next steps", blocks)


def reproduction(material: ReportMaterial) -> Chapter:
    """Compose the chapter with the commands and versions that reproduce the results."""
    blocks: list[Block] = [CodeBlock("\n".join(material.commands))] if material.commands else []
    for run in material.runs:
        versions = [f"{name} {run.environment[name]}" for name in _VERSIONS if name in run.environment]
        text = f"{code(run.name)}: seed {run.settings.get('seed')}; {escape(', '.join(versions))}."
        blocks.append(Paragraph(text, run.source(ENVIRONMENT)))
    packages = sorted({str(one.data.get("package")) for one in material.evaluations})
    blocks.append(
        Paragraph(
            f"The metrics were measured with drywallqa {escape(', '.join(packages))}. "
            f"The report was written with drywallqa {__version__}."
        )
    )
    if material.bundle:
        rows = [(code(name), code(digest)) for name, digest in material.bundle.files.items()]
        blocks.append(Table(("file", "SHA-256"), rows, "The bundle's files", material.source(HEAD), 2))
    if material.data:
        digest = code(material.data.data["data_sha256"])
        blocks.append(Paragraph(f"SHA-256 of the data set's manifest: {digest}.", material.data.source))
    return Chapter("Reproduction", blocks)
