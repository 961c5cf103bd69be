"""A bundle's graphs in 8-bit integers, calibrated on validation photos and kept only if they do as well."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from drywallqa.backend import Backend, Float
from drywallqa.bundle.bundle import Bundle, save_head
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import DataError, ModelError
from drywallqa.evaluation.speed_cases import mean_iou_of
from drywallqa.inference.segmenter import Segmenter
from drywallqa.onnx_session import DECODER, IMAGE_ENCODER, RuntimeOptions, graph_name

INT8 = "int8"
LARGEST_LOSS = 0.02
"""Of mean IoU on validation, for any concept."""

_PHOTOS = 48  # that ranges of activations are taken from
Report = Callable[[str], None]


def add_int8(
    bundle: Bundle,
    dataset: Dataset,
    *,
    largest_loss: float = LARGEST_LOSS,
    most: int = 60,
    report: Report = print,
) -> Bundle:
    """Put int8 graphs into a bundle's folder, beside those of fp32.

    Weights are quantised for each channel, activations for each tensor by their range on validation photos
    (static quantisation; B. Jacob et al., CVPR 2018, https://arxiv.org/abs/1712.05877).

    Args:
        bundle: The bundle.
        dataset: Its data set; photos of the val part calibrate and judge.
        largest_loss: Mean IoU that a concept may lose.
        most: Photographs of each concept that judge.
        report: Told each step.

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
        quantised = dataclasses.replace(bundle, folder=trial)
        backend = bundle.open_backend()
        for graph, inputs in ((IMAGE_ENCODER, _canvases), (DECODER, _features)):
            report(f"calibrating {graph} on {min(_PHOTOS, len(validation))} photos")
            _quantise(trial, graph, inputs(bundle, backend, validation))
        quantised = save_head(quantised)
        figures = _judge(bundle, quantised, validation, most, largest_loss, report)
        for graph in (IMAGE_ENCODER, DECODER):
            (trial / graph_name(graph, INT8)).replace(bundle.folder / graph_name(graph, INT8))
    metrics = {**bundle.metrics, "precisions": {**bundle.metrics.get("precisions", {}), **figures}}
    return save_head(dataclasses.replace(bundle, metrics=metrics))


def _samples(bundle: Bundle, validation: Dataset) -> Iterator[Float]:
    """Yield canvases [1,3,h,w] of photos spread over the val part."""
    step = max(1, len(validation) // _PHOTOS)
    for sample in validation.samples[::step][:_PHOTOS]:
        yield bundle.window.fit(validation.read_photo(sample))[0][None]


def _canvases(bundle: Bundle, backend: Backend, validation: Dataset) -> Iterator[Mapping[str, Float]]:
    for canvas in _samples(bundle, validation):
        yield {"images": canvas}


def _features(bundle: Bundle, backend: Backend, validation: Dataset) -> Iterator[Mapping[str, Float]]:
    embeddings = backend.encode_prompts(list(bundle.concepts))[None]
    for canvas in _samples(bundle, validation):
        features = backend.encode_image(canvas)
        yield {f"features_{index}": part for index, part in enumerate(features)} | {"embeddings": embeddings}


class _Reader:
    """Hands inputs to the calibration one by one."""

    def __init__(self, inputs: Iterator[Mapping[str, Float]]) -> None:
        self._inputs = inputs

    def get_next(self) -> Mapping[str, Float] | None:
        return next(self._inputs, None)


def _quantise(folder: Path, graph: str, inputs: Iterator[Mapping[str, Float]]) -> None:
    import onnx
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    # Folds batch norms into convolutions and casts of weights away, so that what is quantised is what runs.
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = 1  # nothing is computed
    folded = folder / f"{graph}.folded"
    options.optimized_model_filepath = str(folded)
    onnxruntime.InferenceSession(str(folder / graph), options, providers=["CPUExecutionProvider"])
    CalibrationDataReader.register(_Reader)
    model = onnx.load(str(folded))
    add_pre_process_metadata(model)  # else a warning asks for the folding that was done
    quantize_static(
        model,
        str(folder / graph_name(graph, INT8)),
        _Reader(inputs),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,  # 7 bits of weights: processors without VNNI add pairs of products in 16 bits
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    folded.unlink()


def _judge(
    bundle: Bundle,
    quantised: Bundle,
    validation: Dataset,
    most: int,
    largest_loss: float,
    report: Report,
) -> dict[str, dict[str, Any]]:
    exact, rounded = Segmenter(bundle), Segmenter(quantised, RuntimeOptions(precision=INT8))
    figures: dict[str, dict[str, Any]] = {"fp32": {}, INT8: {}}
    for concept in bundle.concepts:
        before, after = (mean_iou_of(each, validation, concept, most) for each in (exact, rounded))
        if np.isnan(before):
            continue
        report(f"{concept}: val IoU {before:.3f} in fp32, {after:.3f} in int8")
        figures["fp32"][concept], figures[INT8][concept] = before, after
        if not before - after <= largest_loss:
            raise ModelError(
                f"{bundle.folder}: int8 costs {before - after:.3f} IoU on '{concept}', more than "
                f"{largest_loss:.3f}; its graphs are not kept"
            )
    return figures
