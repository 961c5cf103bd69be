"""Run the ONNX graphs of a bundle in ONNX Runtime or OpenVINO."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from drywallqa.backend import Features, Float
from drywallqa.errors import BackendError, MissingExtraError
from drywallqa.onnx_session import RuntimeOptions, open_session
from drywallqa.processors import available_threads
from drywallqa.text.text_side import TextSide

# Without this hint, OpenVINO computes in bf16 on machines that support it, even if the graph is in fp32.
_OPENVINO_HINTS = {"fp32": "f32", "int8": "f32", "bf16": "bf16", "fp16": "f16"}

Graph = Callable[[Mapping[str, Float]], Sequence[Float]]


class GraphBackend:
    """Runs the text model, the image encoder and the decoder of a bundle. Implements `backend.Backend`.

    Threads can share one instance.

    Args:
        text: The text model, which embeds prompts.
        encoder: The graph of the image encoder.
        decoder: The graph of the decoder.
    """

    def __init__(self, text: TextSide, encoder: Graph, decoder: Graph) -> None:
        self._text, self._encoder, self._decoder = text, encoder, decoder

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


def open_graph(path: Path, options: RuntimeOptions, precision: str) -> Graph:
    """Open an ONNX graph in the runtime that the options select.

    Raises:
        BackendError: The runtime does not support the device or the precision.
        MissingExtraError: OpenVINO is selected but not installed.
    """
    if options.backend == "openvino":
        return _OpenVinoGraph(path, options, precision)
    if precision in ("bf16", "fp16"):
        raise BackendError(f"precision '{precision}': ONNX Runtime supports only fp32 and int8 on a CPU")
    return partial(open_session(path, options.device, options.threads).run, None)


class _OpenVinoGraph:
    """A graph in OpenVINO. Each thread has its own request, because a request handles one call at a time."""

    def __init__(self, path: Path, options: RuntimeOptions, precision: str) -> None:
        if options.device != "cpu":
            raise BackendError(
                f"device '{options.device}': drywallqa runs OpenVINO only on the CPU; use --device cpu"
            )
        try:
            import openvino
        except ImportError as error:
            raise MissingExtraError("the backend 'openvino'", "openvino") from error
        core = openvino.Core()
        able = {str(name).lower() for name in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")}
        if precision in ("bf16", "fp16") and precision not in able:
            raise BackendError(f"this machine does not support the precision '{precision}'; use fp32")
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _OPENVINO_HINTS[precision],
            "INFERENCE_NUM_THREADS": options.threads or available_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._compiled = core.compile_model(str(path), "CPU", settings)
        self._local = threading.local()

    def __call__(self, inputs: Mapping[str, Float]) -> list[Float]:
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        found = request.infer(dict(inputs), share_inputs=True, share_outputs=False)
        return [np.asarray(found[output]) for output in self._compiled.outputs]
