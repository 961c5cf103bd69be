"""Copies of the shipped bundle, and the tools to change their head, graphs and weights."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from safetensors.numpy import load_file, save_file

from drywallqa.bundle.bundle import DECODER, DEFAULT, HEAD, IMAGE_ENCODER, WEIGHTS
from planted.sets import link

TEXT_ENCODER, UNDERSTANDING = "text_encoder.onnx", "understanding.json"
WeightChange = Callable[[np.ndarray], np.ndarray]


def copy_bundle(folder: Path) -> Path:
    """Copy the shipped bundle so that its files can be replaced one by one."""
    target = folder / "bundle"
    shutil.copytree(DEFAULT, target, copy_function=link)
    # onnx reads no weights from a file with several links
    write(target / WEIGHTS, (DEFAULT / WEIGHTS).read_bytes())
    return target


def write(path: Path, content: bytes) -> None:
    """Replace a file; the one that may be linked elsewhere stays as it was."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def change_head(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change `bundle.json`."""
    head = json.loads((bundle / HEAD).read_text(encoding="utf-8"))
    change(head)
    write(bundle / HEAD, json.dumps(head, indent=1, ensure_ascii=False).encode())


def rehash(bundle: Path) -> None:
    """Bring the head's SHA-256 up to the files, as an export would have written them."""

    def change(head: dict[str, Any]) -> None:
        names = [name for name in head["files"] if (bundle / name).is_file()]
        head["files"] = {name: hashlib.sha256((bundle / name).read_bytes()).hexdigest() for name in names}

    change_head(bundle, change)


def change_graph(bundle: Path, name: str, change: Callable[[onnx.GraphProto], None]) -> None:
    """Change a graph, which afterwards holds its own weights, and rehash."""
    model = onnx.load(str(bundle / name), load_external_data=True)
    change(model.graph)
    write(bundle / name, model.SerializeToString())
    rehash(bundle)


def after_input(graph: onnx.GraphProto, name: str, *steps: tuple[str, np.ndarray]) -> None:
    """Put operations with a constant (operator, second operand) between a graph's input and its readers."""
    last = name
    made = []
    for number, (operator, operand) in enumerate(steps):
        constant, output = f"{name}_constant_{number}", f"{name}_changed_{number}"
        graph.initializer.append(numpy_helper.from_array(operand, constant))
        attributes = {"axis": 1} if operator == "Gather" else {}
        made.append(helper.make_node(operator, [last, constant], [output], **attributes))
        last = output
    for node in graph.node:
        for place, given in enumerate(node.input):
            if given == name:
                node.input[place] = last
    nodes = [*made, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def before_output(graph: onnx.GraphProto, name: str, *steps: tuple[str, np.ndarray | None]) -> None:
    """Put operations (operator, second operand or None) between a graph and one of its outputs."""
    source = next(node for node in graph.node if name in node.output)
    source.output[list(source.output).index(name)] = f"{name}_before_0"
    for number, (operator, operand) in enumerate(steps):
        inputs = [f"{name}_before_{number}"]
        if operand is not None:
            inputs.append(f"{name}_operand_{number}")
            graph.initializer.append(numpy_helper.from_array(operand, inputs[1]))
        output = name if number == len(steps) - 1 else f"{name}_before_{number + 1}"
        graph.node.append(helper.make_node(operator, inputs, [output]))


def change_weights(bundle: Path, names: Iterable[str], change: WeightChange) -> None:
    """Change weights by their torch names, in the graphs and in the file for fine-tuning alike.

    Raises:
        ValueError: A weight is in neither graph.
    """
    state = load_file(bundle / WEIGHTS)
    changed = {name: change(state[name].astype(np.float32)) for name in names}
    found: set[str] = set()
    for graph_name in (IMAGE_ENCODER, DECODER):
        change_graph(bundle, graph_name, lambda graph: found.update(_replace(graph, state, changed)))
    if missing := sorted(changed.keys() - found):
        raise ValueError(f"the graphs hold no {', '.join(missing)}")
    kept = {name: changed.get(name, value).astype(value.dtype) for name, value in state.items()}
    (bundle / WEIGHTS).unlink()
    save_file({name: np.asarray(value, order="C") for name, value in kept.items()}, bundle / WEIGHTS)
    rehash(bundle)


def _replace(
    graph: onnx.GraphProto, state: Mapping[str, np.ndarray], changed: Mapping[str, np.ndarray]
) -> set[str]:
    """Replace initializers that hold a weight, plain or transposed; exporters name them as they like."""
    found = set()
    for initializer in graph.initializer:
        value = numpy_helper.to_array(initializer)
        for name, new in changed.items():
            old = state[name].astype(np.float32)
            for before, after in ((old, new), (old.T, new.T)):
                if value.shape == before.shape and np.allclose(value, before, rtol=2e-3, atol=2e-4):
                    made = numpy_helper.from_array(
                        np.ascontiguousarray(after.astype(value.dtype)), initializer.name
                    )
                    initializer.CopyFrom(made)
                    found.add(name)
    return found


def prototypes(bundle: Path) -> dict[str, np.ndarray]:
    """The mean embedding [D] of each concept's phrasings."""
    stored = json.loads((bundle / UNDERSTANDING).read_text(encoding="utf-8"))
    return {name: np.asarray(row, np.float32) for name, row in stored["prototypes"].items()}


def change_understanding(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the classifier that says what a prompt means, and rehash."""
    stored = json.loads((bundle / UNDERSTANDING).read_text(encoding="utf-8"))
    change(stored)
    write(bundle / UNDERSTANDING, json.dumps(stored).encode())
    rehash(bundle)
