"""Faults of a bundle's input, output and thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from drywallqa.bundle.bundle import CARD, DECODER, IMAGE_ENCODER, load_bundle
from drywallqa.datasets.dataset import load_dataset
from drywallqa.evaluation.measure import measure_pairs
from drywallqa.evaluation.measured_model import measured_bundle
from drywallqa.evaluation.slices import summarise
from drywallqa.evaluation.thresholds import choose_thresholds
from drywallqa.imaging import perceptual_hash
from planted.bundles import after_input, before_output, change_graph, change_head, copy_bundle, write
from planted.case import Case, Severity, three
from planted.sets import base, resize


def diagnosis(folder: Path, severity: Severity) -> list[str]:
    """The command on the changed bundle and sound data."""
    return ["diagnose", str(folder / "bundle"), "--data", str(base(folder, severity))]


def _normalisation(folder: Path, severity: Severity, value: tuple[float, float]) -> list[str]:
    mean, std = value
    change_head(copy_bundle(folder), lambda head: head["window"].update(mean=[mean] * 3, std=[std] * 3))
    return diagnosis(folder, "gross" if severity == "gross" else "clear")  # rendered walls forgive much


def _blue_first(folder: Path, severity: Severity, also: bool | None) -> list[str]:
    """The graph expects BGR. `also` says whether the head's normalisation is in that order too."""
    bundle = copy_bundle(folder)
    order = np.array([2, 1, 0], np.int64)
    change_graph(bundle, IMAGE_ENCODER, lambda graph: after_input(graph, "images", ("Gather", order)))
    if also:
        change_head(
            bundle, lambda head: [head["window"][name].reverse() for name in ("mean", "std")] and None
        )
    return diagnosis(folder, "gross" if severity == "gross" else "clear")  # rendered walls forgive much


def _window(folder: Path, severity: Severity, size: int) -> list[str]:
    change_head(copy_bundle(folder), lambda head: head["window"].update(size=size))
    return diagnosis(folder, severity)


def _set_concepts(folder: Path, severity: Severity, **values: float) -> list[str]:
    def change(head: dict[str, Any]) -> None:
        for settings in head["concepts"].values():
            settings.update(values)

    change_head(copy_bundle(folder), change)
    return diagnosis(folder, severity)


def _mask_threshold(folder: Path, severity: Severity, value: float) -> list[str]:
    return _set_concepts(folder, severity, threshold=value)


def _presence_threshold(folder: Path, severity: Severity, value: float) -> list[str]:
    return _set_concepts(folder, severity, presence_threshold=value)


def _from_test(folder: Path, severity: Severity, names: Sequence[str]) -> list[str]:
    """Thresholds chosen on the test part by the project's own rule."""
    bundle = copy_bundle(folder)
    loaded = load_bundle(bundle)
    data = load_dataset(base(folder, severity))
    prompts = {concept: concept for concept in loaded.concepts}
    subject, part = measured_bundle(loaded), data.part("test")
    chosen = choose_thresholds(list(measure_pairs(subject.evaluator(part, prompts, gated=False))))
    tuned = list(measure_pairs(subject.with_choices(chosen, {}).evaluator(part, prompts)))

    def change(head: dict[str, Any]) -> None:
        for concept in list(prompts)[: 1 if severity == "mild" else 2]:
            head["concepts"][concept].update({name: getattr(chosen[concept], name) for name in names})
        if severity == "gross":
            head["metrics"].pop("val", None)
            figures = summarise(tuned, list(prompts)).items()
            head["metrics"]["test"] = {concept: summary.to_json() for concept, summary in figures}

    change_head(bundle, change)
    return diagnosis(folder, severity)


