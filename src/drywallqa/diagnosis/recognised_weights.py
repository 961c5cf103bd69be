"""A file of weights from elsewhere: read without running its code; its family, named by keys and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
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

_WRAPPERS = ("module.", "model.", "_orig_mod.", "net.")
_SIDE = 448
"""Window in px at which weights are run that come without one: that of the bundled model."""
_AVERAGE = "average.module."
_HOLDERS = ("state_dict", "model_state_dict", "model", "weights", "net", "ema", "model_state")

# what others' models are known by: a name, and keys that all have to be there
_SIGNATURES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "CLIPSeg (transformers' layout)",
        (r"^clip\.text_model\.", r"^decoder\.film_mul", r"^decoder\.reduces\."),
    ),
    ("SAM (transformers' layout)", (r"^vision_encoder\.", r"^mask_decoder\.", r"^prompt_encoder\.")),
    ("SAM (the authors' layout)", (r"^image_encoder\.blocks\.", r"^mask_decoder\.", r"^prompt_encoder\.")),
    ("SegFormer", (r"^segformer\.encoder\.", r"^decode_head\.")),
    ("DeepLabV3 (torchvision)", (r"^backbone\.layer1\.", r"^classifier\.0\.convs\.")),
    ("FCN (torchvision)", (r"^backbone\.layer1\.", r"^classifier\.4\.")),
    ("U-Net (segmentation-models-pytorch)", (r"^encoder\.", r"^decoder\.blocks\.", r"^segmentation_head\.")),
    ("YOLO (ultralytics)", (r"^(model\.)?\d+\.conv\.weight$", r"^(model\.)?\d+\.(cv1|m\.0)\.")),
    ("Mask R-CNN (torchvision)", (r"^backbone\.", r"^rpn\.", r"^roi_heads\.")),
    ("CLIP (transformers' layout)", (r"^(clip\.)?text_model\.", r"^(clip\.)?vision_model\.")),
    ("ResNet", (r"^layer1\.0\.conv1\.", r"^fc\.")),
)


@dataclass(frozen=True)
class RecognisedFamily:
    """What a file of weights was recognised as.

    Attributes:
        name: In words.
        own: Name in the registry; None for families that are known by their keys alone.
        missing: Tensors that the family has and the file lacks.
        unexpected: Tensors that the file has and the family lacks.
        reshaped: Tensors of another shape.
        parameters: Numbers in the file.
    """

    name: str
    own: str | None
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]
    parameters: int

    def sentence(self) -> str:
        """Describe it in one line."""
        told = f"{self.name}, {self.parameters:,} parameters"
        parts = [
            f"{len(names)} tensors {word}"
            for names, word in (
                (self.missing, "missing"), (self.unexpected, "unexpected"),
                (self.reshaped, "of another shape"),
            )
            if names
        ]  # fmt: skip
        return f"{told} ({', '.join(parts)})" if parts else told


def read_foreign_weights(path: Path) -> dict[str, Tensor]:
    """Read a file of weights, whatever they are wrapped in.

    Raises:
        ModelError: The file is missing or damaged, holds no tensors, or would run code.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (SafetensorError, OSError, EOFError, RuntimeError, ValueError) as error:
        raise ModelError(f"{path}: missing, truncated or damaged ({_first(error)}); get it again") from error
    except Exception as error:
        if type(error).__name__ != "UnpicklingError":
            raise
        raise ModelError(
            f"{path}: this pickle holds more than tensors and could run code, so it is not read; "
            "save the model's state_dict() alone, or as safetensors"
        ) from error
    state = _unwrap(found)
    if not state:
        raise ModelError(f"{path}: holds no table of tensors; save the model's state_dict()")
    return state


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def _unwrap(found: Any) -> dict[str, Tensor]:
    """Find the table of tensors in what training programs save, and strip what wraps every name."""
    import torch

    if not isinstance(found, Mapping):
        return {}
    for holder in _HOLDERS:
        if isinstance(found.get(holder), Mapping):
            return _unwrap(found[holder])
    state = {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}
    averaged = {name: value for name, value in state.items() if name.startswith(_AVERAGE)}
    if averaged:
        return {name[len(_AVERAGE) :]: value for name, value in averaged.items()}
    for wrapper in _WRAPPERS:
        if state and all(name.startswith(wrapper) for name in state):
            return {name[len(wrapper) :]: value for name, value in state.items()}
    return state


