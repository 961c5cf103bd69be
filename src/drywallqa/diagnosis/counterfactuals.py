"""A model's photos given in other ways, its thresholds chosen anew, and its claims: evidence by trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from drywallqa.bundle.bundle import Bundle
from drywallqa.checks.coarse_pairs import CoarsePair, best_logit_threshold, coarse_iou, compare_pairs
from drywallqa.checks.findings import FaultFinding, finding_of
from drywallqa.checks.model_outputs import by_concept
from drywallqa.diagnosis.probe import ModelProbe, Photo, ProbePhoto
from drywallqa.errors import DataError
from drywallqa.evaluation.measure import PairMeasurement
from drywallqa.evaluation.measured_model import MeasuredModel
from drywallqa.evaluation.thresholds import ThresholdChoice, choose_for_concept
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.inference.queries import PromptQueries
from drywallqa.text.text_side import TextSide

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


def pick_photos(exhibits: Sequence[ProbePhoto], most: int) -> list[ProbePhoto]:
    """Take photos that show something, spread over what there is."""
    shown = [e for e in exhibits if any(truth.any() for truth in e.truths.values())]
    steps: list[float] = np.linspace(0, len(shown) - 1, min(most, len(shown))).round().tolist()
    return [shown[int(step)] for step in steps]


def _reversed(photo: Photo) -> Photo:
    return photo[:, :, ::-1]


def _ways(window: Letterbox) -> dict[str, tuple[str, Letterbox, Callable[[Photo], Photo] | None]]:
    """Name the ways to give a photo: how it is told → case, window, change of the photo."""
    ways: dict[str, tuple[str, Letterbox, Callable[[Photo], Photo] | None]] = {
        "given with their colour channels reversed": (
            "channel-order",
            window,
            lambda photo: photo[:, :, ::-1],
        )
    }
    for told, (mean, std) in _NORMALISATIONS.items():
        if not np.allclose([*mean, *std], [*window.mean, *window.std], atol=1e-3):
            ways[told] = ("normalisation", replace(window, mean=mean, std=std), None)
    sizes = {round(window.size * factor / window.multiple) * window.multiple for factor in (0.5, 1.5)}
    for size in sorted(sizes - {window.size, 0}):
        if size <= 1024:
            ways[f"at {size} px"] = ("window-size", replace(window, size=size), None)
    return ways


def run_variants(
    witness: ModelProbe, exhibits: Sequence[ProbePhoto]
) -> dict[str, tuple[str, list[CoarsePair]]]:
    """Give photos in every other way; for `answers.check_inputs`.

    A way that answers every second photo no better than they are answered anyway is given up at these: the
    others could not make its gain a sure one.
    """
    found = {}
    reached = _reached([seen for exhibit in exhibits[::2] for seen in witness.look(exhibit)])
    for told, (case, window, change) in _ways(witness.subject.window).items():
        tried = [seen for exhibit in exhibits[::2] for seen in witness.look(exhibit, window, change)]
        if _reached(tried) > reached:
            answered = [seen for exhibit in exhibits for seen in witness.look(exhibit, window, change)]
            found[told] = (case, answered)
    return found


def _reached(seen: Sequence[CoarsePair]) -> float:
    """Mean over concepts of the IoU at their best threshold."""
    return float(np.mean([best_logit_threshold(members)[1] for members in by_concept(seen).values()]))


def under_other_text(
    witness: ModelProbe, exhibits: Sequence[ProbePhoto], text: TextSide
) -> dict[str, tuple[str, list[CoarsePair]]]:
    """Ask with another text side's embeddings, where they are of the same width and not the same."""
    own = witness.questions
    other = text.embed(list(witness.concepts))
    if other.shape != own.embeddings.shape or np.allclose(other, own.embeddings, atol=1e-3):
        return {}
    witness.questions = PromptQueries(own.each, other)
    try:
        answered = [seen for exhibit in exhibits for seen in witness.look(exhibit)]
    finally:
        witness.questions = own
    return {"under the embeddings of the bundled text side": ("text-side", answered)}


