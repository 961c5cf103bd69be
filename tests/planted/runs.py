"""Tiny runs, trained with a fault in the code that trains, in the settings, or put into what was saved."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from drywallqa.datasets.dataset import save_dataset
from drywallqa.errors import DrywallQAError
from planted.case import UnavailableError
from planted.sets import copy_set, quietly, rendered, shared

_TINY = {
    "data.window": 64,
    "data.photo_scale": [90, 130],
    "data.photos_per_epoch": 24,
    "data.workers": 0,
    "data.phrases": 40,
    "optimisation.batch_size": 2,
    "optimisation.epochs": 1,
    "validate_every": 1,
    "validation_window": 128,
    "threads": 1,
}
_FROM_NOTHING = {"model.pretrained": "false", "model.width": 8}
WeightEdit = Callable[[str, bool, Any], Any]
"""From a weight's own name, whether it is averaged, and the tensor to another tensor or None."""


def train(folder: Path, settings: Mapping[str, Any] | None = None, *, tuned: bool = False) -> list[str]:
    """Train a tiny run on rendered walls through the command line; returns the command that judges it.

    Args:
        folder: The run lies in `folder/run`.
        settings: Laid over the tiny ones.
        tuned: Start from the shipped bundle instead of from nothing.
    """
    try:
        import lightning  # noqa: F401
    except ModuleNotFoundError as error:
        raise UnavailableError("the train extra is not installed") from error
    data, run = rendered(folder), folder / "run"
    plain = shared(folder, "without-phrasings", lambda place: _without_phrasings(data, place)) / "data"
    chosen = {**_TINY, **({} if tuned else _FROM_NOTHING), **(settings or {})}
    verb = ["train", "--data", str(plain), "--out", str(run), "-q"]
    verb += ["--from", "default"] if tuned else []
    verb += [part for name, value in chosen.items() for part in ("--set", f"{name}={value}")]
    with contextlib.suppress(DrywallQAError):  # a run may die of its fault; what it left is judged
        quietly(verb)
    if not (run / "config.yaml").is_file():
        raise RuntimeError("the tiny run could not be started: drywallqa " + " ".join(verb))
    return ["diagnose", str(run), "--data", str(data)]


def _without_phrasings(data: Path, place: Path) -> None:
    """The same data; what the shipped text side understands already need not be learnt anew for every run."""
    copied = copy_set(data, place / "data")
    save_dataset(replace(copied, concepts=dict.fromkeys(copied.concepts, ())))


def edit_weights(folder: Path, change: WeightEdit) -> None:
    """Change the weights that a run kept, in whichever files; those that `change` turns to None are lost."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    for path in sorted((folder / "run").glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            about = dict(file.metadata() or {})
        state = {name: value.clone() for name, value in load_file(path).items()}
        path.unlink()
        save_file(_edited(state, change), path, about)
    for path in sorted((folder / "run").glob("*.ckpt")):
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        if "state_dict" in checkpoint:
            checkpoint["state_dict"] = _edited(checkpoint["state_dict"], change)
            path.unlink()
            torch.save(checkpoint, path)


def _edited(state: Mapping[str, Any], change: WeightEdit) -> dict[str, Any]:
    edited = {}
    for name, value in state.items():
        averaged = not name.startswith("model.")
        kept = change(name.removeprefix("average.module.").removeprefix("model."), averaged, value)
        if kept is not None:
            edited[name] = kept
    return edited


@contextlib.contextmanager
def frozen(parts: Sequence[str]) -> Iterator[None]:
    """Freeze parts of the model by their names' starts, beside what is frozen anyway."""
    from drywallqa.models.lite_models import CompactModel

    original = CompactModel.freeze

    def freeze(self: CompactModel, training: Any) -> None:
        original(self, training)
        for name, parameter in self.named_parameters():
            if name.startswith(tuple(parts)):
                parameter.requires_grad = False

    with mock.patch.object(CompactModel, "freeze", freeze):
        yield


@contextlib.contextmanager
def outside_optimizer(parts: Sequence[str]) -> Iterator[None]:
    """Leave parts of the model out of the optimizer, though they are trainable."""
    from drywallqa.training import task

    original = task.parameter_groups

    def some(model: Any, *rates: float) -> list[dict[str, Any]]:
        left_out = {id(p) for name, p in model.named_parameters() if name.startswith(tuple(parts))}
        groups = original(model, *rates)
        for group in groups:
            group["params"] = [p for p in group["params"] if id(p) not in left_out]
        return [group for group in groups if group["params"]]

    with mock.patch.object(task, "parameter_groups", some):
        yield


@contextlib.contextmanager
def made_in_forward() -> Iterator[None]:
    """Make the projections of the prompt anew in every call, as the report's model seems to have done."""
    from torch import nn

    from drywallqa.models.lite_models import CompactDecoder

    start, forward = CompactDecoder.__init__, CompactDecoder.forward

    def without(self: CompactDecoder, stem_channels: int, width: int, embedding_width: int) -> None:
        start(self, stem_channels, width, embedding_width)
        self.__dict__["sizes"] = (embedding_width, 2 * width, width)
        del self.prompt

    def anew(self: CompactDecoder, features: Any, embeddings: Any) -> Any:
        given, hidden, made = self.__dict__["sizes"]
        self.__dict__["prompt"] = nn.Sequential(nn.Linear(given, hidden), nn.ReLU(), nn.Linear(hidden, made))
        return forward(self, features, embeddings)

    with (
        mock.patch.object(CompactDecoder, "__init__", without),
        mock.patch.object(CompactDecoder, "forward", anew),
    ):
        yield


@contextlib.contextmanager
def made_late() -> Iterator[None]:
    """Make the projections of the prompt in the first training step, after the optimizer."""
    from torch import nn

    from drywallqa.models.lite_models import CompactDecoder

    start = CompactDecoder.__init__

    class Late(nn.Sequential):
        """Empty until it is called or loaded."""

        def __init__(self, given: int, hidden: int, made: int) -> None:
            super().__init__()
            self.sizes = (given, hidden, made)

        def fill(self) -> None:
            given, hidden, made = self.sizes
            if not len(self):
                self.extend([nn.Linear(given, hidden), nn.ReLU(), nn.Linear(hidden, made)])

        def forward(self, x: Any) -> Any:
            self.fill()
            return super().forward(x)

        def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
            if f"{prefix}0.weight" in state:
                self.fill()
            super()._load_from_state_dict(state, prefix, *rest)

    def later(self: CompactDecoder, stem_channels: int, width: int, embedding_width: int) -> None:
        start(self, stem_channels, width, embedding_width)
        self.prompt = Late(embedding_width, 2 * width, width)

    with mock.patch.object(CompactDecoder, "__init__", later):
        yield
