"""Exports a torch model to ONNX graphs that encode photos, decode masks and embed prompts.

Encoder and decoder are separate graphs, because a joint export silently fixes the batch size. The export is
kept only if both graphs agree with torch at two batch sizes. The weights are stored in one safetensors file.
The graphs refer to this file as external data, and fine-tuning starts from it. Matrices and kernels are
stored in fp16, which halves the file size. The runtime casts them to fp32 on loading, so inference is not
slower. Graphs with rounded weights are checked with a separate tolerance.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, external_data_helper, helper
from safetensors.torch import save_file
from torch import Tensor, nn

from drywallqa.bundle.bundle import PROMPT_ENCODER, WEIGHTS
from drywallqa.errors import ModelError
from drywallqa.exporting.onnx_folding import OPSET, fold_padding, fold_shifts
from drywallqa.files import safetensors_head
from drywallqa.models.efficientnet_lite import EfficientNetLite
from drywallqa.models.towers import ClipPrompted, pool_tokens
from drywallqa.onnx_session import open_session
from drywallqa.text.prompt_tower import TOKENIZER, PromptTower

TOLERANCE = 1e-4
"""Maximum relative difference between fp32 graphs and torch; see `relative_difference`."""
HALF_TOLERANCE = 2e-2
"""Maximum relative difference between torch and graphs whose weights are rounded to fp16."""
_TRIALS = ((1, 1, (64, 64)), (3, 5, (96, 160)))  # photos, prompts, input size
# prompts of different lengths, one of which exceeds the maximum length
_PROMPT_TRIALS = (
    ("crack",),
    ("segment joint/tape", "a", "Where do the two boards meet, and is it taped? " * 9),
)


class ModelPart(nn.Module):
    """A module that wraps one step of a model for tracing.

    Args:
        model: The model, which provides the names of the weights.
        step: The function to trace.
    """

    def __init__(self, model: nn.Module, step: Callable[..., Any]) -> None:
        super().__init__()
        self.model, self.step = model, step

    def forward(self, *inputs: Tensor) -> Any:
        """Run the step."""
        return self.step(*inputs)


def export_graphs(model: Any, encoder_path: Path, decoder_path: Path, embedding_width: int) -> float:
    """Write a model's encoder graph, decoder graph and weights to the same folder.

    The export merges the encoder's normalisation layers into its convolutions, which does not change the
    model's outputs.

    Returns:
        The largest relative difference between torch and the graphs with rounded weights.

    Raises:
        ModelError: A graph differs from torch by more than `TOLERANCE`, or `HALF_TOLERANCE` after rounding.
    """
    for part in model.modules():
        if isinstance(part, EfficientNetLite):
            part.absorb_norms()
    model = model.eval().to(memory_format=torch.contiguous_format)

    def decode(embeddings: Tensor, *features: Tensor) -> Any:
        return model.decode(features, embeddings)

    images = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        features = tuple(feature.clone() for feature in model.encode_image(images))
    names = [f"features_{index}" for index in range(len(features))]
    axes: dict[str, dict[int, str]] = {name: {0: "B", 2: f"h{i}", 3: f"w{i}"} for i, name in enumerate(names)}
    axes |= {"images": {0: "B", 2: "H", 3: "W"}, "embeddings": {0: "B", 1: "P"}}
    axes |= {"logits": {0: "B", 1: "P", 2: "h", 3: "w"}, "presence": {0: "B", 1: "P"}}
    trace(ModelPart(model, model.encode_image), (images,), encoder_path, ["images"], names, axes)
    inputs = torch.randn(2, 3, embedding_width), *features
    trace(
        ModelPart(model, decode), inputs, decoder_path, ["embeddings", *names], ["logits", "presence"], axes
    )
    paths = encoder_path, decoder_path
    for path in paths:
        exported = onnx.load(str(path))
        fold_padding(exported.graph)
        fold_shifts(exported.graph)
        onnx.save(exported, str(path))
    _compare(model, *paths, embedding_width, TOLERANCE)
    weights = encoder_path.parent / WEIGHTS
    save_file(
        # matrices and kernels in fp16, vectors (norms, biases) in fp32
        {
            name: (value.half() if value.is_floating_point() and value.dim() > 1 else value).contiguous()
            for name, value in model.state_dict().items()
        },
        weights,
    )
    for path in paths:
        refer_to_weights(path, weights)
    return _compare(model, *paths, embedding_width, HALF_TOLERANCE)


def trace(
    part: ModelPart,
    inputs: tuple[Tensor, ...],
    path: Path,
    names: Sequence[str],
    outputs: Sequence[str],
    axes: dict[str, dict[int, str]],
) -> None:
    """Export a model part as an ONNX graph.

    Args:
        part: The model part.
        inputs: Example inputs.
        path: The graph's file.
        names: Names of the inputs.
        outputs: Names of the outputs.
        axes: Name of an input or output → index and name of each dynamic dimension.
    """
    with warnings.catch_warnings():
        # ignore warnings that the tracer is deprecated and that it skips constant folding
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="Constant folding")
        torch.onnx.export(
            part.eval(),
            inputs,
            str(path),
            input_names=names,
            output_names=outputs,
            dynamic_axes={name: axes[name] for name in (*names, *outputs)},
            opset_version=OPSET,
            dynamo=False,
            # keep batch norms and parameter names, because initializers are found in the weights by name
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
        )


def refer_to_weights(path: Path, weights: Path) -> None:
    """Replace a graph's weights with references to a safetensors file in the same folder.

    Initializers that the file does not contain stay in the graph.
    """
    head = safetensors_head(weights)
    model = onnx.load(str(path))
    casts = []
    for initializer in model.graph.initializer:
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
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    path.write_bytes(model.SerializeToString())
    onnx.checker.check_model(str(path))


def relative_difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return the largest difference relative to the largest expected magnitude, or to 1 if 1 is larger."""
    return float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))


