"""The model card, written from what the bundle knows about itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drywallqa.bundle.bundle import FAILURES, Bundle, ConceptSettings

_LIMITS = """\
- It finds what it was shown. On a kind of site that was not in training it finds less, and sees more that is
  not there: look at the first masks of a new site, and train on a few of its photos.
- A photo is scaled to the window, and what is thinner than a pixel then is not found. A large photo is also
  shown in closer views where a concept is thin; the whole photo decides whether the concept is there at all.
- Its figures say how near it comes to the labels, and are no better than these.
"""


def render_card(bundle: Bundle) -> str:
    """Write a bundle's card as Markdown."""
    concepts = "\n".join(_concept(name, settings) for name, settings in bundle.concepts.items())
    parts = [
        f"# {bundle.name} {bundle.version}",
        f"Text-conditioned segmentation; {bundle.metrics.get('parameters', 0):,} parameters in encoder and "
        f"decoder; window {bundle.window.size} px; {bundle.vocabulary} vocabulary.",
        "## What it answers\n\n| concept | mask threshold | presence threshold | scale |\n|---|---|---|---|\n"
        + concepts,
        _figures("Validation (thresholds were chosen here)", bundle.metrics.get("val")),
        _figures("Test (looked at once, for these figures)", bundle.metrics.get("test")),
        _further(bundle.metrics.get("benchmark")),
        _phone_size(bundle.metrics.get("phone size")),
        "## Limits\n\n" + _LIMITS.strip() + _failures(bundle),
        _notes(bundle.metrics.get("notes")),
        "## Licences\n\n" + "\n".join(f"- {part}: {licence}" for part, licence in bundle.licences.items()),
        _cost(bundle.metrics.get("training")),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _concept(name: str, settings: ConceptSettings) -> str:
    """A row of the table of thresholds, and another one for large photos where these have their own."""
    row = f"| {name} | {settings.threshold:.3f} | {settings.presence_threshold:.2f} | {settings.scale} px |"
    if settings.closer is None:
        return row
    threshold, presence = settings.closer
    return f"{row}\n| {name}, large photos | {threshold:.3f} | {presence:.2f} | closer views |"


def _notes(notes: str | None) -> str:
    """What whoever made the bundle knows of its data."""
    return f"## What it learnt from\n\n{notes.strip()}" if notes else ""


def _failures(bundle: Bundle) -> str:
    if not (bundle.folder / FAILURES).is_file():
        return ""
    return f"\n\nWhere it fails, on rendered walls that it was not trained on:\n\n![failures]({FAILURES})"


def _cost(training: Mapping[str, Any] | None) -> str:
    if not training or "pictures" not in training:
        return ""
    minutes = training["seconds"] / 60
    told = f"## What it took\n\nIts training saw {training['pictures']:,} pictures in {minutes:.0f} minutes"
    machine = [
        f"{training[part]} {part[:-1]}(s)" for part in ("processors", "accelerators") if training.get(part)
    ]
    return f"{told}, on a machine with {' and '.join(machine)}." if machine else f"{told}."


def _figures(title: str, figures: Mapping[str, Any] | None) -> str:
    if not figures:
        return ""
    rows = []
    for name, f in figures.items():
        low, high = f["iou_interval"]
        rows.append(
            f"| {name} | {f['iou']:.3f} ({low:.3f}–{high:.3f}) | {f['dice']:.3f} "
            f"| {f['false_alarm_rate']:.1%} | {f['pixel_accuracy']:.3f} ({f['background_accuracy']:.3f}) "
            f"| {f['pairs']} of {f['photographs']} |"
        )
    head = (
        "| concept | IoU (95 % interval) | Dice | false alarms | pixel accuracy (all background) "
        "| photos of photographs |\n|---|---|---|---|---|---|\n"
    )
    return f"## {title}\n\nMeans over photographs, masks at the photo's own size.\n\n{head}" + "\n".join(rows)


def _phone_size(sections: Mapping[str, Mapping[str, str]] | None) -> str:
    """The figures of large photos, by what they were measured on."""
    if not sections:
        return ""
    rows = [f"| {what} | {name} | {told} |" for what, each in sections.items() for name, told in each.items()]
    head = "## Large photos\n\nBy `make benchmark-phone`.\n\n| on | what | figure |\n|---|---|---|\n"
    return head + "\n".join(rows)


def _further(figures: Mapping[str, Any] | None) -> str:
    if not figures:
        return ""
    rows = "\n".join(f"| {name} | {value} |" for name, value in figures.items())
    return f"## Further measurements\n\nBy `make benchmark-quality`.\n\n| what | figure |\n|---|---|\n{rows}"
