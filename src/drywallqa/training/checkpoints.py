"""Checkpoints that are whole or absent, whatever happens while they are written.

A run's `last.ckpt` holds what a resumed run needs besides weights (optimiser, schedule, loops, callbacks),
and `last.safetensors` holds the weights, trained and averaged. The two belong together by a token. They are
written in three steps: the new weights under another name, the new state over the old one, the weights to
their own name. After each step there is a state whose weights are at hand, under one name or the other.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from drywallqa.errors import ModelError, OutputError
from drywallqa.files import whole_file

LAST, BEST = "last.ckpt", "best.safetensors"
AVERAGED = "average.module."
"""What the names of averaged weights start with in a whole run's state; they are what ships."""
UNREADABLE = (OSError, RuntimeError, KeyError, EOFError, ValueError, UnpicklingError, SafetensorError)
"""What reading a damaged or missing checkpoint raises."""


class WholeCheckpoints(TorchCheckpointIO):
    """Writes weights and state apart, each beside its place and renamed: a full disk costs no good one."""

    def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        """Write one checkpoint.

        Raises:
            OutputError: It cannot be written; the one before it is intact.
        """
        target, token = Path(path), uuid.uuid4().hex
        _finish(target)
        state = {name: value for name, value in checkpoint.items() if name != "state_dict"}
        counted = {name: str(checkpoint[name]) for name in ("epoch", "global_step") if name in checkpoint}
        write_weights(checkpoint["state_dict"], _new(target), {"token": token, **counted})
        write_tensors({**state, "weights": token}, target)
        _rename(target)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Read one checkpoint, its weights included; also one of a single file, as Lightning writes it."""
        state = super().load_checkpoint(path, map_location or _stay, weights_only)
        if "state_dict" not in state:
            state["state_dict"] = load_file(_partner(Path(path), str(state.pop("weights", ""))))
        return state


def _stay(storage: Any, place: str) -> Any:
    """Leave a tensor on the CPU, where the file's reader puts it."""
    return storage


def weights_path(state: Path) -> Path:
    """Return the place of the weights that belong to a state."""
    return state.with_suffix(".safetensors")


def _new(state: Path) -> Path:
    return state.with_name(f".{state.stem}.new.safetensors")


def _finish(state: Path) -> None:
    """Do the last step of a save that was cut off before it."""
    if not _new(state).is_file() or not state.is_file():
        return
    with suppress(OSError, RuntimeError, ModelError):
        token = torch.load(state, map_location="cpu", weights_only=True, mmap=True).get("weights")
        if token and token == _token(_new(state)):
            _rename(state)


def _rename(state: Path) -> None:
    _new(state).replace(weights_path(state))


def weights_header(path: Path) -> dict[str, str]:
    """Read what weights say of themselves: epoch, global_step, and of the best its figure.

    Raises:
        ModelError: There are none, or they are damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: no readable weights ({error})") from error


def _token(path: Path) -> str | None:
    return weights_header(path).get("token")


def _partner(state: Path, token: str) -> Path:
    """Find the weights of a state.

    Raises:
        ModelError: They are not there.
    """
    # another process may be at the renaming, so the first place is looked at twice
    for path in (weights_path(state), _new(state), weights_path(state)):
        with suppress(ModelError):
            if _token(path) == token:
                return path
    raise ModelError(f"{weights_path(state)}: not the weights that {state.name} belongs to; train anew")


def read_weights(run: Path, which: str | None = None) -> tuple[Path, dict[str, Tensor]]:
    """Read the weights of a run that ship: averaged, under the model's own names.

    Args:
        run: The run's folder.
        which: "best" by IoU on validation, "last", or a file; by default the best, and the last where there
            was no validation.

    Returns:
        The file, and the weights.

    Raises:
        ModelError: There is no such checkpoint, or it is damaged.
    """
    path = _chosen(run, which)
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = WholeCheckpoints().load_checkpoint(path, weights_only=True)["state_dict"]
    except UNREADABLE as error:
        told = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelError(f"{path}: no readable checkpoint ({told}); train first: drywallqa train") from error
    return path, without_prefix(state, AVERAGED) or state


def without_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Take the tensors whose names begin with a prefix, and leave it off."""
    return {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}


def _chosen(run: Path, which: str | None) -> Path:
    best, last = (run / BEST, run / "best.ckpt"), (run / LAST,)
    places = {None: (*best, *last), "best": best, "last": last}.get(which, (Path(str(which)),))
    for path in places:
        if path.is_file():
            return path
    kept = sorted(p.name for p in run.glob("*.safetensors")) if run.is_dir() else []
    raise ModelError(
        f"{places[0]}: there is no such checkpoint"
        + (f"; the run holds {', '.join(kept)}" if kept else "; train first: drywallqa train")
    )


def write_weights(weights: Mapping[str, Tensor], target: Path, about: Mapping[str, str]) -> None:
    """Save tensors as safetensors, whole or not at all.

    Raises:
        OutputError: They cannot be written; what was there before is intact.
    """
    plain: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, value in weights.items():
        kept = value.detach().cpu().contiguous()
        # the format holds no two names of one memory
        plain[name] = kept.clone() if kept.data_ptr() in places else kept
        places.add(plain[name].data_ptr())
    _write(target, lambda beside: save_file(plain, beside, dict(about)))


def write_tensors(content: Any, target: Path) -> None:
    """Save anything that torch can, whole or not at all.

    Raises:
        OutputError: It cannot be written; what was there before is intact.
    """

    def save(beside: Path) -> None:
        with beside.open("wb") as stream:
            torch.save(content, stream)

    _write(target, save)


def _write(target: Path, save: Callable[[Path], None]) -> None:
    try:
        with whole_file(target, durable=True) as beside:
            save(beside)
    except BaseException as error:
        reason = _disk_trouble(error)
        if reason is None:
            raise
        raise OutputError(
            f"{target}: the checkpoint could not be written ({reason}); the last good one is intact: "
            "make room and go on with --resume"
        ) from error


def _disk_trouble(error: BaseException) -> str | None:
    """Say what the disk lacks, if that is what an error is about; torch wraps it once or twice."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError):
            return (seen.strerror or str(seen)).lower()
        seen = seen.__cause__ or seen.__context__
    text = str(error)
    lacking = ("PytorchStreamWriter", "unexpected pos", "I/O error", "os error")
    return "no room or no permission" if any(word in text for word in lacking) else None