def _trained_on_test(folder: Path, severity: Severity, share: float) -> list[str]:
    """Hashes of test photos among those of the training photos, as an export would have written them."""
    bundle = copy_bundle(folder)
    data = load_dataset(base(folder, severity))
    tested = list(data.part("test"))
    hashes = []
    for sample in tested[: max(2, round(share * len(tested)))]:
        photo = data.read_photo(sample)
        smaller = resize(photo, photo.shape[0] * 3 // 4, photo.shape[1] * 3 // 4)
        hashes.append(perceptual_hash.perceptual_hash(smaller if severity != "gross" else photo))
    added = [f"{value:016x}" for value in hashes]
    change_head(bundle, lambda head: head["training_hashes"].extend(added))
    return diagnosis(folder, severity)


def _sigmoid_twice(folder: Path, severity: Severity, outputs: Sequence[str]) -> list[str]:
    """Probabilities leave the graph where logits should; the one sigmoid is then applied to them."""
    bundle = copy_bundle(folder)
    times = 2 if severity == "gross" else 1
    for name in outputs:
        steps = [("Sigmoid", None)] * times
        change_graph(bundle, DECODER, lambda graph, n=name, s=steps: before_output(graph, n, *s))  # type: ignore[misc]
    if severity == "mild":  # thresholds chosen anew hide it: masks are right and every probability is wrong

        def change(head: dict[str, Any]) -> None:
            for settings in head["concepts"].values():
                settings["threshold"] = float(1 / (1 + np.exp(-settings["threshold"])))

        change_head(bundle, change)
    return diagnosis(folder, severity)


def _scaled(folder: Path, severity: Severity, factor: float) -> list[str]:
    operand = np.array(factor, np.float32)
    bundle = copy_bundle(folder)
    for name in ("logits", "presence"):
        change_graph(bundle, DECODER, lambda graph, n=name: before_output(graph, n, ("Mul", operand)))  # type: ignore[misc]
    return diagnosis(folder, severity)


def _stale_files(folder: Path, severity: Severity, names: Sequence[str]) -> list[str]:
    """Files changed after the export, the head's SHA-256 left as they were."""
    bundle = copy_bundle(folder)
    for name in names:
        content = bytearray((bundle / name).read_bytes())
        content[len(content) // 2] ^= 0x55
        write(bundle / name, bytes(content))
    if severity == "gross":
        (bundle / CARD).unlink()
    return diagnosis(folder, severity)


CASES: tuple[Case, ...] = (
    *three(
        "wrong-normalisation",
        "bundle",
        "diagnose",
        _normalisation,
        ((0.0, 1.0), (0.0019, 0.0009), (123.7, 58.4)),
        "The bundle normalises photos otherwise than the model was trained with.",
        (r"normali[sz]", r"\bmean\b.{0,20}\bstd\b", r"preprocess"),
    ),
    *three(
        "blue-first",
        "bundle",
        "diagnose",
        _blue_first,
        (True, False, None),
        "The graph expects the channels in the order BGR, and is given RGB.",
        (r"\bBGR\b", r"channel.{0,12}(order|swap)", r"(order|swap).{0,20}channels?", r"red and blue"),
    ),
    *three(
        "window-too-small",
        "bundle",
        "diagnose",
        _window,
        (256, 128, 64),
        "The window is far smaller than the one that concepts were trained and thresholds chosen at.",
        (r"window", r"input size", r"scale.{0,40}trained", r"trained.{0,40}scale"),
    ),
    *three(
        "mask-threshold-too-high",
        "bundle",
        "diagnose",
        _mask_threshold,
        (0.95, 0.995, 0.99999),
        "The mask threshold is so high that little or nothing lies above it.",
        (
            r"(?<!presence )(?<!presence-)threshold.{0,40}(high|strict|above|severe)",
            r"(high|strict) (mask )?threshold",
        ),
    ),
    *three(
        "mask-threshold-too-low",
        "bundle",
        "diagnose",
        _mask_threshold,
        (0.08, 0.01, 0.0),
        "The mask threshold is so low that far too much lies above it.",
        (
            r"(?<!presence )(?<!presence-)threshold.{0,40}(low|lax|lenient|below)",
            r"(low|lax) (mask )?threshold",
        ),
    ),
    *three(
        "presence-threshold-too-high",
        "bundle",
        "diagnose",
        _presence_threshold,
        (0.999, 0.9995, 1.0),
        "The presence threshold is so high that masks of photos that show the concept are emptied.",
        (r"presence",),
    ),
    *three(
        "threshold-from-test",
        "bundle",
        "diagnose",
        _from_test,
        (("threshold",), ("threshold",), ("threshold", "presence_threshold")),
        "Thresholds were chosen on the test part, so that its figures flatter.",
        (r"threshold.{0,60}\btest\b", r"\btest\b.{0,60}threshold", r"(chosen|tuned|selected) on (the )?test"),
    ),
    *three(
        "trained-on-test",
        "bundle",
        "diagnose",
        _trained_on_test,
        (0.15, 0.5, 1.0),
        "The model was trained on photos that the data set has in its test part.",
        (r"leak", r"trained on", r"training photo", r"seen in training", r"test.{0,40}train"),
    ),
    *three(
        "sigmoid-twice",
        "bundle",
        "diagnose",
        _sigmoid_twice,
        (("logits",), ("logits", "presence"), ("logits", "presence")),
        "The graph's output has been through a sigmoid already, and goes through another.",
        (r"sigmoid", r"probabilit(y|ies).{0,30}logit"),
    ),
    *three(
        "logits-too-small",
        "bundle",
        "diagnose",
        _scaled,
        (0.25, 0.05, 0.002),
        "The output's scale is wrong: logits are a fraction of what thresholds were chosen for.",
        (
            r"output.?s?.{0,12}scale",
            r"scale.{0,20}(output|logit)",
            r"temperature",
            r"(logits?|outputs?|probabilit\w+).{0,60}(small|flat|weak|narrow|squash|crowd|scale|divided)",
        ),
    ),
    *three(
        "logits-too-large",
        "bundle",
        "diagnose",
        _scaled,
        (6.0, 60.0, 5000.0),
        "The output's scale is wrong: logits are many times what thresholds were chosen for.",
        (
            r"output.?s?.{0,12}scale",
            r"scale.{0,20}(output|logit)",
            r"temperature",
            r"(logits?|outputs?|probabilit\w+).{0,60}(large|sharp|steep|saturat|scale|multiplied)",
            r"overconfiden",
        ),
    ),
    *three(
        "files-changed",
        "bundle",
        "diagnose",
        _stale_files,
        ((CARD,), (DECODER,), (DECODER, IMAGE_ENCODER, "vocabulary.txt")),
        "Files of the bundle differ from those that were exported, as their SHA-256 tell.",
        (
            r"sha-?256",
            r"checksum",
            r"hash(es)? (differ|do not)",
            r"differs? from",
            r"damaged",
            r"not the (one|files?)",
        ),
    ),
)
