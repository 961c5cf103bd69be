"""From a torch model of the contract to two ONNX graphs: photos to features, features to masks.

The graphs are apart because an export of both in one froze the batch size without a word; they are held
against torch at two batch sizes before they are kept. Weights lie in one safetensors file, which both graphs
refer to as external data and from which a model is fine-tuned; large ones in fp16, cast to fp32 when a
runtime loads them, which halves the file and costs nothing at run time. That rounding has a tolerance of its
own.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, external_data_helper, helper
from safetensors.torch import save_file
from torch import Tensor, nn

from drywallqa.bundle.bundle import WEIGHTS
from drywallqa.errors import ModelError
from drywallqa.exporting.onnx_folding import OPSET, fold_padding, fold_shifts
from drywallqa.files import safetensors_head
from drywallqa.models.efficientnet_lite import EfficientNetLite
from drywallqa.onnx_session import open_session

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
    """Write both graphs of a model, and beside them the weights that they refer to.

    The model stays the same function, its encoder's norms having been absorbed.

    Returns:
        The largest difference between ONNX Runtime and torch relative to the outputs' range, over two batch
        sizes, after the weights were rounded.

    Raises:
        ModelError: A graph differs from torch by more than `TOLERANCE`, or `HALF_TOLERANCE` once rounded.
    """
    for part in model.modules():
        if isinstance(part, EfficientNetLite):
            part.absorb_norms()
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
    weights = encoder_path.parent / WEIGHTS
    save_weights(model, weights)
    for path in (encoder_path, decoder_path):
        refer_to_weights(path, weights)
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
    trace(module, inputs, path, names, outputs, axes)
    exported = onnx.load(str(path))
    fold_padding(exported.graph)
    fold_shifts(exported.graph)
    onnx.save(exported, str(path))


def trace(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    path: Path,
    names: list[str],
    outputs: list[str],
    axes: dict[str, dict[int, str]],
) -> None:
    """Write a module's graph: `axes` names the free dimensions of its inputs and outputs."""
    with warnings.catch_warnings():
        # of the tracer itself: that it will go one day, and that it leaves some folding to the runtime
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="Constant folding")
        torch.onnx.export(
            module.eval(),
            inputs,
            str(path),
            input_names=names,
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
            # keeps batch norms and the parameters' names, which tie initializers to the weights' file
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
        )


def save_weights(model: nn.Module, path: Path) -> None:
    """Write a model's state as safetensors: matrices and kernels in fp16, vectors (norms, biases) in fp32."""
    save_file(
        {
            name: (value.half() if value.is_floating_point() and value.dim() > 1 else value).contiguous()
            for name, value in model.state_dict().items()
        },
        path,
    )


def refer_to_weights(path: Path, weights: Path) -> None:
    """Make a graph take its initializers from a safetensors file in the same folder, by their names.

    Those that are no part of the model's state stay in the graph. The layout of the file is that of
    https://github.com/huggingface/safetensors: eight bytes of length, a JSON head, then the tensors.
    """
    head = safetensors_head(weights)
    graph_model = onnx.load(str(path))
    graph = graph_model.graph
    casts = []
    for initializer in graph.initializer:
        name = initializer.name
        entry = head.get(name.removeprefix("model."))
        if entry is None:
            continue
        if entry["dtype"] == "F16":
            casts.append(
                helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.cast", to=TensorProto.FLOAT)
            )
            initializer.name, initializer.data_type = f"{name}.half", TensorProto.FLOAT16
        begin, end = entry["data_offsets"]
        external_data_helper.set_external_data(initializer, weights.name, begin, end - begin)
        initializer.ClearField("raw_data")
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    path.write_bytes(graph_model.SerializeToString())
    onnx.checker.check_model(str(path))


def _difference(
    model: Any, encoder: Path, decoder: Path, width: int, photos: int, prompts: int, size: tuple[int, int]
) -> float:
    images, embeddings = torch.randn(photos, 3, *size), torch.randn(photos, prompts, width)
    with torch.no_grad():
        expected = model.decode(model.encode_image(images), embeddings)
    run = open_session(encoder).run
    features = run(None, {"images": images.numpy()})
    inputs = {f"features_{index}": part for index, part in enumerate(features)}
    session = open_session(decoder)
    got = session.run(None, inputs | {"embeddings": embeddings.numpy()})
    worst = 0.0
    for mine, theirs in zip(got, expected, strict=True):
        reference = theirs.numpy()
        worst = max(worst, float(np.abs(mine - reference).max() / max(1.0, np.abs(reference).max())))
    return worst
