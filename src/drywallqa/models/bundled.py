"""A bundle's weights in torch, behind the backend protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from safetensors.torch import load as load_tensors

from drywallqa.backend import Backend, Features, Float
from drywallqa.bundle.bundle import WEIGHTS, Bundle
from drywallqa.errors import BackendError
from drywallqa.models import registry
from drywallqa.models.contract import load_strictly
from drywallqa.models.torch_backend import TorchBackend
from drywallqa.onnx_session import RuntimeOptions
from drywallqa.processors import available_threads

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def open_torch(bundle: Any, options: RuntimeOptions) -> Backend:
    """Make a bundle's model again and fill it with the bundle's own weights (which are kept in fp16).

    Args:
        bundle: The bundle.
        options: How it is run; threads are those of torch in this process.

    Raises:
        BackendError: The bundle has no weights, or the device or precision is not supported.
        BundleError: The weights are damaged.
        ModelError: They do not fit.
    """
    device, precision = options.device, options.precision or "fp32"
    if not isinstance(bundle, Bundle) or WEIGHTS not in bundle.files:
        raise BackendError(f"{bundle.name}: the bundle has no torch weights; use --backend onnxruntime")
    if device != "cpu":
        raise BackendError(f"device '{device}': torch is used on the CPU here; use --device cpu")
    if precision not in ("fp32", *_AUTOCAST):
        raise BackendError(f"precision '{precision}': torch computes in fp32, bf16 or fp16 here")
    torch.set_num_threads(options.threads or min(torch.get_num_threads(), available_threads()))
    model = registry.create_model(bundle.name, **bundle.architecture)
    weights = {name: value.float() for name, value in load_tensors(bundle.read(WEIGHTS)).items()}
    load_strictly(model, weights, str(bundle.folder / WEIGHTS))
    backend = TorchBackend(model.eval(), bundle.text.embed)
    return backend if precision == "fp32" else _Autocast(backend, _AUTOCAST[precision])


class _Autocast:
    """Runs a torch backend with its products in half precision."""

    def __init__(self, backend: TorchBackend, kind: torch.dtype) -> None:
        self._backend, self._kind = backend, kind

    @contextmanager
    def _cast(self) -> Iterator[None]:
        with torch.autocast("cpu", dtype=self._kind):
            yield

    def encode_image(self, images: Float) -> Features:
        """See `backend.Backend`."""
        with self._cast():
            return self._backend.encode_image(images)

    def encode_prompts(self, prompts: Sequence[str]) -> Float:
        """See `backend.Backend`."""
        return self._backend.encode_prompts(prompts)

    def decode(self, features: Features, embeddings: Float) -> tuple[Float, Float]:
        """See `backend.Backend`."""
        with self._cast():
            return self._backend.decode(features, embeddings)
