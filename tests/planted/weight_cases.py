"""Faults of a bundle's weights and of its text side, and of foreign state dicts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from drywallqa.bundle.bundle import DECODER, DEFAULT, HEAD, WEIGHTS
from planted.bundle_cases import diagnosis
from planted.bundles import (
    TEXT_ENCODER,
    after_input,
    before_output,
    change_graph,
    change_understanding,
    change_weights,
    copy_bundle,
    prototypes,
)
from planted.case import FAMILY_OPTION, Case, Severity, three
from planted.sets import base

FILMS = tuple(f"decoder.scales.{level}.film.weight" for level in range(4))
PROMPT = ("decoder.prompt.0.weight", "decoder.prompt.2.weight")
WEIGHTS_LOST = (
    ("neck.smooth.0.depthwise.weight",),
    ("decoder.scales.0.refine.depthwise.weight", "decoder.scales.1.refine.depthwise.weight"),
    ("decoder.mask.weight",),
)
PROJECTIONS = (FILMS[:2], FILMS, (*FILMS, *PROMPT))


def fresh(weight: np.ndarray) -> np.ndarray:
    """Draw a linear layer's weight [out,in] as torch does before any training."""
    reach = 1 / np.sqrt(weight.shape[1])
    drawn = np.random.default_rng(weight.size).uniform(-reach, reach, weight.shape)
    return drawn.astype(np.float32)


def poisoned(weight: np.ndarray) -> np.ndarray:
    """One value that is no number."""
    changed = weight.copy()
    changed.flat[changed.size // 2] = np.nan
    return changed


def _weights(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path, Severity, Any], list[str]]:
    def make(folder: Path, severity: Severity, names: Sequence[str]) -> list[str]:
        change_weights(copy_bundle(folder), names, change)
        return diagnosis(folder, severity)

    return make


def _deaf(folder: Path, severity: Severity, share: float) -> list[str]:
    """The decoder is given nearly the same embedding for any prompt."""
    bundle = copy_bundle(folder)
    middle = np.mean(list(prototypes(bundle).values()), axis=0).astype(np.float32)
    steps = (("Mul", np.array(share, np.float32)), ("Add", (1 - share) * middle))
    change_graph(bundle, DECODER, lambda graph: after_input(graph, "embeddings", *steps))
    return diagnosis(folder, severity)


def _prompts_swapped(folder: Path, severity: Severity, parts: Sequence[str]) -> list[str]:
    """What means crack is taken for taping area and the reverse, in the reading, the decoder, or both."""
    bundle = copy_bundle(folder)
    if "decoder" in parts:
        first, second = prototypes(bundle).values()
        axis = (first - second) / np.linalg.norm(first - second)
        mirror = (np.eye(len(axis)) - 2 * np.outer(axis, axis)).astype(np.float32)
        change_graph(bundle, DECODER, lambda graph: after_input(graph, "embeddings", ("MatMul", mirror)))
    if "reading" in parts:
        change_understanding(bundle, lambda stored: stored["concepts"].reverse())
    return diagnosis(folder, severity)


def _other_text_side(folder: Path, severity: Severity, share: float) -> list[str]:
    """Embeddings of another training: axes of the space have other signs, or are turned altogether."""
    bundle = copy_bundle(folder)
    size = len(next(iter(prototypes(bundle).values())))
    generator = np.random.default_rng(7)
    turn = np.eye(size)
    turn[: round(share * size)] *= -1
    turn = turn[:, generator.permutation(size)] if share == 1.0 else turn
    matrix = turn.astype(np.float32)
    change_graph(bundle, TEXT_ENCODER, lambda graph: before_output(graph, "embeddings", ("MatMul", matrix)))

    def change(stored: dict[str, Any]) -> None:
        rows = {name: (np.asarray(row) @ turn).tolist() for name, row in stored["prototypes"].items()}
        stored["prototypes"] = rows

    change_understanding(bundle, change)
    return diagnosis(folder, severity)


def state_dict(
    folder: Path, severity: Severity, change: Callable[[dict[str, np.ndarray]], None]
) -> list[str]:
    """Save the shipped weights, changed, as a foreign `.pth`; returns the command on it."""
    import torch

    state = {name: value.astype(np.float32) for name, value in load_file(DEFAULT / WEIGHTS).items()}
    change(state)
    path = folder / "model.pth"
    torch.save({name: torch.from_numpy(np.array(value)) for name, value in state.items()}, path)
    family = json.loads((DEFAULT / HEAD).read_text(encoding="utf-8"))["model"]["name"]
    return ["diagnose", str(path), FAMILY_OPTION, family, "--data", str(base(folder, severity))]


