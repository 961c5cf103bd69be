"""Adds int8 graphs for ONNX Runtime, or OpenVINO files, to a bundle.

The outputs of each new format are compared with those of the original graphs on validation photos. A format
is kept only if the difference is small enough.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from drywallqa.backend import Float
from drywallqa.bundle.bundle import Bundle, load_bundle, save_head
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import ConfigError, DataError, MissingExtraError, ModelError
from drywallqa.evaluation.speed_cases import mean_iou_of
from drywallqa.exporting.export_run import new_bundle_folder, save_with_card
from drywallqa.inference.segmenter import Segmenter
from drywallqa.onnx_session import DECODER, IMAGE_ENCODER, RuntimeOptions, graph_name
from drywallqa.text.text_side import TextSide

INT8 = "int8"
FORMATS = ("onnx", "openvino")
PRECISIONS = ("fp32", "fp16", INT8)
TOLERANCES = {"fp32": 1e-3, "fp16": 2e-2, "int8": 5e-2}
"""Maximum mean difference from the original logits, relative to the range of the original logits."""

LARGEST_LOSS = 0.02
"""Maximum drop of a concept's mean validation IoU from fp32 to int8."""
_PHOTOS = 8  # number of photos for comparing OpenVINO with the original graphs
_CALIBRATED = 48  # number of photos for measuring activation ranges
_JUDGED = 60  # number of source photos per concept for comparing int8 with fp32


def check_form(form: str, precision: str) -> None:
    """Check that a format and precision are supported.

    Raises:
        ConfigError: The combination is not supported.
    """
    for name, value, known in (("format", form, FORMATS), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise ConfigError(f"the {name} is '{value}'; choose one of {', '.join(known)}")
    if (form, precision) == ("onnx", "fp16"):
        raise ConfigError("ONNX graphs support only fp32 and int8; for fp16, pass --format openvino")


def copy_bundle(source: Path, out: Path, overwrite: bool, text: TextSide | None, notes: str | None) -> Bundle:
    """Copy a bundle, and optionally replace the text encoder and the notes of the copy.

    Args:
        source: The bundle.
        out: The copy's folder, which may be the bundle's folder.
        overwrite: Whether to replace an existing folder.
        text: A new text encoder for the copy, as returned by `load_text_side`.
        notes: Remarks on the training data for the model card, in Markdown.

    Raises:
        BundleError: The source is not a bundle, or is damaged.
        OutputError: `out` exists and `overwrite` is false.
    """
    load_bundle(source).check()
    if source.resolve() != out.resolve():
        with new_bundle_folder(out, overwrite) as folder:
            shutil.copytree(source, folder, dirs_exist_ok=True)
    bundle = load_bundle(out)
    if text:
        text.save(out)
        bundle = save_head(bundle)
    return save_with_card(bundle, notes) if notes else bundle


def add_form(bundle: Bundle, dataset: Dataset, form: str, precision: str) -> Bundle:
    """Add a format to a bundle after comparing it with the original graphs on validation photos.

    Args:
        bundle: The bundle.
        dataset: The data set on which the bundle was trained.
        form: "onnx" or "openvino".
        precision: "fp32", "fp16" or "int8".

    Raises:
        DataError: The val split is empty.
        ModelError: The new graphs differ too much from the original graphs.
        MissingExtraError: OpenVINO is not installed.
    """
    if precision == INT8 and graph_name(IMAGE_ENCODER, precision) not in bundle.files:
        bundle = add_int8(bundle, dataset)
    if form == "onnx":
        return bundle
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("the format 'openvino'", "openvino") from error
    core = openvino.Core()
    with tempfile.TemporaryDirectory(dir=bundle.folder.parent, prefix=".openvino-") as place:
        paths = []
        for graph in (IMAGE_ENCODER, DECODER):
            model = core.read_model(str(bundle.checked(graph_name(graph, precision))))
            paths.append(Path(place) / graph.replace(".onnx", f".{precision}.xml"))
            openvino.save_model(model, str(paths[-1]), compress_to_fp16=precision == "fp16")
        worst = _difference(core, bundle, dataset, paths)
        print(
            f"OpenVINO in {precision}: logits differ from those of ONNX Runtime by {worst:.2g} of the range"
        )
        if not worst <= TOLERANCES[precision]:
            raise ModelError(
                f"{bundle.folder}: OpenVINO logits differ by {worst:.2g}; the OpenVINO files are not kept"
            )
        for path in sorted(Path(place).iterdir()):
            path.replace(bundle.folder / path.name)
    return save_head(bundle)


def _difference(core: Any, bundle: Bundle, dataset: Dataset, paths: list[Path]) -> float:
    """Return the mean difference of the logits from fp32, as a share of their range, for the worst photo."""
    photos = dataset.part("val").samples[:_PHOTOS]
    if not photos:
        raise DataError(f"{dataset.folder}: no photo in split 'val', which is needed to check the export")
    encoder, decoder = (
        core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}) for path in paths
    )
    backend = bundle.open_backend()
    embeddings = backend.encode_prompts(list(bundle.concepts))
    worst = 0.0
    for sample in photos:
        image = bundle.window.fit(dataset.read_photo(sample))[0][None]
        expected, _ = backend.decode(backend.encode_image(image), embeddings)
        features = {f"features_{i}": np.asarray(p) for i, p in enumerate(encoder({"images": image}).values())}
        found = np.asarray(decoder(features | {"embeddings": embeddings[None]})[0])
        worst = max(worst, float(np.abs(found - expected).mean() / np.ptp(expected)))
    return worst


