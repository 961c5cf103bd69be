"""What a bundle's files prove: damage, another window than training's, graphs unlike weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drywallqa.backend import Backend
from drywallqa.bundle.bundle import WEIGHTS, Bundle
from drywallqa.checks.findings import FaultFinding, finding_of, name_some
from drywallqa.diagnosis.probe import Photo, ProbePhoto
from drywallqa.errors import BundleError, DrywallQAError
from drywallqa.evaluation.thresholds import PRESENCE_CHOICES
from drywallqa.files import file_digest
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.text.phrase_bank import phrases_of, some_phrases

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float32]
Expected = Callable[..., Floats]
"""Photo [3,h,w], and optionally the share of the prompts' distance that is heard, to logits [P,h',w']."""
SAME = 0.995
"""Correlation of logits from which graph and weights are one model, up to scale and offset."""
ROUNDING = 1e-6
"""What a correlation may lack for no other reason than that two runtimes round differently."""
SHARES = (0.7, 0.5, 0.35, 0.25)
"""Shares of the prompts' distance that a decoder which hardly hears them may be left with."""
_ASKED = 12  # phrasings of a concept that are checked


def check_bundle_files(bundle: Bundle) -> tuple[Bundle, list[FaultFinding]]:
    """Hold every file against its SHA-256.

    Returns:
        The bundle as its files are now, so that it can be looked at all the same, and what was found.
    """
    wrong, actual = [], {}
    for name, expected in bundle.files.items():
        try:
            digest = file_digest(bundle.folder / name)
        except OSError:
            wrong.append(f"{name} (missing)")
            continue
        actual[name] = digest
        if digest != expected:
            wrong.append(name)
    if not wrong:
        return bundle, []
    what = f"{len(wrong)} of {len(bundle.files)} files are missing or differ from their SHA-256: "
    what += name_some(wrong)
    return dataclasses.replace(bundle, files=actual), [finding_of("bundle-damaged", what, 0.995)]


def check_bundle_head(bundle: Bundle) -> list[FaultFinding]:
    """Hold the window against the family's and the thresholds', presence against what can be chosen."""
    from drywallqa.models import registry

    found = []
    scales = {c: s.scale for c, s in bundle.concepts.items() if s.scale != bundle.window.size}
    if scales:
        told = ", ".join(f"'{concept}' at {scale} px" for concept, scale in scales.items())
        what = f"the window is {bundle.window.size} px, but thresholds were chosen for {told}"
        found.append(finding_of("window-size", what, 0.93))
    found += _check_presence(bundle)
    if bundle.name not in registry.FAMILIES:
        return found
    meant = registry.FAMILIES[bundle.name].window(bundle.window.size)
    if not np.allclose([*meant.mean, *meant.std], [*bundle.window.mean, *bundle.window.std], atol=1e-6):
        probe = np.linspace(0, 255, 64 * 64 * 3).reshape(64, 64, 3).astype(np.uint8)
        apart = float(np.abs(meant.normalise(probe) - bundle.window.normalise(probe)).max())
        reverse = np.allclose(
            [*meant.mean, *meant.std], [*bundle.window.mean[::-1], *bundle.window.std[::-1]]
        )
        what = (
            f"'{bundle.name}' is trained on pixels of mean {_short(meant.mean)} and deviation "
            f"{_short(meant.std)}, the bundle runs with {_short(bundle.window.mean)} and "
            f"{_short(bundle.window.std)}; pixels differ by up to {apart:.2f}"
        )
        case = "channel-order" if reverse else "normalisation"
        found.append(finding_of(case, what, 0.97))
    if meant.square != bundle.window.square:
        words = {True: "a square", False: "the photo's own shape"}
        what = f"the window is {words[bundle.window.square]}, training's {words[meant.square]}"
        found.append(finding_of("window-size", what, 0.9))
    return found


