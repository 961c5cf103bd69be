"""Graphs as runtimes want them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn

from drywallqa.exporting.onnx_export import export_graphs
from drywallqa.exporting.onnx_folding import fold_padding, fold_shifts
from drywallqa.models.lite_models import CompactModel

FLOAT = onnx.TensorProto.FLOAT


def padded(
    pads: list[int], value: float = 0.0, mode: str = "constant", shared: bool = False
) -> onnx.ModelProto:
    """A pad and the convolution behind it; where shared, the padded photo is an output as well."""
    nodes = [
        helper.make_node("Pad", ["x", "pads", "value"], ["p"], mode=mode),
        helper.make_node("Conv", ["p", "w"], ["y"], pads=[0, 1, 0, 0], strides=[2, 2], kernel_shape=[3, 3]),
    ]
    outputs = [helper.make_tensor_value_info(n, FLOAT, None) for n in (["y", "p"] if shared else ["y"])]
    values = {
        "pads": np.array(pads, np.int64),
        "value": np.float32(value),
        "w": np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3),
    }
    graph = helper.make_graph(
        nodes,
        "padded",
        [helper.make_tensor_value_info("x", FLOAT, None)],
        outputs,
        [numpy_helper.from_array(np.asarray(v), name) for name, v in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_padding__of_zeros_goes_into_the_convolution_and_changes_nothing() -> None:
    model = padded([0, 0, 0, 1, 0, 0, 1, 2])
    photo = np.random.default_rng(0).random((1, 1, 8, 8)).astype(np.float32)
    (before,) = ReferenceEvaluator(model).run(None, {"x": photo})
    fold_padding(model.graph)
    (after,) = ReferenceEvaluator(model).run(None, {"x": photo})
    assert kinds(model) == ["Conv"]
    assert np.array_equal(before, after)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(padded([0, 0, 1, 1, 0, 0, 1, 1], value=1.0), id="other than zeros"),
        pytest.param(padded([0, 0, 1, 1, 0, 0, 1, 1], mode="reflect"), id="mirrored"),
        pytest.param(padded([0, 1, 0, 0, 0, 0, 1, 1]), id="of channels"),
        pytest.param(padded([0, 0, 1, 1, 0, 0, 1, 1], shared=True), id="wanted elsewhere"),
    ],
)
def test_padding__that_a_convolution_cannot_do_stays(model: onnx.ModelProto) -> None:
    fold_padding(model.graph)
    assert kinds(model) == ["Pad", "Conv"]


def test_export__leaves_no_padding_of_its_own(tmp_path: Path) -> None:
    encoder, decoder = tmp_path / "image_encoder.onnx", tmp_path / "decoder.onnx"
    model = CompactModel("lite0", 16, 8)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            nn.init.uniform_(part.running_mean, 0.1, 0.2)
    export_graphs(model, encoder, decoder, 8)
    encoding = kinds(onnx.load(str(encoder), load_external_data=False))
    assert "Pad" not in encoding
    assert encoding.count("BatchNormalization") == 8  # the neck's, which are trained


@pytest.mark.parametrize(("scale", "kept"), [(1.0, False), (0.5, True)])
def test_norm__that_only_adds_becomes_a_bias(scale: float, kept: bool) -> None:
    model = padded([0] * 8)
    conv = model.graph.node[1]
    conv.output[0] = "c"
    given = {"scale": scale, "shift": 0.25, "mean": 0.0, "variance": 1 - 1e-3}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array([v], np.float32), name) for name, v in given.items()
    )
    model.graph.node.append(helper.make_node("BatchNormalization", ["c", *given], ["y"], epsilon=1e-3))
    photo = np.random.default_rng(0).random((1, 1, 8, 8)).astype(np.float32)
    (before,) = ReferenceEvaluator(model).run(None, {"x": photo})
    fold_shifts(model.graph)
    (after,) = ReferenceEvaluator(model).run(None, {"x": photo})
    assert ("BatchNormalization" in kinds(model)) is kept
    assert np.allclose(before, after, atol=1e-5)
