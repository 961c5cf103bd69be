"""A bundle's graphs in 8-bit integers, calibrated on validation photos and kept only if they do as well."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from drywallqa.backend import Float
from drywallqa.bundle.bundle import Bundle, save_head
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import DataError, ModelError
from drywallqa.evaluation.speed_cases import mean_iou_of
from drywallqa.inference.segmenter import Segmenter
from drywallqa.onnx_session import DECODER, IMAGE_ENCODER, RuntimeOptions, graph_name

INT8 = "int8"
LARGEST_LOSS = 0.02
"""Mean IoU on validation that any concept may lose."""
_CALIBRATED = 48  # photos that ranges of activations are taken from
_JUDGED = 60  # photographs of each concept that judge the graphs


def add_int8(bundle: Bundle, dataset: Dataset) -> Bundle:
    """Put int8 graphs into a bundle's folder, beside those of fp32; each step is printed.

    Weights are quantised for each channel, activations for each tensor by their range on validation photos
    (static quantisation; B. Jacob et al., CVPR 2018, https://arxiv.org/abs/1712.05877).

    Args:
        bundle: The bundle.
        dataset: Its data set; photos of the val part calibrate and judge.

    Returns:
        The bundle with its new files and figures.

    Raises:
        DataError: The val part is empty.
        ModelError: The int8 graphs lose too much; nothing is kept.
    """
    validation = dataset.part("val")
    if not len(validation):
        raise DataError(f"{dataset.folder}: no photo in split 'val', which calibrates int8")
    with tempfile.TemporaryDirectory(dir=bundle.folder.parent, prefix=".int8-") as place:
        trial = Path(place) / "bundle"
        shutil.copytree(bundle.folder, trial)
        for graph in (IMAGE_ENCODER, DECODER):
            print(f"calibrating {graph} on {min(_CALIBRATED, len(validation))} photos")
            _quantise(trial, graph, _inputs(bundle, validation, graph))
        quantised = save_head(dataclasses.replace(bundle, folder=trial))
        figures = _judge(bundle, quantised, validation)
        for graph in (IMAGE_ENCODER, DECODER):
            (trial / graph_name(graph, INT8)).replace(bundle.folder / graph_name(graph, INT8))
    metrics = {**bundle.metrics, "precisions": {**bundle.metrics.get("precisions", {}), **figures}}
    return save_head(dataclasses.replace(bundle, metrics=metrics))


def _inputs(bundle: Bundle, validation: Dataset, graph: str) -> Iterator[Mapping[str, Float]]:
    """Yield a graph's inputs for photos spread over the val part."""
    backend = bundle.open_backend()
    embeddings = backend.encode_prompts(list(bundle.concepts))[None]
    step = max(1, len(validation) // _CALIBRATED)
    for sample in validation.samples[::step][:_CALIBRATED]:
        image = bundle.window.fit(validation.read_photo(sample))[0][None]
        if graph == IMAGE_ENCODER:
            yield {"images": image}
        else:
            features = {f"features_{i}": part for i, part in enumerate(backend.encode_image(image))}
            yield features | {"embeddings": embeddings}


def _quantise(folder: Path, graph: str, inputs: Iterator[Mapping[str, Float]]) -> None:
    import onnx
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands inputs to the calibration one by one."""

        def get_next(self) -> Mapping[str, Float] | None:
            """Return the next inputs; None at the end."""
            return next(inputs, None)

    # Folds batch norms into convolutions and casts of weights away, so that what is quantised is what runs.
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = 1  # nothing is computed
    folded = folder / f"{graph}.folded"
    options.optimized_model_filepath = str(folded)
    onnxruntime.InferenceSession(str(folder / graph), options, providers=["CPUExecutionProvider"])
    model = onnx.load(str(folded))
    add_pre_process_metadata(model)  # else a warning asks for the folding that was done
    quantize_static(
        model,
        str(folder / graph_name(graph, INT8)),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,  # 7 bits of weights: processors without VNNI add pairs of products in 16 bits
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    folded.unlink()


def _judge(bundle: Bundle, quantised: Bundle, validation: Dataset) -> dict[str, dict[str, Any]]:
    """Measure both precisions on every concept; refuse an int8 that loses too much."""
    exact, rounded = Segmenter(bundle), Segmenter(quantised, RuntimeOptions(precision=INT8))
    figures: dict[str, dict[str, Any]] = {"fp32": {}, INT8: {}}
    for concept in bundle.concepts:
        before, after = (mean_iou_of(each, validation, concept, _JUDGED) for each in (exact, rounded))
        if np.isnan(before):
            continue
        print(f"{concept}: val IoU {before:.3f} in fp32, {after:.3f} in int8")
        figures["fp32"][concept], figures[INT8][concept] = before, after
        if not before - after <= LARGEST_LOSS:
            raise ModelError(
                f"{bundle.folder}: int8 costs {before - after:.3f} IoU on '{concept}', more than "
                f"{LARGEST_LOSS:.3f}; its graphs are not kept"
            )
    return figures