def _check_presence(bundle: Bundle) -> list[FaultFinding]:
    """Find presence thresholds that no choice on validation gives; a sure model may show no harm of them."""
    least, most = float(PRESENCE_CHOICES[0]), float(PRESENCE_CHOICES[-1])
    beyond = {c: s.presence_threshold for c, s in bundle.concepts.items() if s.presence_threshold > most}
    if not beyond:
        return []
    told = name_some(f"'{concept}' {level:g}" for concept, level in beyond.items())
    what = f"presence thresholds are chosen among {least:g} to {most:g}, but stored are {told}"
    return [finding_of("presence-threshold", what, 0.61)]


def _short(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.3g}" for value in values) + ")"


def check_text_side(
    bundle: Any, phrasings: Mapping[str, Sequence[str]], name: str, understand: Callable[[str], str | None]
) -> list[FaultFinding]:
    """Check that phrasings of concepts are taken for these concepts.

    Args:
        bundle: Only its `concepts` are asked for.
        phrasings: Concept → phrasings.
        name: Where the phrasings stand.
        understand: What a text side takes a prompt for.
    """
    others, refused = [], []
    for concept, phrases in phrasings.items():
        if concept not in bundle.concepts:
            continue
        for phrase in (concept, *some_phrases(phrases_of(phrases), _ASKED)):
            try:
                meant = understand(phrase)
            except DrywallQAError:
                meant = None
            if meant is None:
                refused.append(f"'{phrase}' of '{concept}'")
            elif meant != concept:
                others.append(f"'{phrase}' of '{concept}' is taken for '{meant}'")
    if others:
        return [finding_of("prompts-exchanged", f"{name}: {name_some(others)}", 0.92)]
    if refused:
        return [finding_of("prompt-unknown", f"{name}: refused are {name_some(refused)}", 0.75)]
    return []


def read_bundle_weights(bundle: Bundle) -> dict[str, Tensor] | None:
    """Read the bundle's weights; None where torch is not installed or it carries none."""
    try:
        from safetensors.torch import load
    except ModuleNotFoundError:
        return None
    if WEIGHTS not in bundle.files:
        return None
    from safetensors import SafetensorError

    try:
        return {name: value.float() for name, value in load(bundle.read(WEIGHTS)).items()}
    except SafetensorError as error:
        raise BundleError(f"{bundle.folder / WEIGHTS}: damaged ({error})") from error


def check_graph(
    bundle: Bundle,
    weights: Mapping[str, Tensor],
    exhibits: Sequence[ProbePhoto],
    running: Backend,
) -> list[FaultFinding]:
    """Hold what runs against the weights that it claims to be made of, on a few photos.

    Args:
        bundle: For its family, architecture and text side.
        weights: Its weights.
        exhibits: Photos.
        running: The model as it runs.
    """
    from drywallqa.errors import ModelError
    from drywallqa.models import registry
    from drywallqa.models.contract import load_strictly
    from drywallqa.models.torch_backend import TorchBackend

    if bundle.name not in registry.FAMILIES:
        return []
    model = registry.create_model(bundle.name, **bundle.architecture)
    try:
        load_strictly(model, weights, WEIGHTS)
    except ModelError as error:
        return [finding_of("outside-saved-state", str(error), 0.95)]
    backend = TorchBackend(model.eval(), bundle.text.embed)
    embeddings = backend.encode_prompts(list(bundle.concepts))

    middle, asked = embeddings.mean(axis=0), running.encode_prompts(list(bundle.concepts))

    def answer(image: Floats) -> Floats:
        return np.asarray(running.decode(running.encode_image(image[None]), asked)[0][0])

    def expected(image: Floats, share: float = 1.0) -> Floats:
        pulled = middle + np.float32(share) * (embeddings - middle)
        return np.asarray(backend.decode(backend.encode_image(image[None]), pulled)[0][0])

    pairs = [(bundle.window, exhibit.photo) for exhibit in exhibits]
    return _compare(pairs, answer, expected)


def _fit(window: Letterbox, photo: Photo) -> Floats:
    return window.fit(np.ascontiguousarray(photo))[0]