def check_tuned(bundle: Bundle, witness: ModelProbe, exhibits: Sequence[ProbePhoto]) -> list[FaultFinding]:
    """Check whether stored thresholds are exactly those that the test part, not validation, would choose."""
    parts = {part: [e for e in exhibits if e.sample.split == part] for part in ("val", "test")}
    if not all(parts.values()) or sum(map(len, parts.values())) > MOST_CHOSEN_ON:
        return []
    choices = {
        part: _choose([pair for pair in witness.measure(members) if not pair.closer], witness.concepts)
        for part, members in parts.items()
    }
    tuned, sound = [], []
    for concept in witness.concepts:
        if concept not in bundle.concepts or any(concept not in chosen for chosen in choices.values()):
            continue
        stored = bundle.concepts[concept]
        for name in ("threshold", "presence_threshold"):
            kept, test, val = (
                getattr(o, name) for o in (stored, *(choices[p][concept] for p in ("test", "val")))
            )
            if abs(test - val) < 1e-6:
                continue
            if abs(kept - test) < 1e-6:
                tuned.append(f"'{concept}' {name} {kept:.4f} (validation chooses {val:.4f})")
            elif abs(kept - val) < 1e-6 and name == "threshold":
                sound.append(concept)
    if sound or not any(" threshold " in each for each in tuned):
        return []  # presence thresholds are few, so that one may agree by chance
    what = f"the stored thresholds are exactly those that the test part chooses: {'; '.join(tuned)}"
    return [finding_of("threshold-from-test", what, 0.94 if len(tuned) > 1 else 0.9)]


def _choose(pairs: Sequence[PairMeasurement], concepts: Sequence[str]) -> dict[str, ThresholdChoice]:
    found = {}
    for concept in concepts:
        try:
            found[concept] = choose_for_concept([pair for pair in pairs if pair.concept == concept])
        except DataError:
            continue  # no photo shows it
    return found


def check_average(
    witness: ModelProbe, trained: MeasuredModel, exhibits: Sequence[ProbePhoto]
) -> list[FaultFinding]:
    """Check whether a run's weights answer much better before they are averaged.

    Args:
        witness: Asks the averaged model.
        trained: The model as it was trained.
        exhibits: Photos.
    """
    other = ModelProbe(trained, {concept: concept for concept in witness.concepts})
    own, theirs = ([seen for exhibit in exhibits for seen in each.look(exhibit)] for each in (witness, other))
    gains = []
    for concept in witness.concepts:
        pairs = [(a, b) for a, b in zip(own, theirs, strict=True) if a.concept == concept and a.truth.any()]
        if pairs:
            levels = [best_logit_threshold([pair[place] for pair in pairs])[0] for place in (0, 1)]
            gains += [
                [coarse_iou(s.logits > level, s.truth) for s, level in zip(pair, levels, strict=True)]
                for pair in pairs
            ]
    gain = compare_pairs(*zip(*gains, strict=True)) if gains else None
    if gain is None or not gain.is_sure or gain.gain < 0.1:
        return []
    what = f"as trained the model reaches an IoU of {gain.after:.2f}, averaged {gain.before:.2f}"
    return [finding_of("average-stale", f"{what} ({gain.count} photos)", 0.9)]


def check_claims(
    bundle: Bundle | None, mine: Sequence[CoarsePair], second: Sequence[CoarsePair]
) -> list[FaultFinding]:
    """Hold a bundle's own figures against what it reaches where another model does well."""
    if bundle is None:
        return []
    found = []
    for concept, figures in dict(bundle.metrics.get("val", {})).items():
        claimed = float(figures.get("iou") or 0)
        own, other = (
            best_logit_threshold([s for s in seen if s.concept == concept])[1] for seen in (mine, second)
        )
        if claimed >= 0.25 and own < 0.6 * claimed and other >= max(0.25, 1.4 * own):
            what = (
                f"{concept}: the bundle claims an IoU of {claimed:.2f} on validation, reaches {own:.2f} here "
                f"at the best threshold, where another model reaches {other:.2f}"
            )
            found.append(finding_of("model-damaged", what, 0.6))
    return found
