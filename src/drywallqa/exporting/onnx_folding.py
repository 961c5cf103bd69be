"""Simplifies ONNX graphs so that they load faster and process photos faster.

Norms that only add a constant become biases of the preceding convolutions. The runtime folds all other norms
when it loads the graph. Padding is merged into the following convolution, because a separate Pad node makes
ONNX Runtime leave its blocked channel layout. This change of layout takes more time than the convolution.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

OPSET = 18


def fold_padding(graph: onnx.GraphProto) -> None:
    """Merge zero padding of height and width into the following convolution."""
    users = _users(graph)
    made = {node.output[0]: node for node in graph.node if node.op_type == "Pad"}
    folded = []
    for node in graph.node:
        pad = made.get(node.input[0]) if node.op_type == "Conv" else None
        if pad is None or users[pad.output[0]] > 1:
            continue
        added = _zero_pads(graph, pad)
        attribute = next((a for a in node.attribute if a.name == "pads"), None)
        if added is None or attribute is None:
            continue
        attribute.ints[:] = [own + more for own, more in zip(attribute.ints, added, strict=True)]
        node.input[0] = pad.input[0]
        folded.append(pad)
    _remove(graph, folded)


def fold_shifts(graph: onnx.GraphProto) -> None:
    """Convert norms that only add a constant to biases of the preceding convolutions."""
    users = _users(graph)
    made = {node.output[0]: node for node in graph.node if node.op_type == "Conv" and len(node.input) == 2}
    values = {i.name: i for i in graph.initializer}
    # The export stores equal vectors once and shares them through Identity nodes.
    again = [n for n in graph.node if n.op_type == "Identity" and n.input[0] in values]
    values |= {n.output[0]: values[n.input[0]] for n in again}
    folded = []
    for norm in graph.node:
        conv = made.get(norm.input[0]) if norm.op_type == "BatchNormalization" else None
        if conv is None or users[conv.output[0]] > 1 or not values.keys() >= set(norm.input[1:]):
            continue
        scale, _, mean, variance = (numpy_helper.to_array(values[name]) for name in norm.input[1:])
        epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
        if np.all(scale == 1) and not np.any(mean) and np.allclose(variance + epsilon, 1, atol=1e-6):
            conv.input.append(norm.input[2])
            conv.output[0] = norm.output[0]
            folded.append(norm)
    _remove(graph, folded)


def _users(graph: onnx.GraphProto) -> Counter[str]:
    """Count how often each value is used as a node's input or as a graph output."""
    users = Counter(name for node in graph.node for name in node.input)
    users.update(output.name for output in graph.output)
    return users


def _zero_pads(graph: onnx.GraphProto, pad: onnx.NodeProto) -> list[int] | None:
    """Return a Pad node's zero padding [top, left, bottom, right] of H and W, or None for other padding."""
    mode = next((a.s for a in pad.attribute if a.name == "mode"), b"constant")
    value = pad.input[2] if len(pad.input) > 2 else ""
    if mode != b"constant" or (value and np.any(_constant(graph, value))):
        return None
    pads = [int(n) for n in _constant(graph, pad.input[1])]
    if len(pads) != 8 or any((*pads[:2], *pads[4:6])):
        return None
    return [*pads[2:4], *pads[6:]]


def _constant(graph: onnx.GraphProto, name: str) -> Any:
    """Compute a value that does not depend on the graph's inputs."""
    for initializer in graph.initializer:
        if initializer.name == name:
            return numpy_helper.to_array(initializer)
    node = next(node for node in graph.node if name in node.output)
    inputs = {given: _constant(graph, given) for given in node.input if given}
    computed: Any = ReferenceEvaluator(node).run([name], inputs)
    return computed[0]


def _remove(graph: onnx.GraphProto, folded: Iterable[onnx.NodeProto]) -> None:
    """Remove folded nodes, and then the nodes and initializers that no output depends on."""
    for node in folded:
        graph.node.remove(node)
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
