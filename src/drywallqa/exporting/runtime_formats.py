"""Further forms of a bundle's graphs: other precisions, other runtimes' files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from drywallqa.bundle.bundle import Bundle, load_bundle, save_head
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import ConfigError, DataError, MissingExtraError, ModelError, OutputError
from drywallqa.onnx_session import DECODER, IMAGE_ENCODER, graph_name

FORMATS = ("onnx", "openvino")
PRECISIONS = ("fp32", "fp16", "int8")
TOLERANCES = {"fp32": 1e-3, "fp16": 2e-2, "int8": 5e-2}
"""Largest mean difference of logits from the source's, relative to their range."""

_PHOTOS = 8  # that a written graph is held against its source on
Report = Callable[[str], None]


def check_form(form: str, precision: str) -> None:
    """Make sure that a form can be written.

    Raises:
        ConfigError: It cannot.
    """
    if form not in FORMATS:
        raise ConfigError(f"the format is '{form}'; choose one of {', '.join(FORMATS)}")
    if precision not in PRECISIONS:
        raise ConfigError(f"the precision is '{precision}'; choose one of {', '.join(PRECISIONS)}")
    if (form, precision) == ("onnx", "fp16"):
        raise ConfigError("ONNX graphs are written in fp32 or int8; fp16 is for --format openvino")


def copy_bundle(source: Path, out: Path, overwrite: bool) -> Bundle:
    """Copy a bundle, so that forms can be added to the copy.

    Raises:
        BundleError: The source is no bundle, or damaged.
        OutputError: `out` exists.
    """
    bundle = load_bundle(source)
    bundle.check()
    if out.exists() and source.resolve() == out.resolve():
        return bundle
    if out.exists() and not overwrite:
        raise OutputError(f"{out}: exists already; give --overwrite to replace it")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as place:
        shutil.copytree(source, Path(place) / "bundle")
        if out.exists():
            shutil.rmtree(out)
        (Path(place) / "bundle").replace(out)
    return load_bundle(out)


def add_form(bundle: Bundle, dataset: Dataset, form: str, precision: str, report: Report = print) -> Bundle:
    """Add a form to a bundle; it is held against its source on validation photos before it is kept.

    Args:
        bundle: The bundle.
        dataset: Its data set.
        form: "onnx" or "openvino".
        precision: "fp32", "fp16" or "int8".
        report: Told each step.

    Raises:
        ConfigError: The form cannot be written.
        DataError: The val part is empty.
        ModelError: It differs too much from its source.
        MissingExtraError: OpenVINO is not installed.
    """
    check_form(form, precision)
    if precision == "int8" and graph_name(IMAGE_ENCODER, precision) not in bundle.files:
        from drywallqa.exporting.quantise import add_int8

        bundle = add_int8(bundle, dataset, report=report)
    if form == "onnx":
        return bundle
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("the format 'openvino'", "openvino") from error
    core = openvino.Core()
    with tempfile.TemporaryDirectory(dir=bundle.folder.parent, prefix=".openvino-") as place:
        for graph in (IMAGE_ENCODER, DECODER):
            model = core.read_model(str(bundle.checked(graph_name(graph, precision))))
            target = Path(place) / _openvino_name(graph, precision)
            openvino.save_model(model, str(target), compress_to_fp16=precision == "fp16")
        worst = _difference(core, bundle, dataset, Path(place), precision)
        report(f"OpenVINO in {precision}: logits differ from ONNX Runtime's by {worst:.2g} of their range")
        if not worst <= TOLERANCES[precision]:
            raise ModelError(f"{bundle.folder}: OpenVINO differs by {worst:.2g}; its files are not kept")
        for path in sorted(Path(place).iterdir()):
            path.replace(bundle.folder / path.name)
    return save_head(bundle)


def _openvino_name(graph: str, precision: str) -> str:
    return graph.replace(".onnx", f".{precision}.xml")


def _difference(core: Any, bundle: Bundle, dataset: Dataset, folder: Path, precision: str) -> float:
    """Mean difference of logits from the source's in fp32, relative to their range; the worst photo's."""
    photos = dataset.part("val").samples[:_PHOTOS]
    if not photos:
        raise DataError(f"{dataset.folder}: no photo in split 'val', which an export is held against")
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    encoder, decoder = (
        core.compile_model(str(folder / _openvino_name(graph, precision)), "CPU", settings)
        for graph in (IMAGE_ENCODER, DECODER)
    )
    backend = bundle.open_backend()
    embeddings = backend.encode_prompts(list(bundle.concepts))
    worst = 0.0
    for sample in photos:
        canvas = bundle.window.fit(dataset.read_photo(sample))[0][None]
        expected, _ = backend.decode(backend.encode_image(canvas), embeddings)
        features = [np.asarray(part) for part in encoder({"images": canvas}).values()]
        inputs = {f"features_{index}": part for index, part in enumerate(features)}
        found = np.asarray(decoder(inputs | {"embeddings": embeddings[None]})[0])
        worst = max(worst, float(np.abs(found - expected).mean() / np.ptp(expected)))
    return worst
