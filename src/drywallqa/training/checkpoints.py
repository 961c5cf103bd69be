"""Atomic checkpoints: a checkpoint is either complete or absent, even if writing is interrupted.

To resume a run, two files are needed. `last.ckpt` contains the state of the optimiser, schedule, loops and
callbacks. `last.safetensors` contains the trained and the averaged weights. Both files contain the same
token, which identifies them as a pair. A save has three steps: write the new weights under another name,
replace the old state, then rename the weights. After each step, the weights of the current state exist under
one of the two names.
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

LAST, BEST, EPOCHS = "last.ckpt", "best.safetensors", "epochs"
"""Names of the run's last state, its best weights, and the folder with each epoch's weights."""
AVERAGED = "average.module."
"""Prefix of the names of the averaged weights in a run's state. Export uses the averaged weights."""
UNREADABLE = (OSError, RuntimeError, KeyError, EOFError, ValueError, UnpicklingError, SafetensorError)
"""Errors that a damaged or missing checkpoint raises."""


class WholeCheckpoints(TorchCheckpointIO):
    """Writes new files and renames them, so that a failed save does not damage the previous checkpoint."""

    def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        """Write one checkpoint.

        Raises:
            OutputError: The checkpoint cannot be written. The previous checkpoint is unchanged.
        """
        target, token = Path(path), uuid.uuid4().hex
        _finish_save(target)
        state = {name: value for name, value in checkpoint.items() if name != "state_dict"}
        counted = {name: str(checkpoint[name]) for name in ("epoch", "global_step") if name in checkpoint}
        write_weights(checkpoint["state_dict"], _new_weights(target), {"token": token, **counted})
        write_tensors({**state, "weights": token}, target)
        _rename_weights(target)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Read a checkpoint and its weights, or a checkpoint that Lightning wrote as a single file."""
        state = super().load_checkpoint(path, map_location or (lambda storage, _: storage), weights_only)
        if "state_dict" not in state:
            state["state_dict"] = load_file(_weights_of(Path(path), str(state.pop("weights", ""))))
        return state


def weights_path(state: Path) -> Path:
    """Return the path of the weights file that belongs to a state file."""
    return state.with_suffix(".safetensors")


def _new_weights(state: Path) -> Path:
    return state.with_name(f".{state.stem}.new.safetensors")


def _finish_save(state: Path) -> None:
    """Finish a save that was interrupted before its last step."""
    if not _new_weights(state).is_file() or not state.is_file():
        return
    with suppress(OSError, RuntimeError, ModelError):
        token = torch.load(state, map_location="cpu", weights_only=True, mmap=True).get("weights")
        if token and token == weights_header(_new_weights(state)).get("token"):
            _rename_weights(state)


def _rename_weights(state: Path) -> None:
    _new_weights(state).replace(weights_path(state))


def weights_header(path: Path) -> dict[str, str]:
    """Read the metadata of a weights file: epoch, global_step and, for the best weights, the IoU.

    Raises:
        ModelError: The file is missing or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: no readable weights ({error})") from error


def _weights_of(state: Path, token: str) -> Path:
    """Find the weights file that has the same token as a state file.

    Raises:
        ModelError: The weights file is missing.
    """
    # try the first path twice, because another process may be renaming the weights
    for path in (weights_path(state), _new_weights(state), weights_path(state)):
        with suppress(ModelError):
            if weights_header(path).get("token") == token:
                return path
    raise ModelError(
        f"{weights_path(state)}: does not contain the weights that belong to {state.name}; train again"
    )


def read_weights(run: Path, which: str | None = None) -> tuple[Path, dict[str, Tensor]]:
    """Read the averaged weights of a run, with the same names as the model's parameters.

    Args:
        run: The run's folder.
        which: "best" (by validation IoU), "last", or the path of a file. If None, use the best weights, or
            the last weights if there are no best weights.

    Returns:
        The path of the file, and the weights.

    Raises:
        ModelError: The checkpoint does not exist or is damaged.
    """
    best, last = (run / BEST, run / "best.ckpt"), (run / LAST,)
    paths = {None: (*best, *last), "best": best, "last": last}.get(which, (Path(str(which)),))
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        kept = sorted(p.name for p in run.glob("*.safetensors")) if run.is_dir() else []
        advice = f"the run contains {', '.join(kept)}" if kept else "train first: drywallqa train"
        raise ModelError(f"{paths[0]}: checkpoint not found; {advice}")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = WholeCheckpoints().load_checkpoint(path, weights_only=True)["state_dict"]
    except UNREADABLE as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelError(
            f"{path}: no readable checkpoint ({reason}); train first: drywallqa train"
        ) from error
    return path, without_prefix(state, AVERAGED) or state


def without_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Select the tensors whose names start with a prefix, and remove the prefix from the names."""
    return {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}


def write_weights(weights: Mapping[str, Tensor], target: Path, metadata: Mapping[str, str]) -> None:
    """Save tensors atomically as a safetensors file.

    Raises:
        OutputError: The file cannot be written. An existing file is left unchanged.
    """
    tensors: dict[str, Tensor] = {}
    addresses: set[int] = set()
    for name, value in weights.items():
        tensor = value.detach().cpu().contiguous()
        # safetensors does not allow two names for the same memory
        tensors[name] = tensor.clone() if tensor.data_ptr() in addresses else tensor
        addresses.add(tensors[name].data_ptr())
    _write(target, lambda beside: save_file(tensors, beside, dict(metadata)))


def write_tensors(content: Any, target: Path) -> None:
    """Save an object atomically with `torch.save`.

    Raises:
        OutputError: The file cannot be written. An existing file is left unchanged.
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
        reason = _disk_problem(error)
        if reason is None:
            raise
        raise OutputError(
            f"{target}: the checkpoint cannot be written ({reason}); the last good checkpoint is intact; "
            "free disk space and continue with --resume"
        ) from error


def _disk_problem(error: BaseException) -> str | None:
    """Describe the disk error that caused an exception, or return None. PyTorch wraps disk errors."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            return (cause.strerror or str(cause)).lower()
        cause = cause.__cause__ or cause.__context__
    signs = ("PytorchStreamWriter", "unexpected pos", "I/O error", "os error")
    return "disk full or no permission" if any(sign in str(error) for sign in signs) else None