def recognise_family(state: State, named: str | None = None) -> RecognisedFamily:
    """Name the family whose tensors a file holds, the project's own first.

    Args:
        state: The tensors.
        named: Name in the registry of the family that it is said to be.

    Raises:
        ModelError: No family has this name.
    """
    if named is not None:
        from drywallqa.models import registry

        registry.find_family(named)
    parameters = sum(
        tensor.numel()
        for name, tensor in state.items()
        if tensor.is_floating_point() and "running_" not in name
    )
    best: RecognisedFamily | None = None
    most = -1.0
    for name, option, shapes in _own_families(state, named):
        same = [key for key in shapes if key in state and tuple(state[key].shape) == shapes[key]]
        share = len(same) / max(len(shapes), len(state))
        if share > most:
            most = share
            best = RecognisedFamily(
                f"the project's family '{name}'{option}",
                name,
                tuple(key for key in shapes if key not in state),
                tuple(key for key in state if key not in shapes),
                tuple(key for key in shapes if key in state and tuple(state[key].shape) != shapes[key]),
                parameters,
            )
    if best is not None and (most >= 0.6 or named is not None):
        return best
    for words, patterns in _SIGNATURES:
        if all(any(re.search(pattern, name) for name in state) for pattern in patterns):
            return RecognisedFamily(words, None, (), (), (), parameters)
    return RecognisedFamily("a family that is not known here", None, (), (), (), parameters)


def _own_families(state: State, named: str | None) -> Any:
    """Yield name, options in words, and shapes of the project's trainable families; no weights are made."""
    import torch

    from drywallqa.models import registry

    for name, family in registry.FAMILIES.items():
        if not family.trainable or not (name == named if named else _may_be(name, state)):
            continue
        for options in _options_of(name, state):
            try:
                with torch.device("meta"):
                    model = registry.create_model(name, **options)
            except (RuntimeError, NotImplementedError, ImportError):
                continue  # a family that cannot be made without weights is not recognised by shapes
            shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
            told = ", ".join(f"{key} {value}" for key, value in options.items())
            yield name, f" ({told})" if told else "", shapes


def _may_be(name: str, state: State) -> bool:
    """Say whether it is worth making a family, which takes seconds for those with towers."""
    towers = any("text_model" in key or "vision_model" in key or "vision_encoder" in key for key in state)
    return towers != (name == "compact")


def _options_of(name: str, state: State) -> list[dict[str, Any]]:
    if name != "compact":
        tiny = any(tensor.dim() == 2 and tensor.shape[1] == 48 for tensor in state.values())
        return [{"size": "tiny"}] if tiny else [{}]
    film = state.get("decoder.prompt.2.weight")
    code = state.get("decoder.prompt.0.weight")
    sizes = {"width": int(film.shape[0])} if film is not None and film.dim() == 2 else {}
    if code is not None and code.dim() == 2:
        sizes["embedding_width"] = int(code.shape[1])
    return [{"encoder": encoder, **sizes} for encoder in ("lite0", "lite1", "lite2")]


def check_family(family: RecognisedFamily, state: State) -> list[FaultFinding]:
    """Check that a file holds all that its family needs, no less and nothing of another shape."""
    found = []
    if family.missing:
        what = f"{family.name}: {len(family.missing)} tensors are missing: {name_some(family.missing)}"
        found.append(finding_of("outside-saved-state", what, 0.97))
    if family.reshaped:
        what = (
            f"{family.name}: {len(family.reshaped)} tensors have another shape: {name_some(family.reshaped)}"
        )
        found.append(finding_of("model-damaged", what, 0.9))
    return [*found, *_without_projections(state)]


def _without_projections(state: State) -> list[FaultFinding]:
    """Find CLIP towers whose width reaches a narrower decoder through no saved projection."""
    towers = [name for name in state if re.search(r"(text|vision)_model\.", name)]
    decoder = {
        name: tensor
        for name, tensor in state.items()
        if tensor.dim() == 4 and not re.search(r"(text|vision)_model\.|_encoder\.", name)
    }
    if not towers or not decoder:
        return []
    entry = next(iter(decoder.values())).shape[1]
    narrow = [
        name
        for name, tensor in state.items()
        if tensor.dim() in (2, 4) and name not in towers and name not in decoder and tensor.shape[0] == entry
    ]
    if narrow or entry in (512, 768):
        return []
    what = (
        f"the decoder takes {entry} channels and CLIP's towers give 512 and 768, yet no projection between "
        "them is in the file: it was made in forward, or never registered"
    )
    return [finding_of("outside-saved-state", what, 0.96)]


def open_weights(path: Path, family: RecognisedFamily, state: State) -> MeasuredModel | None:
    """Make a file of the project's own light family ready to run, with the bundled text side."""
    if family.own != "compact" or family.missing or family.unexpected or family.reshaped:
        return None
    from drywallqa.models import registry
    from drywallqa.models.contract import load_strictly
    from drywallqa.models.torch_backend import TorchBackend

    text = TextSide.load(DEFAULT)
    options = next(o for o in _options_of("compact", state) if f"encoder {o['encoder']}" in family.name)
    if options.get("embedding_width") != text.embed(["crack"]).shape[1]:
        return None
    model = registry.create_model("compact", **options)
    load_strictly(model, {name: value.float() for name, value in state.items()}, str(path))
    window = registry.find_family("compact").window(_SIDE)
    levels = dict.fromkeys(text.concepts, ConceptSettings())
    backend = TorchBackend(model.eval(), text.embed)
    return MeasuredModel(path.name, path, Segmenter(WrappedModel(path.name, window, levels, backend, text)))
