"""From a torch model of the contract to two ONNX graphs: photos to features, features to masks.

The graphs are apart because an export of both in one froze the batch size without a word; they are held
against torch at two batch sizes before they are kept. Weights are then stored in fp16, batch norms folded in,
and cast to fp32 when a runtime loads them, which halves the file and costs nothing at run time; that rounding
has a tolerance of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from drywallqa.errors import ModelError

OPSET = 18
TOLERANCE = 1e-4
"""Largest difference of the fp32 graphs from torch, relative to the outputs' range."""
HALF_TOLERANCE = 2e-2
"""The same for graphs whose weights were rounded to fp16."""
_TRIALS = ((1, 1, (64, 64)), (3, 5, (96, 160)))  # photos, prompts, input size


class _Encode(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features: tuple[Tensor, ...] = self.model.encode_image(images)
        return features


class _Decode(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, embeddings: Tensor, *features: Tensor) -> tuple[Tensor, Tensor]:
        out: tuple[Tensor, Tensor] = self.model.decode(features, embeddings)
        return out


def export_graphs(model: nn.Module, encoder_path: Path, decoder_path: Path, embedding_width: int) -> float:
    """Write both graphs of a model.

    Returns:
        The largest difference between ONNX Runtime and torch relative to the outputs' range, over two batch
        sizes, after the weights were rounded.

    Raises:
        ModelError: A graph differs from torch by more than `TOLERANCE`, or `HALF_TOLERANCE` once rounded.
    """
    model = model.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    images = torch.randn(2, 3, 96, 64)
    embeddings = torch.randn(2, 3, embedding_width)
    with torch.no_grad():
        features = tuple(f.clone() for f in _Encode(model)(images))
    names = [f"features_{index}" for index in range(len(features))]
    _export(_Encode(model), (images,), encoder_path, ["images"], names, {"images": {0: "B", 2: "H", 3: "W"}})
    axes = {name: {0: "B", 2: f"h{i}", 3: f"w{i}"} for i, name in enumerate(names)}
    axes["embeddings"] = {0: "B", 1: "P"}
    _export(
        _Decode(model),
        (embeddings, *features),
        decoder_path,
        ["embeddings", *names],
        ["logits", "presence"],
        axes,
    )
    _compare(model, encoder_path, decoder_path, embedding_width, TOLERANCE)
    for path in (encoder_path, decoder_path):
        store_half(path)
    return _compare(model, encoder_path, decoder_path, embedding_width, HALF_TOLERANCE)


def _compare(model: nn.Module, encoder: Path, decoder: Path, width: int, tolerance: float) -> float:
    worst = max(_difference(model, encoder, decoder, width, *trial) for trial in _TRIALS)
    if not worst <= tolerance:
        raise ModelError(f"{encoder.parent}: ONNX differs from torch by {worst:.2g}; the export is not kept")
    return worst


def _export(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    path: Path,
    names: list[str],
    outputs: list[str],
    axes: dict[str, dict[int, str]],
) -> None:
    axes = axes | {name: {0: "B"} for name in outputs if name not in axes}
    if "logits" in outputs:
        axes |= {"logits": {0: "B", 1: "P", 2: "h", 3: "w"}, "presence": {0: "B", 1: "P"}}
    else:
        axes |= {name: {0: "B", 2: f"h{i}", 3: f"w{i}"} for i, name in enumerate(outputs)}
    torch.onnx.export(
        module.eval(),
        inputs,
        str(path),
        input_names=names,
        output_names=outputs,
        dynamic_axes=axes,
        opset_version=OPSET,
        dynamo=False,
    )


def store_half(path: Path) -> None:
    """Store a graph's float32 weights as float16 with a cast, where they are large."""
    graph_model = onnx.load(str(path))
    graph = graph_model.graph
    casts = []
    for initializer in list(graph.initializer):
        if initializer.data_type != TensorProto.FLOAT or np.prod(initializer.dims) < 64:
            continue
        values = numpy_helper.to_array(initializer)
        name = initializer.name
        initializer.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(
            helper.make_node("Cast", [f"{name}.half"], [name], name=f"{name}.cast", to=TensorProto.FLOAT)
        )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(graph_model)
    onnx.save(graph_model, str(path))


def _difference(
    model: Any, encoder: Path, decoder: Path, width: int, photos: int, prompts: int, size: tuple[int, int]
) -> float:
    import onnxruntime

    images, embeddings = torch.randn(photos, 3, *size), torch.randn(photos, prompts, width)
    with torch.no_grad():
        expected = model.decode(model.encode_image(images), embeddings)
    run = onnxruntime.InferenceSession(str(encoder), providers=["CPUExecutionProvider"]).run
    features = run(None, {"images": images.numpy()})
    inputs = {f"features_{index}": part for index, part in enumerate(features)}
    session = onnxruntime.InferenceSession(str(decoder), providers=["CPUExecutionProvider"])
    got = session.run(None, inputs | {"embeddings": embeddings.numpy()})
    worst = 0.0
    for mine, theirs in zip(got, expected, strict=True):
        reference = theirs.numpy()
        worst = max(worst, float(np.abs(mine - reference).max() / max(1.0, np.abs(reference).max())))
    return worst
