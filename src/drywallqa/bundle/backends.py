"""The runtimes that a bundle can be loaded into."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from drywallqa.backend import Backend, Features, Float
from drywallqa.bundle.text import TextSide
from drywallqa.errors import BackendError
from drywallqa.meanwhile import Meanwhile

IMAGE_ENCODER = "image_encoder.onnx"
DECODER = "decoder.onnx"
BACKENDS = ("onnxruntime",)
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class Source(Protocol):
    """What a runtime takes from a bundle."""

    @property
    def text(self) -> TextSide:
        """The text side."""
        ...

    def read(self, name: str) -> bytes:
        """Read a file and hold it against its SHA-256."""
        ...


def open_backend(bundle: Source, name: str, device: str, threads: int | None) -> Backend:
    """Load a bundle's model into a runtime; see `Bundle.open_backend`."""
    if name not in BACKENDS:
        raise BackendError(f"backend '{name}' is not known; it is one of {', '.join(BACKENDS)}")
    return OnnxBackend(bundle, device, threads)


def available_threads() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class OnnxBackend:
    """A bundle in ONNX Runtime; sessions may be shared between threads.

    Args:
        bundle: The bundle.
        device: "cpu" or "cuda".
        threads: Threads of one call; None takes the cores that the process may use.
    """

    def __init__(self, bundle: Source, device: str = "cpu", threads: int | None = None) -> None:
        if device not in _PROVIDERS:
            raise BackendError(f"device '{device}' is not known; it is one of {', '.join(_PROVIDERS)}")
        # The largest graph by far: the runtime prepares it on its own while the rest is read.
        encoder = Meanwhile(lambda: _session(bundle.read(IMAGE_ENCODER), device, threads))
        self._text = bundle.text
        self._decoder = _session(bundle.read(DECODER), device, threads)
        self._encoder = encoder.result()

    def encode_image(self, images: Float) -> Features:
        """See `backend.Backend`."""
        return tuple(self._encoder.run(None, {"images": np.ascontiguousarray(images, np.float32)}))

    def encode_prompts(self, prompts: Sequence[str]) -> Float:
        """See `backend.Backend`."""
        return self._text.embed(prompts)

    def decode(self, features: Features, embeddings: Float) -> tuple[Float, Float]:
        """See `backend.Backend`."""
        photos = features[0].shape[0]
        if embeddings.ndim == 2:
            embeddings = np.broadcast_to(embeddings, (photos, *embeddings.shape))
        inputs = {f"features_{index}": part for index, part in enumerate(features)}
        logits, presence = self._decoder.run(
            None, inputs | {"embeddings": np.ascontiguousarray(embeddings, np.float32)}
        )
        return logits, presence


def _session(graph: bytes, device: str, threads: int | None) -> Any:
    import onnxruntime

    provider = _PROVIDERS[device]
    if provider not in onnxruntime.get_available_providers():
        raise BackendError(
            f"device '{device}': this ONNX Runtime offers only "
            f"{', '.join(onnxruntime.get_available_providers())}; install onnxruntime-gpu or use --device cpu"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=[provider])
