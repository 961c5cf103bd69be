"""From a torch model of the contract to two ONNX graphs: photos to features, features to masks.

The graphs are apart because an export of both in one froze the batch size without a word; they are held
against torch at two batch sizes before they are kept. Weights lie in one safetensors file, which both graphs
refer to as external data and from which a model is fine-tuned; large ones in fp16, cast to fp32 when a
runtime loads them, which halves the file and costs nothing at run time. That rounding has a tolerance of its
own.

What would cost time at each start or each photo is done here, once. Norms whose statistics are fixed become
the convolutions' biases; others stay, and runtimes fold them in when they load. Padding goes into the
convolutions as well: for a pad of its own ONNX Runtime leaves its blocked layout of channels, which costs
more than the convolution behind it.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, external_data_helper, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from safetensors.torch import save_file
from torch import Tensor, nn

from drywallqa.bundle.bundle import WEIGHTS
from drywallqa.errors import ModelError
from drywallqa.models.efficientnet_lite import EfficientNetLite

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
    exported = onnx.load(str(path))
    fold_padding(exported.graph)
    fold_shifts(exported.graph)
    onnx.save(exported, str(path))


def fold_padding(graph: onnx.GraphProto) -> None:
    """Give zero padding of height and width to the convolution that follows it."""
    users = Counter(name for node in graph.node for name in node.input)
    users.update(output.name for output in graph.output)
    made = {node.output[0]: node for node in graph.node if node.op_type == "Pad"}
    folded = []
    for node in graph.node:
        pad = made.get(node.input[0]) if node.op_type == "Conv" and node.input else None
        if pad is None or users[pad.output[0]] > 1:
            continue
        by = _pads_of(graph, pad)
        attribute = next((a for a in node.attribute if a.name == "pads"), None)
        if by is None or attribute is None:
            continue
        attribute.ints[:] = [own + more for own, more in zip(attribute.ints, by, strict=True)]
        node.input[0] = pad.input[0]
        folded.append(pad)
    for pad in folded:
        graph.node.remove(pad)
    _drop_unused(graph)


def fold_shifts(graph: onnx.GraphProto) -> None:
    """Make norms that only add the biases of the convolutions before them."""
    users = Counter(name for node in graph.node for name in node.input)
    users.update(output.name for output in graph.output)
    made = {node.output[0]: node for node in graph.node if node.op_type == "Conv" and len(node.input) == 2}
    values = {i.name: i for i in graph.initializer}
    # equal vectors are exported once, and named again
    values |= {
        n.output[0]: values[n.input[0]]
        for n in graph.node
        if n.op_type == "Identity" and n.input[0] in values
    }
    folded = []
    for norm in graph.node:
        before = made.get(norm.input[0]) if norm.op_type == "BatchNormalization" else None
        if before is None or users[before.output[0]] > 1 or not values.keys() >= set(norm.input[1:]):
            continue
        scale, _, mean, variance = (numpy_helper.to_array(values[name]) for name in norm.input[1:])
        epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
        if np.all(scale == 1) and not np.any(mean) and np.allclose(variance + epsilon, 1, atol=1e-6):
            before.input.append(norm.input[2])
            before.output[0] = norm.output[0]
            folded.append(norm)
    for norm in folded:
        graph.node.remove(norm)
    _drop_unused(graph)


def _pads_of(graph: onnx.GraphProto, pad: onnx.NodeProto) -> list[int] | None:
    """Work out a node's padding of [N,C,H,W], top, left, bottom, right; None where it is another."""
    mode = next((a.s for a in pad.attribute if a.name == "mode"), b"constant")
    value = pad.input[2] if len(pad.input) > 2 else ""
    if mode != b"constant" or (value and np.any(_constant(graph, value))):
        return None
    before, after = np.reshape(_constant(graph, pad.input[1]), (2, -1)).tolist()
    if len(before) != 4 or any([*before[:2], *after[:2]]):
        return None
    return [int(n) for n in (*before[2:], *after[2:])]


def _constant(graph: onnx.GraphProto, name: str) -> Any:
    """Compute a value that depends on no input of the graph."""
    makers = {output: node for node in graph.node for output in node.output}
    needed: list[onnx.NodeProto] = []
    waiting = [name]
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and node not in needed:
            needed.append(node)
            waiting += [given for given in node.input if given]
    part = helper.make_graph(
        [
            *(node for node in graph.node if node in needed),
            helper.make_node("Identity", [name], ["constant"]),
        ],
        "constant",
        [],
        [helper.make_empty_tensor_value_info("constant")],
        [i for i in graph.initializer if i.name == name or any(i.name in node.input for node in needed)],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    computed: Any = ReferenceEvaluator(helper.make_model(part, opset_imports=opsets)).run(None, {})
    return computed[0]


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Remove nodes and initializers that nobody reads, from the end to the start."""
    wanted = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    read = [initializer for initializer in graph.initializer if initializer.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(read)


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
    with weights.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        head = json.loads(file.read(length))
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
        external_data_helper.set_external_data(initializer, weights.name, 8 + length + begin, end - begin)
        initializer.ClearField("raw_data")
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    path.write_bytes(graph_model.SerializeToString())
    onnx.checker.check_model(str(path))


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
