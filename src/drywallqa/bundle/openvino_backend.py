"""A bundle in OpenVINO."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from drywallqa.backend import Features, Float
from drywallqa.errors import BackendError, MissingExtraError
from drywallqa.text.text_side import TextSide

# Left to itself it computes in bf16 where the machine can, whatever the model was exported in.
_HINTS = {"fp32": "f32", "int8": "f32", "bf16": "bf16", "fp16": "f16"}


class OpenVinoBackend:
    """Two graphs in OpenVINO; may be shared between threads.

    Args:
        encoder: The image encoder's ONNX file.
        decoder: The decoder's.
        text: The text side.
        device: "cpu".
        threads: Threads of one call.
        precision: What is computed in: "fp32", "bf16" or "fp16" where the machine can; "int8" for graphs
            that were quantised.

    Raises:
        MissingExtraError: OpenVINO is not installed.
        BackendError: The machine cannot do what is asked.
    """

    def __init__(
        self, encoder: Path, decoder: Path, text: TextSide, device: str, threads: int, precision: str
    ) -> None:
        if device != "cpu":
            raise BackendError(f"device '{device}': OpenVINO is used on the CPU here; use --device cpu")
        try:
            import openvino
        except ImportError as error:
            raise MissingExtraError("the backend 'openvino'", "openvino") from error
        core = openvino.Core()
        able = {str(name).lower() for name in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")}
        if precision in ("bf16", "fp16") and precision not in able:
            raise BackendError(f"precision '{precision}': this machine does not compute in it; use fp32")
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._text = text
        self._encoder = _Graph(core.compile_model(str(encoder), "CPU", settings))
        self._decoder = _Graph(core.compile_model(str(decoder), "CPU", settings))

    def encode_image(self, images: Float) -> Features:
        """See `backend.Backend`."""
        return tuple(self._encoder({"images": np.ascontiguousarray(images, np.float32)}))

    def encode_prompts(self, prompts: Sequence[str]) -> Float:
        """See `backend.Backend`."""
        return self._text.embed(prompts)

    def decode(self, features: Features, embeddings: Float) -> tuple[Float, Float]:
        """See `backend.Backend`."""
        if embeddings.ndim == 2:
            embeddings = np.broadcast_to(embeddings, (features[0].shape[0], *embeddings.shape))
        inputs = {f"features_{index}": np.ascontiguousarray(part) for index, part in enumerate(features)}
        logits, presence = self._decoder(
            inputs | {"embeddings": np.ascontiguousarray(embeddings, np.float32)}
        )
        return logits, presence


class _Graph:
    """A compiled graph; a request serves one call at a time, so each thread that calls gets one."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._own = threading.local()

    def __call__(self, inputs: Mapping[str, Float]) -> list[Float]:
        request = getattr(self._own, "request", None)
        if request is None:
            request = self._own.request = self._compiled.create_infer_request()
        found = request.infer(dict(inputs), share_inputs=True, share_outputs=False)
        return [np.asarray(found[output]) for output in self._compiled.outputs]
