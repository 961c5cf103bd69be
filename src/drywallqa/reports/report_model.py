"""The training report's first chapters: goal, approach, models compared, data sets and splits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drywallqa.bundle.bundle import HEAD, Bundle
from drywallqa.models import registry
from drywallqa.reports.document import (
    Block,
    BulletList,
    Chapter,
    Heading,
    Paragraph,
    Table,
    code,
    escape,
)
from drywallqa.reports.material import ReportMaterial, SourcedFigures, count_parameters
from drywallqa.reports.sources import ENVIRONMENT


def goal(material: ReportMaterial) -> Chapter:
    """What the model is for, and what it was asked."""
    measured = material.headline
    asked = [
        f'"{escape(question["prompt"])}" (concept: {escape(question["concept"])})'
        for question in measured.data["questions"]
    ]
    return Chapter("Goal", [
        Paragraph(
            "A photo of a wall and a sentence go in, and a mask comes out: the pixels of what the sentence "
            "asks for, empty where the photo does not show it. The mask is a PNG of the photo's size with "
            "the values 0 and 255. A model is good where its masks cover what people marked (IoU, Dice), "
            "where it marks nothing that is not there (false alarms), and where that holds in every setting "
            "and for thin objects as for wide ones."
        ),
        Paragraph("It was asked:"),
        BulletList(asked, measured.source),
    ])  # fmt: skip


def approach(material: ReportMaterial) -> Chapter:
    """How the model works, and how large it is."""
    blocks: list[Block] = []
    family = material.family
    if family:
        closed = "closed: a prompt that means none of its concepts is refused"
        opened = "open: prompts beyond the trained concepts mean something to it"
        vocabulary = opened if family.open_vocabulary else closed
        blocks += [
            Paragraph(f"**{family.name}**: {family.summary}. Vocabulary {vocabulary}."),
            Paragraph(f"Published as or built on: {family.paper}.", "the package's registry of models"),
        ]
    if material.bundle:
        blocks.append(_thresholds(material.bundle, material.source(HEAD)))
    counts, source = count_parameters(material)
    if counts:
        total = sum(counts.values())
        rows = [(code(part), f"{count:,}", f"{count / total:.1%}") for part, count in counts.items()]
        rows.append(("**all**", f"**{total:,}**", ""))
        blocks.append(Table(("part", "parameters", "share"), rows, "Parameters", source))
    else:
        blocks.append(Paragraph("Parameters: not measured, as no readable weights lie with the model."))
    return Chapter("Approach and parameters", blocks)


def _thresholds(bundle: Bundle, source: str) -> Table:
    rows = [
        (escape(name), f"{one.threshold:.3f}", f"{one.presence_threshold:.2f}", f"{one.scale} px")
        for name, one in bundle.concepts.items()
    ]
    return Table(
        ("concept", "mask threshold", "presence threshold", "trained at"), rows,
        f"A pixel is marked above the mask threshold, and none where presence is too low; window "
        f"{bundle.window.size} px", source,
    )  # fmt: skip


def models(material: ReportMaterial) -> Chapter:
    """The families that could have been trained, and which of them were measured."""
    own = material.family
    counted = sum(count_parameters(material)[0].values())
    measured = {other.model.split()[0] for other in material.others}
    rows = []
    for family in registry.FAMILIES.values():
        state = "measured, see below" if family.name in measured else "not measured here"
        state = "this model" if own is family else state
        parameters = counted if own is family and counted else family.parameters
        rows.append((code(family.name), family.summary, state, f"{parameters / 1e6:.1f} M"))
    return Chapter("Models compared", [
        Table(
            ("family", "what it is", "here", "parameters"), rows,
            "Families that the package can train or run, by the defaults of training but for this model",
            "the package's registry of models", 3,
        ),
        Paragraph(
            "Measured figures of other models stand under “Comparison with earlier runs and other models”."
            if material.others else
            "No other model's evaluation was given to this report, so none is compared by figures."
        ),
    ])  # fmt: skip


def data(material: ReportMaterial) -> Chapter:
    """Which photos were trained on and measured on."""
    blocks: list[Block] = [_parts(material.data)] if material.data else []
    for run in material.runs:
        photos = run.environment.get("photos")
        if isinstance(photos, dict):
            told = ", ".join(f"{count} {part}" for part, count in photos.items())
            blocks.append(Paragraph(f"Photos that {code(run.name)} had: {told}.", run.source(ENVIRONMENT)))
    for measured in material.evaluations:
        data = measured.data
        blocks.append(Paragraph(
            f"Measured on '{measured.split}': {data['photos']} photos of {data['photographs']} photographs; "
            f"{data.get('skipped', 0)} skipped, {data.get('leaking_photos', 0)} show a photograph that the "
            "model was trained on.", measured.source,
        ))  # fmt: skip
    if material.bundle:
        known = len(material.bundle.training_hashes)
        blocks.append(Paragraph(
            f"The bundle holds perceptual hashes of {known:,} training photos, against which every measured "
            "photo was held." if known else
            "The bundle holds no hashes of its training photos, so that leaks could not be looked for.",
            material.source(HEAD),
        ))  # fmt: skip
        licences = [f"{part}: {licence}" for part, licence in material.bundle.licences.items()]
        blocks += [Heading("Licences"), BulletList(licences, material.source(HEAD))] if licences else []
    blocks.append(Paragraph(
        "Copies of one photograph are averaged before photographs are, and photographs that look the same "
        "are resampled together, so that the intervals do not pretend to more evidence than there is."
    ))  # fmt: skip
    return Chapter("Data sets and splits", blocks)


def _parts(noted: SourcedFigures) -> Table:
    parts: Sequence[Any] = noted.data["parts"]
    concepts = list(dict.fromkeys(concept for part in parts for concept in part["concepts"]))
    rows = []
    for part in parts:
        shown = [part["concepts"].get(concept) for concept in concepts]
        cells = [f"{one['shown']} / {one['absent']}" if one else "–" for one in shown]
        rows.append(
            (
                escape(part["set"]),
                escape(part["split"]),
                str(part["photos"]),
                str(part["photographs"]),
                *cells,
            )
        )
    head = ("set", "part", "photos", "photographs", *(f"{escape(c)}: shown / absent" for c in concepts))
    return Table(head, rows, f"Data set {escape(str(noted.data['title']))}", noted.source, 2)
