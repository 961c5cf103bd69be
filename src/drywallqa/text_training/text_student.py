"""Defines the student, which is a small transformer that encodes texts, and exports it to ONNX."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from drywallqa.errors import ModelError
from drywallqa.onnx_session import open_session
from drywallqa.text.text_encoder import LONGEST

WIDTH, HEADS, LAYERS = 128, 4, 2
TOLERANCE = 0.01  # largest accepted difference between embeddings in PyTorch and ONNX Runtime


class TextStudent(nn.Module):
    """Maps token ids [P,T], which are padded with 0, to embeddings [P,D] and features [P,256].

    Args:
        pieces: Number of pieces in the vocabulary.
        mean: Mean [S] of the text space, where S is the width of the teacher's sentence embeddings.
        components: Axes [D,S] of the text space.
    """

    mean: torch.Tensor
    components: torch.Tensor

    def __init__(self, pieces: int, mean: torch.Tensor, components: torch.Tensor) -> None:
        super().__init__()
        self.table = nn.Embedding(pieces, WIDTH, padding_idx=0)
        self.positions = nn.Parameter(torch.randn(LONGEST, WIDTH) * 0.02)
        self.layers = nn.ModuleList(TextLayer() for _ in range(LAYERS))
        self.last = nn.LayerNorm(2 * WIDTH)
        self.to_sentence = nn.Linear(2 * WIDTH, len(mean))
        self.register_buffer("mean", mean)
        self.register_buffer("components", components)

    def features(self, pieces: torch.Tensor) -> torch.Tensor:
        """Compute features [P,256] from ids [P,T] with mean and maximum pooling over the tokens."""
        kept = (pieces != 0)[..., None].to(self.positions.dtype)
        state = self.table(pieces) + self.positions[: pieces.shape[1]]
        bias = (1.0 - kept.transpose(1, 2)[:, None]) * -1e4
        for layer in self.layers:
            state = layer(state, bias)
        count = kept.sum(1).clamp(min=1.0)
        pooled = [(state * kept).sum(1) / count, (state * kept - (1.0 - kept) * 1e4).amax(1)]
        return self.last(torch.cat(pooled, dim=-1))  # type: ignore[no-any-return]

    def project(self, sentence: torch.Tensor) -> torch.Tensor:
        """Project sentence embeddings [P,S] into the text space [P,D], L2-normalised."""
        return functional.normalize((sentence - self.mean) @ self.components.T, dim=-1)

    def forward(self, pieces: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute embeddings [P,D] and features [P,256] from token ids [P,T]."""
        features = self.features(pieces)
        return self.project(functional.normalize(self.to_sentence(features), dim=-1)), features