def add_int8(bundle: Bundle, dataset: Dataset) -> Bundle:
    """Add int8 graphs to a bundle's folder, and print each step. The fp32 graphs stay in the bundle.

    Weights are quantised per channel. Activations are quantised per tensor, with ranges measured on
    validation photos (static quantisation; B. Jacob et al., CVPR 2018, https://arxiv.org/abs/1712.05877).

    Args:
        bundle: The bundle.
        dataset: The data set on which the bundle was trained. Its val split is used for calibration and
            evaluation.

    Returns:
        The bundle with the new graphs and the IoU in both precisions.

    Raises:
        DataError: The val split is empty.
        ModelError: The int8 graphs lose too much IoU, so they are not added.
    """
    validation = dataset.part("val")
    if not len(validation):
        raise DataError(f"{dataset.folder}: no photo in split 'val', which is needed to calibrate int8")
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
    """Yield the inputs of a graph for evenly spaced photos of the val split."""
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
        """Supplies calibration inputs one at a time."""

        def get_next(self) -> Mapping[str, Float] | None:
            """Return the next inputs; None at the end."""
            return next(inputs, None)

    # First fold batch norms and remove casts of weights, as the runtime does when it loads a graph.
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = 1  # the session only optimises the graph
    folded = folder / f"{graph}.folded"
    options.optimized_model_filepath = str(folded)
    onnxruntime.InferenceSession(str(folder / graph), options, providers=["CPUExecutionProvider"])
    model = onnx.load(str(folded))
    add_pre_process_metadata(model)  # without this metadata, quantisation warns about missing preprocessing
    quantize_static(
        model,
        str(folder / graph_name(graph, INT8)),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,  # 7-bit weights, because CPUs without VNNI sum pairs of products in 16 bits
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    folded.unlink()


def _judge(bundle: Bundle, quantised: Bundle, validation: Dataset) -> dict[str, dict[str, Any]]:
    """Measure the IoU of every concept in both precisions, and reject int8 if a concept loses too much."""
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
                f"{bundle.folder}: int8 loses {before - after:.3f} IoU on '{concept}', but at most "
                f"{LARGEST_LOSS:.3f} is allowed; the int8 graphs are not kept"
            )
    return figures