def _lacking(folder: Path, severity: Severity, starts: tuple[str, ...]) -> list[str]:
    def change(state: dict[str, np.ndarray]) -> None:
        for name in [name for name in state if name.startswith(starts)]:
            del state[name]

    return state_dict(folder, severity, change)


def _with_nan(folder: Path, severity: Severity, names: Sequence[str]) -> list[str]:
    return state_dict(folder, severity, lambda state: state.update({n: poisoned(state[n]) for n in names}))


def _never_trained(folder: Path, severity: Severity, names: Sequence[str]) -> list[str]:
    return state_dict(folder, severity, lambda state: state.update({n: fresh(state[n]) for n in names}))


_NAN = (("decoder.presence.0.weight",), ("decoder.mask.weight",), ("neck.context.weight", *FILMS))
_RANDOM = (
    r"random",
    r"never trained",
    r"untrained",
    r"not trained",
    r"initiali[sz]",
    r"projection.{0,40}(lost|new|missing)",
)
CASES: tuple[Case, ...] = (
    *three(
        "projections-never-trained",
        "bundle",
        "diagnose",
        _weights(fresh),
        PROJECTIONS,
        "The layers that bring the prompt in hold their first random values: never trained, or lost.",
        _RANDOM,
    ),
    *three(
        "weights-lost",
        "bundle",
        "diagnose",
        _weights(np.zeros_like),
        WEIGHTS_LOST,
        "Weights of some layers are missing: they are all zero.",
        (r"\bzeros?\b", r"missing", r"lost", r"dead", r"empty (layer|weight)"),
    ),
    *three(
        "weights-not-a-number",
        "bundle",
        "diagnose",
        _weights(poisoned),
        _NAN,
        "Weights hold values that are no numbers.",
        (r"\bnan\b", r"not finite", r"numbers? that (is|are) none", r"no numbers?", r"not a number"),
    ),
    *three(
        "prompt-ignored",
        "bundle",
        "diagnose",
        _deaf,
        (0.25, 0.08, 0.0),
        "The decoder ignores the prompt: masks hardly depend on what is asked.",
        (
            r"ignor",
            r"depend",
            r"same (mask|answer|output)",
            r"prompt sensitivity",
            r"prompts?.{0,30}(alike|effect)",
        ),
    ),
    *three(
        "prompts-swapped",
        "bundle",
        "diagnose",
        _prompts_swapped,
        (("reading",), ("decoder",), ("reading", "decoder")),
        "The prompts of the two concepts are swapped.",
        (
            r"swap",
            r"exchanged",
            r"mixed up",
            r"interchanged",
            r"the other concept",
            r"wrong concept",
            r"taken for (something|each|the)",
        ),
    ),
    *three(
        "text-side-of-another-model",
        "bundle",
        "diagnose",
        _other_text_side,
        (0.3, 0.6, 1.0),
        "The text side is not the one that the decoder was trained with.",
        (
            r"text (side|encoder|space)",
            r"another (model|training|text)",
            r"embeddings?.{0,40}(fit|match|space)",
        ),
    ),
    *three(
        "state-lacks-parts",
        "state dict",
        "diagnose",
        _lacking,
        (
            ("decoder.presence",),
            ("decoder.prompt", *(f"decoder.scales.{n}.film" for n in range(4))),
            ("decoder",),
        ),
        "The state dict lacks parts of the model: they were never registered or not saved.",
        (r"missing", r"lack", r"not (saved|kept|in the)", r"saved.state", r"absent"),
    ),
    *three(
        "state-not-a-number",
        "state dict",
        "diagnose",
        _with_nan,
        _NAN,
        "The state dict holds values that are no numbers.",
        (r"\bnan\b", r"not finite", r"numbers? that (is|are) none", r"no numbers?", r"not a number"),
    ),
    *three(
        "state-projections-never-trained",
        "state dict",
        "diagnose",
        _never_trained,
        PROJECTIONS,
        "The layers that bring the prompt in hold their first random values: never trained, or lost.",
        _RANDOM,
    ),
)