def _compare(
    pairs: Sequence[tuple[Letterbox, Photo]],
    answer: Callable[[Floats], Floats],
    expected: Expected,
) -> list[FaultFinding]:
    """Say in what way the running model differs from its weights, if it does."""
    if not pairs:
        return []
    ran = np.concatenate([answer(_fit(*pair)).ravel() for pair in pairs]).astype(np.float64)
    meant = [expected(_fit(*pair)) for pair in pairs]
    wanted = np.concatenate([each.ravel() for each in meant]).astype(np.float64)
    if ran.shape != wanted.shape or not np.isfinite(ran).all() or ran.std() < 1e-9:
        return []  # the checks of its range tell more
    fit = float(np.corrcoef(ran, wanted)[0, 1])
    slope, offset = np.polyfit(wanted, ran, 1)
    told = f"the graphs' logits agree with those of the weights at a correlation of {fit:.5g}"
    if 1 - fit > ROUNDING:
        # reversed after normalising, as a graph that was made for BGR would have it; grey walls hide it well
        reversed_ = np.concatenate([answer(_fit(*pair)[::-1].copy()).ravel() for pair in pairs])
        turned = float(np.corrcoef(reversed_.astype(np.float64), wanted)[0, 1])
        if turned >= SAME and 1 - turned < 0.1 * (1 - fit):
            what = f"{told}; of photos whose channels are reversed (BGR) at {turned:.5g}"
            return [finding_of("channel-order", what, 0.97)]
    if abs(fit) >= SAME:
        if slope < 0:
            return [finding_of("output-inverted", f"{told}: their sign is turned", 0.97)]
        if abs(slope - 1) > 0.05 or abs(offset) > 0.15:
            what = f"{told}, but are {slope:.3g} times as large and moved by {offset:+.3g}"
            return [finding_of("output-scale", what, 0.96)]
        return []
    return _compare_prompts(told, fit, ran, meant, lambda share: [expected(_fit(*p), share) for p in pairs])


def _compare_prompts(
    told: str,
    fit: float,
    ran: NDArray[np.float64],
    meant: Sequence[Floats],
    pulled: Callable[[float], Sequence[Floats]],
) -> list[FaultFinding]:
    """Say in what way the running model hears prompts otherwise; `pulled` answers with prompts less apart."""
    shapes = [each.shape for each in meant]
    wanted = np.concatenate([each.ravel() for each in meant]).astype(np.float64)
    exchanged = np.concatenate([np.roll(each, 1, axis=0).ravel() for each in meant]).astype(np.float64)
    swapped = float(np.corrcoef(ran, exchanged)[0, 1])
    if swapped >= SAME or swapped > max(0.8, fit + 0.2):
        what = f"{told}; with the concepts exchanged at {swapped:.3f}"
        return [finding_of("prompts-exchanged", what, 0.96)]
    for share in SHARES:
        weaker = np.concatenate([each.ravel() for each in pulled(share)])
        alike = float(np.corrcoef(ran, weaker.astype(np.float64))[0, 1])
        if alike >= SAME:
            what = f"{told}; with prompts pulled together to {share:.0%} of their distance at {alike:.5g}"
            return [finding_of("prompt-ignored", what, 0.92)]
    heard = _spread(ran, shapes) / max(_spread(wanted, shapes), 1e-9)
    if heard < 0.5:
        what = f"{told}; another prompt changes them {heard:.2f} times as much as it should"
        return [finding_of("prompt-ignored", what, 0.9)]
    return [finding_of("weights-unlike-graph", told, 0.7)]


def _spread(values: NDArray[np.float64], shapes: Sequence[tuple[int, ...]]) -> float:
    """Mean change of logits from prompt to prompt; `shapes` are those of the single answers [P,h,w]."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    parts = [part.reshape(shape) for part, shape in zip(np.split(values, ends), shapes, strict=True)]
    return float(np.mean([np.ptp(part, axis=0).mean() for part in parts]))
