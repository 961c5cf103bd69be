"""The runtimes that a bundle can be loaded into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from drywallqa.backend import Backend, Features, Float
from drywallqa.background import BackgroundCall
from drywallqa.errors import BackendError
from drywallqa.onnx_session import DECODER, IMAGE_ENCODER, graph_name, open_session
from drywallqa.processors import available_threads
from drywallqa.text.text_side import TextSide

BACKENDS = ("onnxruntime", "openvino", "torch")
PRECISIONS = ("fp32", "bf16", "fp16", "int8")


class BackendSource(Protocol):
    """What a runtime takes from a bundle."""

    @property
    def text(self) -> TextSide:
        """The text side."""
        ...

    @property
    def files(self) -> Mapping[str, str]:
        """File name → SHA-256."""
        ...

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        ...

    def checked(self, name: str) -> Path:
        """Hold a file, and the weights that it may refer to, against their SHA-256; return where it lies."""
        ...


def open_runtime(
    bundle: BackendSource, name: str, device: str, threads: int | None, precision: str = "fp32"
) -> Backend:
    """Load a bundle's model into a runtime; see `Bundle.open_backend`."""
    if name not in BACKENDS:
        raise BackendError(f"backend '{name}' is not known; it is one of {', '.join(BACKENDS)}")
    if precision not in PRECISIONS:
        raise BackendError(f"precision '{precision}' is not known; it is one of {', '.join(PRECISIONS)}")
    if name == "torch":
        raise BackendError("the backend 'torch' is for drywallqa.load and `segment` alone; use another one")
    encoder, decoder = (graph_name(graph, precision) for graph in (IMAGE_ENCODER, DECODER))
    if encoder not in bundle.files and precision == "int8":
        raise BackendError(
            "this bundle has no int8 graphs; make some with: "
            "drywallqa export BUNDLE --precision int8 --data DIR --out NEW"
        )
    if name == "openvino":
        from drywallqa.bundle.openvino_backend import OpenVinoBackend

        paths = bundle.checked(encoder), bundle.checked(decoder)
        return OpenVinoBackend(*paths, bundle.text, device, threads or available_threads(), precision)
    if precision in ("bf16", "fp16"):
        raise BackendError(f"precision '{precision}': ONNX Runtime computes in fp32 or int8 on a CPU")
    return OnnxBackend(bundle, device, threads, (encoder, decoder))


class OnnxBackend:
    """A bundle in ONNX Runtime; sessions may be shared between threads.

    Args:
        bundle: The bundle.
        device: "cpu" or "cuda".
        threads: Threads of one call; None takes the cores that the process may use.
        graphs: File names of image encoder and decoder.
    """

    def __init__(
        self,
        bundle: BackendSource,
        device: str = "cpu",
        threads: int | None = None,
        graphs: tuple[str, str] = (IMAGE_ENCODER, DECODER),
    ) -> None:
        # The largest graph by far: the runtime prepares it on its own while the rest is read. Meanwhile it is
        # held against its SHA-256, and nothing is answered by one that differs.
        encoder = BackgroundCall(lambda: open_session(bundle.folder / graphs[0], device, threads))
        for graph in graphs:
            bundle.checked(graph)
        self._text = bundle.text
        self._decoder = open_session(bundle.folder / graphs[1], device, threads)
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
