"""Read a third-party weights file without running code from it, and recognise its model family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drywallqa.bundle.bundle import DEFAULT, ConceptSettings
from drywallqa.checks.findings import FaultFinding, finding_of, name_some
from drywallqa.errors import ModelError
from drywallqa.evaluation.measured_model import MeasuredModel
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inference.wrapped_model import WrappedModel
from drywallqa.text.text_side import TextSide

if TYPE_CHECKING:
    from torch import Tensor

    State = Mapping[str, Tensor]

_SIDE = 448
"""Size of the window in px for weights files, which store no window. The bundled model uses this size."""
_PREFIXES = ("average.module.", "module.", "model.", "_orig_mod.", "net.")
_HOLDERS = ("state_dict", "model_state_dict", "model", "weights", "net", "ema", "model_state")


@dataclass(frozen=True)
class RecognisedFamily:
    """The model family that the tensors of a file belong to.

    Attributes:
        name: Name of the family in the registry; None if no family fits.
        options: Options for building a model of the family.
        missing: Tensors of the model that are not in the file.
        unexpected: Tensors in the file that are not in the model.
        reshaped: Tensors that have a different shape in the file than in the model.
    """

    name: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.name is None:
            return "an unknown family"
        options = ", ".join(f"{key} {value}" for key, value in self.options.items())
        return f"the project's family '{self.name}'" + (f" ({options})" if options else "")

    def sentence(self, state: State) -> str:
        """Describe the file's content in one line."""
        weights = [t for name, t in state.items() if t.is_floating_point() and "running_" not in name]
        parts = [f"{self}, {sum(tensor.numel() for tensor in weights):,} parameters"]
        kinds = (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("of another shape", self.reshaped),
        )
        parts += [f"{len(names)} tensors {kind}" for kind, names in kinds if names]
        return f"the file contains {'; '.join(parts)}"


def read_foreign_weights(path: Path) -> dict[str, Tensor]:
    """Read a weights file and return its table of tensors.

    Raises:
        ModelError: The file is missing or damaged, contains no tensors, or could run code.
    """
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        safe = path.suffix == ".safetensors"
        found = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: this pickle contains more than tensors and could run code, so it is not read; "
            "save only the model's state_dict(), or use safetensors"
        ) from error
    except (SafetensorError, OSError, EOFError, RuntimeError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise ModelError(f"{path}: missing, truncated or damaged ({reason}); download it again") from error
    state = _unwrap(found)
    if not state:
        raise ModelError(f"{path}: contains no table of tensors; save the model's state_dict()")
    return state


def _unwrap(found: Any) -> dict[str, Tensor]:
    """Find the table of tensors in a training checkpoint, and strip prefixes from the names.

    If the file is a checkpoint of this project, return its averaged weights.
    """
    import torch

    if not isinstance(found, Mapping):
        return {}
    for holder in _HOLDERS:
        if isinstance(found.get(holder), Mapping):
            return _unwrap(found[holder])
    state = {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}
    for prefix in _PREFIXES:
        inner = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
        if inner and (len(inner) == len(state) or prefix == _PREFIXES[0]):
            return inner
    return state


def recognise_family(state: State, named: str | None = None) -> RecognisedFamily:
    """Recognise the model family of a file's tensors without allocating memory for a model's weights.

    Args:
        state: The tensors.
        named: The name of the family, if the user gave it.

    Raises:
        ModelError: No family has this name.
    """
    import torch

    from drywallqa.models import registry

    if named is not None:
        registry.find_family(named)
    best, most = RecognisedFamily(), -1.0
    for name, options in _candidates(state, named):
        try:
            with torch.device("meta"):
                model = registry.create_model(name, **options)
        except (RuntimeError, NotImplementedError, ImportError):
            continue  # this family cannot be built on the meta device
        shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
        common = [key for key in shapes if key in state]
        reshaped = tuple(key for key in common if tuple(state[key].shape) != shapes[key])
        share = (len(common) - len(reshaped)) / max(len(shapes), len(state))
        if share > most:
            missing = tuple(key for key in shapes if key not in state)
            unexpected = tuple(key for key in state if key not in shapes)
            best, most = RecognisedFamily(name, options, missing, unexpected, reshaped), share
    return best if most >= 0.6 or named is not None else RecognisedFamily()


def _candidates(state: State, named: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield candidate families with options. Families that cannot fit are skipped to save time."""
    from drywallqa.models import registry

    towers = any(part in key for key in state for part in ("text_model", "vision_model", "vision_encoder"))
    sizes = {}
    for option, key, axis in (("width", "prompt.2", 0), ("embedding_width", "prompt.0", 1)):
        weight = state.get(f"decoder.{key}.weight")
        if weight is not None and weight.dim() == 2:
            sizes[option] = int(weight.shape[axis])
    compact = [{"encoder": encoder, **sizes} for encoder in ("lite0", "lite1", "lite2")]
    for name, family in registry.FAMILIES.items():
        if family.trainable and (name == named if named else towers != (name == "compact")):
            yield from ((name, options) for options in (compact if name == "compact" else [{}]))


def check_family(family: RecognisedFamily) -> Iterator[FaultFinding]:
    """Check that a file contains every tensor of its family in the correct shape."""
    if family.missing:
        text = f"{family}: {len(family.missing)} tensors are missing: {name_some(family.missing)}"
        yield finding_of("outside-saved-state", text, 0.97)
    if family.reshaped:
        text = f"{family}: {len(family.reshaped)} tensors have another shape: {name_some(family.reshaped)}"
        yield finding_of("model-damaged", text, 0.9)


def open_weights(path: Path, family: RecognisedFamily, state: State) -> MeasuredModel | None:
    """Open a complete weights file of the bundled model's family, with the bundled text model.

    Return None if the family or its embedding width does not fit.
    """
    if family.name != "compact" or family.missing or family.unexpected or family.reshaped:
        return None
    from drywallqa.models import registry
    from drywallqa.models.contract import load_strictly
    from drywallqa.models.torch_backend import TorchBackend

    text = TextSide.load(DEFAULT)
    if family.options.get("embedding_width") != text.embed(["crack"]).shape[1]:
        return None
    model = registry.create_model("compact", **family.options)
    load_strictly(model, {name: value.float() for name, value in state.items()}, str(path))
    window = registry.find_family("compact").letterbox(_SIDE)
    levels = dict.fromkeys(text.concepts, ConceptSettings())
    backend = TorchBackend(model.eval(), text.embed)
    return MeasuredModel(path.name, Segmenter(WrappedModel(path.name, window, levels, backend, text)))