class TextLayer(nn.Module):
    """A transformer layer with self-attention, a feed-forward network, and normalisation before both."""

    def __init__(self) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(WIDTH)
        self.query_key_value = nn.Linear(WIDTH, 3 * WIDTH)
        self.mixed = nn.Linear(WIDTH, WIDTH)
        self.before_hidden = nn.LayerNorm(WIDTH)
        self.hidden = nn.Linear(WIDTH, 4 * WIDTH)
        self.out = nn.Linear(4 * WIDTH, WIDTH)
        self.dropout = nn.Dropout(0.1)

    def forward(self, state: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Transform hidden states [P,T,128]. The mask [P,1,1,T] is added to the attention scores."""
        shape = (state.shape[0], state.shape[1], 3, HEADS, WIDTH // HEADS)
        query, key, value = (
            self.query_key_value(self.before_attention(state)).reshape(shape).permute(2, 0, 3, 1, 4)
        )
        scores = query @ key.transpose(-1, -2) / math.sqrt(WIDTH // HEADS) + bias
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(state.shape)
        state = state + self.dropout(self.mixed(mixed))
        hidden = functional.gelu(self.hidden(self.before_hidden(state)))
        return state + self.dropout(self.out(hidden))  # type: ignore[no-any-return]


def start_table(student: TextStudent, teacher_table: NDArray[np.float32]) -> None:
    """Initialise the token embeddings from 128 principal components of the teacher's embeddings [V,384]."""
    centred = teacher_table - teacher_table.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    reduced = centred @ vectors[:, ::-1][:, :WIDTH]
    reduced *= 0.5 / reduced.std()
    reduced[0] = 0.0
    with torch.no_grad():
        student.table.weight.copy_(torch.from_numpy(np.ascontiguousarray(reduced, dtype=np.float32)))


def export_student(student: TextStudent, path: Path) -> float:
    """Export the student to ONNX with int8 token embeddings and fp16 weights, and compare it with PyTorch.

    Returns:
        The largest absolute difference between embedding values in ONNX Runtime and PyTorch.

    Raises:
        ModelError: The difference is larger than `TOLERANCE`, so the exported graph is wrong.
    """
    from torch.export import Dim

    student = student.eval()
    torch.onnx.export(
        student,
        (torch.randint(1, student.table.num_embeddings, (3, 7)),),
        str(path),
        input_names=["tokens"],
        output_names=["embeddings", "features"],
        dynamic_shapes={"pieces": {0: Dim("prompts"), 1: Dim("length", max=LONGEST)}},
        dynamo=True,
        external_data=False,
        opset_version=18,
        verbose=False,
    )
    _compress(path)
    session, worst = open_session(path), 0.0
    for shape in ((1, 3), (5, LONGEST)):
        ids = torch.randint(1, student.table.num_embeddings, shape)
        ids[0, shape[1] // 2 + 1 :] = 0
        with torch.no_grad():
            expected = student(ids)[0].numpy()
        embedding = session.run(["embeddings"], {"tokens": ids.numpy()})[0]
        worst = max(worst, float(np.abs(embedding - expected).max()))
    if worst > TOLERANCE:
        raise ModelError(
            f"{path}: embeddings of the exported text encoder differ from PyTorch by {worst:.3f}; "
            "train the text model again"
        )
    return worst


def _compress(path: Path) -> None:
    """Store the token embeddings as int8 with one scale per row, and other large arrays as fp16."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(path))
    graph = model.graph
    casts = []
    for initializer in list(graph.initializer):
        array, name = numpy_helper.to_array(initializer), initializer.name
        if array.dtype != np.float32 or array.size < 256:
            continue
        reader = next(node for node in graph.node if name in node.input)
        graph.initializer.remove(initializer)
        if reader.op_type == "Gather" and array.shape[0] > 4 * LONGEST:
            _quantise_rows(graph, reader, array)
        else:
            graph.initializer.append(numpy_helper.from_array(array.astype(np.float16), f"{name}_half"))
            casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    for node in casts:
        graph.node.insert(0, node)
    del graph.value_info[:]
    for node in graph.node:
        node.ClearField("metadata_props")  # torch stores source file paths there
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _quantise_rows(graph: Any, reader: Any, array: NDArray[np.float32]) -> None:
    """Replace a Gather node for fp32 rows with a Mul node of gathered int8 rows and gathered scales."""
    import onnx
    from onnx import helper, numpy_helper

    (name, ids), result = reader.input, reader.output[0]
    scale = (np.abs(array).max(axis=1, keepdims=True) / 127.0).clip(min=1e-8)
    rows = np.round(array / scale).astype(np.int8)
    for part, values in (("rows", rows), ("scales", scale.astype(np.float32))):
        graph.initializer.append(numpy_helper.from_array(values, f"{name}_{part}"))
    place = list(graph.node).index(reader)
    graph.node.remove(reader)
    nodes = [
        helper.make_node("Gather", [f"{name}_rows", ids], [f"{result}_int"]),
        helper.make_node("Cast", [f"{result}_int"], [f"{result}_float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Gather", [f"{name}_scales", ids], [f"{result}_scale"]),
        helper.make_node("Mul", [f"{result}_float", f"{result}_scale"], [result]),
    ]
    for offset, node in enumerate(nodes):
        graph.node.insert(place + offset, node)
