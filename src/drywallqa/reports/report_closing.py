"""The training report's last chapters: strengths and limits, runtime, next steps, reproduction."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from drywallqa._version import __version__
from drywallqa.bundle.bundle import CARD
from drywallqa.reports.document import (
    Block,
    BulletList,
    Chapter,
    CodeBlock,
    Heading,
    Paragraph,
    Table,
    as_sentence,
    code,
    escape,
)
from drywallqa.reports.judgement import Statement, steps
from drywallqa.reports.material import ReportMaterial, file_sizes, split_name
from drywallqa.reports.report_course import duration
from drywallqa.reports.sources import ENVIRONMENT, LOG, Data

NOT_MEASURED = "not measured"
_VERSIONS = ("drywallqa", "torch", "lightning", "python", "machine")  # of a run's environment
_LIMITS = re.compile(r"^## Limits\s*\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def strengths(material: ReportMaterial, statements: Sequence[Statement]) -> Chapter:
    """What the figures speak for and against, and what the model's card says besides."""
    measured = material.headline
    blocks: list[Block] = [Paragraph(
        f"From the figures on {split_name(measured.split).lower()}, by fixed rules."
    )]  # fmt: skip
    for title, good in (("Strengths", True), ("Limits", False)):
        told = [statement.text for statement in statements if statement.good == good]
        blocks += [Heading(title), BulletList(told or ["None by these rules."], measured.source)]
    known = _card_limits(material)
    if known:
        blocks += [Heading("What its card says"), BulletList(known, material.source(CARD))]
    return Chapter("Strengths and limits", blocks)


def _card_limits(material: ReportMaterial) -> list[str]:
    path = material.subject / CARD
    found = _LIMITS.search(path.read_text(encoding="utf-8")) if path.is_file() else None
    if not found:
        return []
    points = re.split(r"^- ", found[1].strip(), flags=re.MULTILINE)
    return [" ".join(point.split()) for point in points if point.strip()]


def runtime(material: ReportMaterial) -> Chapter:
    """Times, memory and sizes."""
    sizes = file_sizes(material)
    blocks: list[Block] = []
    rows = [("training", _training_time(material)), ("size on disk", _size(sizes))]
    blocks.append(Table(("what", "figure"), rows, "", ", ".join(_sources(material))))
    if material.footprint:
        blocks += _speed(material.footprint.data, material.footprint.source)
    else:
        reason = "it was left out" if material.bundle else "a run is measured once it is exported"
        blocks.append(Paragraph(f"Time an image and peak memory: {NOT_MEASURED}; {reason}."))
    if material.bundle:
        files = [(code(name), _bytes(size)) for name, size in sizes.items()]
        blocks.append(Table(("file", "size"), files, "Files", material.source("")))
    return Chapter("Runtime and footprint", blocks)


def _training_time(material: ReportMaterial) -> str:
    known = [(run.name, run.seconds) for run in material.runs]
    told = [f"{name}: {duration(seconds)}" for name, seconds in known if seconds is not None]
    return "; ".join(told) or NOT_MEASURED


def _size(sizes: dict[str, int]) -> str:
    return f"{sum(sizes.values()) / 1e6:.1f} MB in {len(sizes)} files" if sizes else NOT_MEASURED


def _bytes(size: int) -> str:
    return f"{size / 1e6:.2f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _sources(material: ReportMaterial) -> Iterator[str]:
    yield from (run.source(LOG) for run in material.runs if run.seconds is not None)
    yield material.source("")


def _speed(data: Data, source: str) -> Iterator[Block]:
    rows = [
        (
            f"{row['prompts']} {'prompt' if row['prompts'] == 1 else 'prompts'}, "
            + ("alone" if row["batch"] == 1 else f"in batches of {row['batch']}"),
            f"{row['median_ms']:.1f} ms", f"{row['p95_ms']:.1f} ms", f"{row['photos_per_second']:.1f}",
            str(row["threads"]),
        )
        for row in data["rows"]
        if not row.get("problem")
    ]  # fmt: skip
    yield Table(
        ("an image", "median", "95th percentile", "images a second", "threads"), rows,
        f"A photo of {data['photo']}, from its pixels to masks of its size", source,
    )  # fmt: skip
    start = data["start"]
    yield Table(
        ("what", "figure"),
        (
            ("peak memory of a process that segments a photo", f"{start['peak_mb']:.0f} MB"),
            ("from a cold start to the loaded model", f"{start['loaded_s']:.2f} s"),
            ("from a cold start to the first mask", f"{start['first_mask_s']:.2f} s"),
            ("machine", f"{escape(str(data['machine']))}, {data['cores']} cores"),
            ("date", escape(str(data["date"]))[:10]),
        ), "", source,
    )  # fmt: skip


def next_steps(material: ReportMaterial, statements: Sequence[Statement]) -> Chapter:
    """What to do, the most promising first: what the diagnosis found, then what the figures ask for."""
    blocks: list[Block] = []
    if material.findings is None:
        blocks.append(Paragraph(f"Diagnosis: {NOT_MEASURED}; make one with `drywallqa diagnose`."))
    else:
        blocks += _diagnosis(material.findings.data, material.findings.source)
    asked = steps(statements)
    if asked:
        blocks.append(Heading("What the figures ask for, the most promising first"))
        blocks.append(BulletList([_step(one) for one in asked], material.headline.source))
    else:
        blocks.append(Paragraph("The figures ask for nothing by the rules of this report."))
    return Chapter("Next steps", blocks)


def _diagnosis(data: Data, source: str) -> Iterator[Block]:
    found: list[dict[str, Any]] = list(data.get("findings") or ())
    if not found:
        yield Paragraph(
            "`drywallqa diagnose` looked for known faults of data, training and thresholds: none.", source
        )
        return
    yield Heading("What the diagnosis found")
    yield BulletList([
        f"**{escape(str(one.get('name') or one.get('finding')))}**: {escape(str(one['evidence']))}. "
        f"{as_sentence(str(one['cause']))} {as_sentence(str(one['remedy']))} {code(str(one['command']))}"
        for one in found
    ], source)  # fmt: skip


def _step(one: Statement) -> str:
    command = f" {code(one.command)}" if one.command else ""
    return f"**{one.step}** {one.text}{command}"


def reproduction(material: ReportMaterial) -> Chapter:
    """How to make all of this again."""
    blocks: list[Block] = [CodeBlock("\n".join(material.commands))] if material.commands else []
    for run in material.runs:
        told = [f"{name} {run.environment[name]}" for name in _VERSIONS if name in run.environment]
        seed = run.settings.get("seed")
        blocks.append(
            Paragraph(f"{code(run.name)}: seed {seed}; {escape(', '.join(told))}.", run.source(ENVIRONMENT))
        )
    package = {str(one.data.get("package")) for one in material.evaluations}
    blocks.append(Paragraph(
        f"Measured with drywallqa {escape(', '.join(sorted(package)))}, written with drywallqa {__version__}."
    ))  # fmt: skip
    if material.bundle:
        rows = [(code(name), code(digest)) for name, digest in material.bundle.files.items()]
        blocks.append(
            Table(("file", "SHA-256"), rows, "The bundle's files", material.source("bundle.json"), 2)
        )
    if material.data:
        digest = material.data.data["data_sha256"]
        blocks.append(Paragraph(f"SHA-256 of the data set's manifest: {code(digest)}.", material.data.source))
    return Chapter("Reproduction", blocks)
