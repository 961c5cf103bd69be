"""Checks of the files, graphs and weights of a bundle, and of the splits of a data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drywallqa.backend import Backend
from drywallqa.bundle.bundle import WEIGHTS, Bundle
from drywallqa.checks.data_checks import PARTS, check_sizes, check_split
from drywallqa.checks.findings import FaultFinding, finding_of, name_some
from drywallqa.datasets.dataset import Dataset
from drywallqa.diagnosis.probe import ProbePhoto
from drywallqa.errors import DrywallQAError, ModelError
from drywallqa.evaluation import leaks
from drywallqa.evaluation.thresholds import PRESENCE_CHOICES
from drywallqa.files import file_digest
from drywallqa.imaging import perceptual_hash
from drywallqa.text.phrase_bank import phrases_of, some_phrases

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float32]
SAME = 0.995
"""Correlation of the logits above which graph and weights are the same model, up to scale and offset."""
ROUNDING = 1e-6
"""Largest difference of a correlation from 1 that rounding in two runtimes can explain."""
SHARES = (0.7, 0.5, 0.35, 0.25)
"""Factors for the distance between prompts. One may reproduce a decoder that hardly uses its prompts."""
MOST_HASHED = 600
"""Largest number of training photos to compare with val and test photos. `data audit` has no limit."""
_ASKED = 12  # largest number of phrasings to check for each concept


def check_bundle_files(bundle: Bundle) -> tuple[Bundle, list[FaultFinding]]:
    """Compare the SHA-256 of every file of a bundle with the stored value.

    Returns:
        The bundle, which stores the actual hashes so that it can be opened despite differences, and the
        findings.
    """
    actual = {}
    for name in bundle.files:
        with suppress(OSError):
            actual[name] = file_digest(bundle.folder / name)
    wrong = [
        name if name in actual else f"{name} (missing)"
        for name, expected in bundle.files.items()
        if actual.get(name) != expected
    ]
    if not wrong:
        return bundle, []
    text = f"{len(wrong)} of {len(bundle.files)} files are missing or differ from their SHA-256"
    finding = finding_of("bundle-damaged", f"{text}: {name_some(wrong)}", 0.995)
    return dataclasses.replace(bundle, files=actual), [finding]


def check_bundle_head(bundle: Bundle) -> Iterator[FaultFinding]:
    """Check the thresholds, and check that the window fits the thresholds and the model family."""
    from drywallqa.models import registry

    window = bundle.window
    scales = [f"'{c}' at {s.scale} px" for c, s in bundle.concepts.items() if s.scale != window.size]
    if scales:
        text = f"the window is {window.size} px, but thresholds were chosen for {', '.join(scales)}"
        yield finding_of("window-size", text, 0.93)
    least, most = float(PRESENCE_CHOICES[0]), float(PRESENCE_CHOICES[-1])
    beyond = [
        f"'{concept}' {settings.presence_threshold:g}"
        for concept, settings in bundle.concepts.items()
        if settings.presence_threshold > most
    ]
    if beyond:  # if the model predicts high presence, photos may not reveal this fault
        text = f"presence thresholds range from {least:g} to {most:g}, but the bundle has {name_some(beyond)}"
        yield finding_of("presence-threshold", text, 0.61)
    if bundle.name not in registry.FAMILIES:
        return
    meant = registry.FAMILIES[bundle.name].letterbox(window.size)
    if not np.allclose([*meant.mean, *meant.std], [*window.mean, *window.std], atol=1e-6):
        probe = np.linspace(0, 255, 64 * 64 * 3).reshape(64, 64, 3).astype(np.uint8)
        apart = float(np.abs(meant.normalise(probe) - window.normalise(probe)).max())
        reverse = np.allclose([*meant.mean, *meant.std], [*window.mean[::-1], *window.std[::-1]])
        text = (
            f"'{bundle.name}' is trained with a pixel mean of {meant.mean} and a deviation of {meant.std}, "
            f"but the bundle uses {window.mean} and {window.std}; pixels differ by up to {apart:.2f}"
        )
        yield finding_of("channel-order" if reverse else "normalisation", text, 0.97)
    if meant.square != window.square:
        words = {True: "a square shape", False: "the shape of the photo"}
        text = f"the window has {words[window.square]}, but {words[meant.square]} in training"
        yield finding_of("window-size", text, 0.9)


def check_text_side(bundle: Bundle, phrasings: Mapping[str, Sequence[str]], name: str) -> list[FaultFinding]:
    """Check that a bundle maps each phrasing of a concept to this concept.

    Args:
        bundle: The bundle.
        phrasings: Concept → phrasings.
        name: Source of the phrasings, for the message.
    """
    others, refused = [], []
    for concept in [concept for concept in phrasings if concept in bundle.concepts]:
        for phrase in (concept, *some_phrases(phrases_of(phrasings[concept]), _ASKED)):
            try:
                meant = bundle.text.understand(phrase)
            except DrywallQAError:
                meant = None
            if meant is None:
                refused.append(f"'{phrase}' of '{concept}'")
            elif meant != concept:
                others.append(f"'{phrase}' of '{concept}' is understood as '{meant}'")
    if others:
        return [finding_of("prompts-exchanged", f"{name}: {name_some(others)}", 0.92)]
    if refused:
        return [finding_of("prompt-unknown", f"{name}: unknown prompts: {name_some(refused)}", 0.75)]
    return []


def read_bundle_weights(bundle: Bundle) -> dict[str, Tensor] | None:
    """Read the bundle's weights; return None if torch is not installed or the bundle has no weights.

    Raises:
        BundleError: The file is missing or does not match its SHA-256.
        SafetensorError: The file is damaged.
    """
    try:
        from safetensors.torch import load
    except ModuleNotFoundError:
        return None
    if WEIGHTS not in bundle.files:
        return None
    return {name: value.float() for name, value in load(bundle.read(WEIGHTS)).items()}


def check_graph(
    bundle: Bundle, weights: Mapping[str, Tensor], photos: Sequence[ProbePhoto], running: Backend
) -> list[FaultFinding]:
    """Compare the logits of the exported graphs with the logits of the original weights on a few photos.

    Args:
        bundle: The bundle, with its family, architecture and text model.
        weights: The bundle's weights.
        photos: The photos.
        running: The bundle's model in its runtime.
    """
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
    prompts, embeddings = (each.encode_prompts(list(bundle.concepts)) for each in (running, backend))
    middle = embeddings.mean(axis=0)

    def graph(image: Floats) -> Floats:
        return np.asarray(running.decode(running.encode_image(image[None]), prompts)[0][0])

    def expected(image: Floats, share: float) -> Floats:
        pulled = middle + np.float32(share) * (embeddings - middle)
        return np.asarray(backend.decode(backend.encode_image(image[None]), pulled)[0][0])

    images = [bundle.window.fit(np.ascontiguousarray(photo.photo))[0] for photo in photos]
    return compare_logits(images, graph, expected)


def compare_logits(
    images: Sequence[Floats], graph: Callable[[Floats], Floats], expected: Callable[[Floats, float], Floats]
) -> list[FaultFinding]:
    """Find out how the logits of an exported graph differ from the logits of the original weights.

    Args:
        images: Photos [3,h,w], normalised.
        graph: Function that runs the graph on a photo and returns the logits [P,h',w'].
        expected: Function that runs the original weights on a photo and returns the logits [P,h',w']. It
            multiplies the distances between the prompt embeddings by the given factor.
    """
    ran, wanted = [graph(image) for image in images], [expected(image, 1.0) for image in images]
    got, meant = _flat(ran), _flat(wanted)
    if got.shape != meant.shape or not np.isfinite(got).all() or got.std() < 1e-9:
        return []  # `check_range` reports this
    fit = _correlation(ran, wanted)
    slope, offset = np.polyfit(meant, got, 1)
    text = f"the logits of graphs and weights have a correlation of {fit:.5g}"
    if 1 - fit > ROUNDING:
        # A graph made for BGR reverses normalised channels. On grey walls, its logits hardly differ.
        turned = _correlation([graph(image[::-1].copy()) for image in images], wanted)
        if turned >= SAME and 1 - turned < 0.1 * (1 - fit):
            reverse = f"{text}; for photos with reversed channels (BGR) it is {turned:.5g}"
            return [finding_of("channel-order", reverse, 0.97)]
    if abs(fit) >= SAME:
        if slope < 0:
            return [finding_of("output-inverted", f"{text}, so their signs are inverted", 0.97)]
        scale = f"{text}; the graphs' logits are {slope:.3g} times as large and shifted by {offset:+.3g}"
        scaled = abs(slope - 1) > 0.05 or abs(offset) > 0.15
        return [finding_of("output-scale", scale, 0.96)] if scaled else []
    swapped = _correlation(ran, [np.roll(each, 1, axis=0) for each in wanted])
    if swapped >= SAME or swapped > max(0.8, fit + 0.2):
        exchanged = f"{text}; with the concepts exchanged it is {swapped:.3f}"
        return [finding_of("prompts-exchanged", exchanged, 0.96)]
    for share in SHARES:
        alike = _correlation(ran, [expected(image, share) for image in images])
        if alike >= SAME:
            pulled = f"{text}; with prompts at {share:.0%} of their distance it is {alike:.5g}"
            return [finding_of("prompt-ignored", pulled, 0.92)]
    change, usual = (np.mean([np.ptp(each, axis=0).mean() for each in logits]) for logits in (ran, wanted))
    if change < 0.5 * usual:
        weak = (
            f"{text}; a new prompt changes the graphs' logits {change / usual:.2f} times as much as it should"
        )
        return [finding_of("prompt-ignored", weak, 0.9)]
    return [finding_of("weights-unlike-graph", text, 0.7)]


def _flat(logits: Iterable[Floats]) -> NDArray[np.float64]:
    return np.concatenate([each.ravel() for each in logits]).astype(np.float64)


def _correlation(one: Iterable[Floats], other: Iterable[Floats]) -> float:
    return float(np.corrcoef(_flat(one), _flat(other))[0, 1])


def check_parts(dataset: Dataset) -> Iterator[FaultFinding]:
    """Check that photos have similar sizes in all splits and that no source photo is in two splits."""
    parts = {name: list(dataset.part(name)) for name in PARTS}
    if not any(parts.values()):
        yield finding_of("split-empty", f"none of {len(dataset)} photos is in train, val or test", 0.9)
    yield from check_split({name: [s.photograph for s in members] for name, members in parts.items()})
    yield from check_sizes(
        {name: [max(s.height, s.width) for s in members] for name, members in parts.items()}
    )


def check_pictures(
    dataset: Dataset, photos: Sequence[ProbePhoto], training_hashes: Sequence[int]
) -> Iterator[FaultFinding]:
    """Compare pixels to check that no val or test photo is in train or was used for training.

    Args:
        dataset: The data set.
        photos: The photos that were read.
        training_hashes: Perceptual hashes of the photos that the model was trained on.
    """
    held_out = [p for p in photos if p.sample.split in ("val", "test")]
    thumbnails = {p.sample.photo: perceptual_hash.thumbnail(p.photo) for p in held_out}
    train, hashes = dataset.part("train"), []
    for sample in train if thumbnails and len(train) <= MOST_HASHED else ():
        with suppress(DrywallQAError):  # broken photos are reported separately
            hashes.append(perceptual_hash.perceptual_hash(dataset.read_photo(sample)))
    for fault, weight, known, text in (
        ("trained-on-test", 0.95, training_hashes, "look the same as photos that the model was trained on"),
        ("split-leak", 0.955, hashes, "look the same as photos in train"),
    ):
        same = sorted(leaks.find_training_leaks(thumbnails, known))
        if same:
            count = f"{len(same)} of {len(thumbnails)} val and test photos {text}"
            yield finding_of(fault, f"{count} ({name_some(same, 3)})", weight)
