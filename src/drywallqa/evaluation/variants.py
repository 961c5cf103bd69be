"""A model's photos given in other ways, its thresholds chosen anew, and its claims: evidence by trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from drywallqa.bundle.bundle import Bundle
from drywallqa.diagnosis.finished import Suspect, suspect
from drywallqa.diagnosis.seen import Seen, best_threshold
from drywallqa.errors import DataError
from drywallqa.evaluation.collect import PairScore
from drywallqa.evaluation.thresholds import Choice, choose
from drywallqa.evaluation.witness import Exhibit, Photo, Witness
from drywallqa.window import Window

MOST_CHOSEN_ON = 160
"""Photos of val and test up to which thresholds are chosen anew, as an export does."""

_NORMALISATIONS: Mapping[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "normalised by ImageNet's mean and deviation": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "normalised by CLIP's mean and deviation": (
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    ),
    "brought to −1 to 1": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "brought to 0 to 1": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "left at 0 to 255": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}


def pick(exhibits: Sequence[Exhibit], most: int) -> list[Exhibit]:
    """Take photos that show something, spread over what there is."""
    shown = [e for e in exhibits if any(truth.any() for truth in e.truths.values())]
    steps: list[float] = np.linspace(0, len(shown) - 1, min(most, len(shown))).round().tolist()
    return [shown[int(step)] for step in steps]


def _ways(window: Window) -> dict[str, tuple[str, Window, Callable[[Photo], Photo] | None]]:
    """Name the ways to give a photo: how it is told → case, window, change of the photo."""
    ways: dict[str, tuple[str, Window, Callable[[Photo], Photo] | None]] = {
        "with their colour channels reversed": ("channel-order", window, lambda photo: photo[:, :, ::-1])
    }
    for told, (mean, std) in _NORMALISATIONS.items():
        if not np.allclose([*mean, *std], [*window.mean, *window.std], atol=1e-3):
            ways[told] = ("normalisation", replace(window, mean=mean, std=std), None)
    sizes = {round(window.size * factor / window.multiple) * window.multiple for factor in (0.5, 1.5, 2.0)}
    for size in sorted(sizes - {window.size, 0}):
        if size <= 1024:
            ways[f"at {size} px"] = ("window-size", replace(window, size=size), None)
    return ways


def run(witness: Witness, exhibits: Sequence[Exhibit]) -> dict[str, tuple[str, list[Seen]]]:
    """Give photos in every other way; for `answers.check_inputs`."""
    found = {}
    for told, (case, window, change) in _ways(witness.subject.window).items():
        found[told] = (case, [seen for exhibit in exhibits for seen in witness.look(exhibit, window, change)])
    return found


def check_tuned(bundle: Bundle, witness: Witness, exhibits: Sequence[Exhibit]) -> list[Suspect]:
    """Check whether stored thresholds are exactly those that the test part, not validation, would choose."""
    parts = {part: [e for e in exhibits if e.sample.split == part] for part in ("val", "test")}
    if not all(parts.values()) or sum(map(len, parts.values())) > MOST_CHOSEN_ON:
        return []
    choices: dict[str, dict[str, Choice]] = {}
    for part, members in parts.items():
        witness.scores.clear()
        for exhibit in members:
            witness.look(exhibit, full=True)
        choices[part] = _choose(witness.scores, witness.concepts)
    from_test, from_val = [], []
    for concept in witness.concepts:
        settings = bundle.concepts.get(concept)
        if settings is None or concept not in choices["test"] or concept not in choices["val"]:
            continue
        stored = (settings.threshold, settings.presence_threshold)
        tuned, meant = (_levels(choices[part][concept]) for part in ("test", "val"))
        if np.allclose(stored, tuned, atol=1e-6) and not np.allclose(stored, meant, atol=1e-6):
            from_test.append(
                f"'{concept}' {stored[0]:.4f}, {stored[1]:.2f} (validation: {meant[0]:.4f}, {meant[1]:.2f})"
            )
        elif np.allclose(stored, meant, atol=1e-6):
            from_val.append(concept)
    if not from_test or from_val:
        return []
    what = f"the stored thresholds are exactly those that the test part chooses: {'; '.join(from_test)}"
    return [suspect("threshold-from-test", what, 0.94)]


def _choose(scores: Sequence[PairScore], concepts: Sequence[str]) -> dict[str, Choice]:
    found = {}
    for concept in concepts:
        try:
            found[concept] = choose([score for score in scores if score.concept == concept])
        except DataError:
            continue  # no photo shows it
    return found


def _levels(choice: Choice) -> tuple[float, float]:
    return choice.threshold, choice.presence_threshold


def check_claims(bundle: Bundle | None, mine: Sequence[Seen], second: Sequence[Seen]) -> list[Suspect]:
    """Hold a bundle's own figures against what it reaches where another model does well."""
    if bundle is None:
        return []
    found = []
    for concept, figures in dict(bundle.metrics.get("val", {})).items():
        claimed = float(figures.get("iou") or 0)
        own, other = (best_threshold([s for s in seen if s.concept == concept])[1] for seen in (mine, second))
        if claimed >= 0.25 and own < 0.6 * claimed and other >= max(0.25, 1.4 * own):
            what = (
                f"{concept}: the bundle claims an IoU of {claimed:.2f} on validation, reaches {own:.2f} here "
                f"at the best threshold, where another model reaches {other:.2f}"
            )
            found.append(suspect("model-damaged", what, 0.6))
    return found
