"""Tiny runs, trained with a fault in the code that trains, in the settings, or put into what was saved."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from drywallqa.errors import DrywallQAError
from planted.case import UnavailableError
from planted.sets import quietly, rendered

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
LAST = "last.ckpt"


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
    chosen = {**_TINY, **({} if tuned else _FROM_NOTHING), **(settings or {})}
    verb = ["train", "--data", str(data), "--out", str(run), "-q"]
    verb += ["--from", "default"] if tuned else []
    verb += [part for name, value in chosen.items() for part in ("--set", f"{name}={value}")]
    with contextlib.suppress(DrywallQAError):  # a run may die of its fault; what it left is judged
        quietly(verb)
    if not (run / "config.yaml").is_file():
        raise RuntimeError("the tiny run could not be started: drywallqa " + " ".join(verb))
    return ["diagnose", str(run), "--data", str(data)]


def edit_checkpoint(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the state dict of a run's last checkpoint."""
    import torch

    path = folder / "run" / LAST
    with contextlib.redirect_stdout(io.StringIO()):
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    change(checkpoint["state_dict"])
    path.unlink()
    torch.save(checkpoint, path)


@contextlib.contextmanager
def frozen(parts: Sequence[str]) -> Iterator[None]:
    """Freeze parts of the model by their names' starts, beside what is frozen anyway."""
    from drywallqa.models.compact import CompactModel

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

    from drywallqa.models.compact import CompactDecoder

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

    from drywallqa.models.compact import CompactDecoder

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
            if f"{prefix}0.weight" in state and not len(self):
                self.fill()
                for name, layer in self.named_children():
                    layer._load_from_state_dict(state, f"{prefix}{name}.", *rest)
            super()._load_from_state_dict(state, prefix, *rest)

    def later(self: CompactDecoder, stem_channels: int, width: int, embedding_width: int) -> None:
        start(self, stem_channels, width, embedding_width)
        self.prompt = Late(embedding_width, 2 * width, width)

    with mock.patch.object(CompactDecoder, "__init__", later):
        yield
