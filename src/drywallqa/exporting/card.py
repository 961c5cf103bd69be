"""Generates the model card of a bundle from the metadata in `bundle.json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from drywallqa.bundle.bundle import FAILURES, Bundle

_LIMITS = """\
- It finds what it was shown. On a kind of site that was not in training it finds less, and sees more that is
  not there: look at the first masks of a new site, and train on a few of its photos.
- A photo is scaled to the window, and what is thinner than a pixel then is not found. A large photo is also
  shown in closer views where a concept is thin; the whole photo decides whether the concept is there at all.
- Its figures say how near it comes to the labels, and are no better than these.
"""


def render_card(bundle: Bundle) -> str:
    """Render a bundle's model card as Markdown."""
    metrics = bundle.metrics
    phone = [(on, *row) for on, figures in metrics.get("phone size", {}).items() for row in figures.items()]
    quality = metrics.get("benchmark", {}).items()
    failures = f"Where it fails, on rendered walls that it was not trained on:\n\n![failures]({FAILURES})"
    sections = {
        "What it answers": _thresholds(bundle),
        "Validation (thresholds were chosen here)": _figures(metrics.get("val")),
        "Test (looked at once, for these figures)": _figures(metrics.get("test")),
        "Further measurements": _table("By `make benchmark-quality`.", ("what", "figure"), quality),
        "Large photos": _table("By `make benchmark-phone`.", ("on", "what", "figure"), phone),
        "Limits": _LIMITS + (f"\n{failures}" if (bundle.folder / FAILURES).is_file() else ""),
        "What it learnt from": metrics.get("notes") or "",
        "Licences": "\n".join(f"- {part}: {licence}" for part, licence in bundle.licences.items()),
        "What it took": _cost(metrics.get("training", {})),
    }
    head = (
        f"# {bundle.name} {bundle.version}\n\n"
        f"Text-conditioned segmentation; {metrics.get('parameters', 0):,} parameters in encoder and "
        f"decoder; window {bundle.window.size} px; {bundle.vocabulary} vocabulary."
    )
    filled = (f"## {title}\n\n{text.strip()}" for title, text in sections.items() if text)
    return "\n\n".join([head, *filled]) + "\n"


def _table(intro: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Render an introductory sentence and a table. If there are no rows, return an empty string."""
    head, *lines = (f"| {' | '.join(map(str, cells))} |" for cells in (columns, *rows))
    return "\n".join([intro, "", head, "|" + "---|" * len(columns), *lines]) if lines else ""


def _thresholds(bundle: Bundle) -> str:
    """Render the table of thresholds. Each set of thresholds for large photos gets a separate row."""
    rows = []
    for name, settings in bundle.concepts.items():
        chosen = f"{settings.threshold:.3f}", f"{settings.presence_threshold:.2f}"
        rows.append((name, *chosen, f"{settings.scale} px"))
        if settings.closer is not None:
            threshold, presence = settings.closer
            rows.append((f"{name}, large photos", f"{threshold:.3f}", f"{presence:.2f}", "closer views"))
    return _table("", ("concept", "mask threshold", "presence threshold", "scale"), rows)


def _figures(figures: Mapping[str, Any] | None) -> str:
    columns = (
        "concept", "IoU (95 % interval)", "Dice", "false alarms", "pixel accuracy (all background)",
        "photos of photographs",
    )  # fmt: skip
    rows = [
        (
            name,
            f"{f['iou']:.3f} ({f['iou_interval'][0]:.3f}–{f['iou_interval'][1]:.3f})",
            f"{f['dice']:.3f}",
            f"{f['false_alarm_rate']:.1%}",
            f"{f['pixel_accuracy']:.3f} ({f['background_accuracy']:.3f})",
            f"{f['pairs']} of {f['photographs']}",
        )
        for name, f in (figures or {}).items()
    ]
    return _table("Means over photographs, masks at the photo's own size.", columns, rows)


def _cost(training: Mapping[str, Any]) -> str:
    if "pictures" not in training:
        return ""
    parts = ("processors", "accelerators")
    machine = [f"{training[part]} {part[:-1]}(s)" for part in parts if training.get(part)]
    text = f"Its training saw {training['pictures']:,} pictures in {training['seconds'] / 60:.0f} minutes"
    return text + (f", on a machine with {' and '.join(machine)}." if machine else ".")
