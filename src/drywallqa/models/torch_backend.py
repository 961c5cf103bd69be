"""Adapt a torch model to the backend protocol for NumPy arrays, and load a bundle's weights into a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors

from drywallqa.backend import Backend, Features, Float
from drywallqa.bundle.bundle import WEIGHTS, Bundle
from drywallqa.errors import BackendError
from drywallqa.models import registry
from drywallqa.models.contract import load_strictly
from drywallqa.onnx_session import RuntimeOptions
from drywallqa.processors import available_threads

_PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchBackend:
    """Runs any model that follows the interface of `contract.PromptedModel`.

    Args:
        model: Model with `encode_image` and `decode`; set to evaluation mode for each call.
        embed: Function of a text model that embeds prompts as [P,D]; None if `model` itself embeds prompts.
        autocast: Half-precision type for matrix products on the CPU; none by default.
    """

    def __init__(
        self,
        model: Any,
        embed: Callable[[Sequence[str]], Float] | None = None,
        autocast: torch.dtype | None = None,
    ) -> None:
        self.model, self.embed, self.autocast = model, embed, autocast

    def encode_image(self, images: Float) -> Features:
        """See `backend.Backend`."""
        with self._inference():
            features = self.model.encode_image(self._to_device(images))
        return tuple(_to_numpy(feature) for feature in features)

    def encode_prompts(self, prompts: Sequence[str]) -> Float:
        """See `backend.Backend`."""
        if self.embed is not None:
            return self.embed(prompts)
        with torch.inference_mode():
            return np.asarray(self.model.encode_prompts(list(prompts)).cpu().numpy())

    def decode(self, features: Features, embeddings: Float) -> tuple[Float, Float]:
        """See `backend.Backend`."""
        with self._inference():
            on_device = tuple(self._to_device(feature) for feature in features)
            logits, presence = self.model.decode(on_device, self._to_device(embeddings))
        return _to_numpy(logits), _to_numpy(presence)

    @contextmanager
    def _inference(self) -> Iterator[None]:
        self.model.eval()
        precision = torch.autocast("cpu", dtype=self.autocast) if self.autocast else nullcontext()
        with precision, torch.inference_mode():
            yield

    def _to_device(self, values: Float) -> torch.Tensor:
        """Move values to the model's device, which may be an accelerator during training."""
        weights = next(iter(self.model.parameters()), None)
        given = torch.from_numpy(values)
        return given if weights is None else given.to(weights.device)


def _to_numpy(values: torch.Tensor) -> Float:
    return np.asarray(values.float().cpu().numpy())


def open_torch(bundle: Any, options: RuntimeOptions) -> Backend:
    """Rebuild a bundle's model and load the bundle's weights (stored in fp16) into it.

    Args:
        bundle: The bundle.
        options: Runtime options. If they set no number of threads, torch's number in this process applies.

    Raises:
        BackendError: The bundle has no weights, or the device or precision is not supported.
        BundleError: The weights are damaged.
        ModelError: The weights do not fit the model.
    """
    precision = options.precision or "fp32"
    if not isinstance(bundle, Bundle) or WEIGHTS not in bundle.files:
        raise BackendError(f"{bundle.name}: the bundle has no torch weights; use --backend onnxruntime")
    if options.device != "cpu":
        raise BackendError(f"device '{options.device}': the torch backend runs on the CPU; use --device cpu")
    if precision not in _PRECISIONS:
        raise BackendError(f"precision '{precision}': the torch backend supports fp32, bf16 or fp16")
    torch.set_num_threads(options.threads or min(torch.get_num_threads(), available_threads()))
    model = registry.create_model(bundle.name, **bundle.architecture)
    weights = {name: value.float() for name, value in load_tensors(bundle.read(WEIGHTS)).items()}
    load_strictly(model, weights, str(bundle.folder / WEIGHTS))
    return TorchBackend(model.eval(), bundle.text.embed, _PRECISIONS[precision])
