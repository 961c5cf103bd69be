"""What would cost time at each start or each photo, done once in an exported graph.

Norms whose statistics are fixed become the convolutions' biases; others stay, and runtimes fold them in when
they load. Padding goes into the convolutions as well: for a pad of its own ONNX Runtime leaves its blocked
layout of channels, which costs more than the convolution behind it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

OPSET = 18


def fold_padding(graph: onnx.GraphProto) -> None:
    """Give zero padding of height and width to the convolution that follows it."""
    users = _users(graph)
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
    users = _users(graph)
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


def _users(graph: onnx.GraphProto) -> Counter[str]:
    """Count how often each value is read, by nodes or as an output."""
    users = Counter(name for node in graph.node for name in node.input)
    users.update(output.name for output in graph.output)
    return users


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