def _compare(model: Any, encoder: Path, decoder: Path, width: int, tolerance: float) -> float:
    """Compare both graphs with torch at two batch sizes, and return the largest relative difference."""
    worst = 0.0
    for photos, prompts, size in _TRIALS:
        images, embeddings = torch.randn(photos, 3, *size), torch.randn(photos, prompts, width)
        with torch.no_grad():
            expected = model.decode(model.encode_image(images), embeddings)
        features = open_session(encoder).run(None, {"images": images.numpy()})
        inputs = {f"features_{index}": part for index, part in enumerate(features)}
        found = open_session(decoder).run(None, inputs | {"embeddings": embeddings.numpy()})
        for mine, theirs in zip(found, expected, strict=True):
            worst = max(worst, relative_difference(mine, theirs.numpy()))
    if not worst <= tolerance:
        raise ModelError(f"{encoder.parent}: ONNX differs from torch by {worst:.2g}; the export is not kept")
    return worst


def export_prompts(model: ClipPrompted, folder: Path) -> float:
    """Write a model's tokenizer and text tower to a bundle folder that already contains the weights.

    Returns:
        The largest relative difference between torch and the graph with rounded weights.

    Raises:
        ModelError: The exported tokenizer and graph produce different embeddings from torch.
    """

    def embed(ids: Tensor) -> Tensor:
        tower, projection = model.text_parts()
        embeddings: Tensor = projection(pool_tokens(tower, ids))
        return embeddings

    model.save_text(folder)
    path = folder / PROMPT_ENCODER
    ids = (model.tokenize(["segment crack", "crack"]),)
    axes = {"ids": {0: "P", 1: "L"}, "embeddings": {0: "P"}}
    trace(ModelPart(model.eval(), embed), ids, path, ["ids"], ["embeddings"], axes)
    _compare_prompts(model, folder, TOLERANCE)
    refer_to_weights(path, folder / WEIGHTS)
    return _compare_prompts(model, folder, HALF_TOLERANCE)


def _compare_prompts(model: ClipPrompted, folder: Path, tolerance: float) -> float:
    """Compare the prompt embeddings of the bundle's tokenizer and graph with those of the torch model."""
    tower = PromptTower(folder / PROMPT_ENCODER, (folder / TOKENIZER).read_bytes())
    with torch.no_grad():
        worst = max(
            relative_difference(tower.embed(prompts), model.encode_prompts(prompts).numpy())
            for prompts in _PROMPT_TRIALS
        )
    if not worst <= tolerance:
        raise ModelError(
            f"{folder / PROMPT_ENCODER}: differs from torch by {worst:.2g}; the export is not kept"
        )
    return worst
