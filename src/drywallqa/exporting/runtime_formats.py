"""Further forms of a bundle's graphs: other precisions, other runtimes' files."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from drywallqa.bundle.bundle import Bundle, load_bundle, save_head
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import ConfigError, DataError, MissingExtraError, ModelError
from drywallqa.exporting.export_run import new_bundle_folder
from drywallqa.onnx_session import DECODER, IMAGE_ENCODER, graph_name

FORMATS = ("onnx", "openvino")
PRECISIONS = ("fp32", "fp16", "int8")
TOLERANCES = {"fp32": 1e-3, "fp16": 2e-2, "int8": 5e-2}
"""Largest mean difference of logits from the source's, relative to their range."""

_PHOTOS = 8  # on which a written graph is compared with its source


def check_form(form: str, precision: str) -> None:
    """Make sure that a form can be written.

    Raises:
        ConfigError: It cannot.
    """
    for name, value, known in (("format", form, FORMATS), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise ConfigError(f"the {name} is '{value}'; choose one of {', '.join(known)}")
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
    if source.resolve() == out.resolve():
        return bundle
    with new_bundle_folder(out, overwrite) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)
    return load_bundle(out)


def add_form(bundle: Bundle, dataset: Dataset, form: str, precision: str) -> Bundle:
    """Add a form to a bundle; it is compared with its source on validation photos before it is kept.

    Args:
        bundle: The bundle.
        dataset: Its data set.
        form: "onnx" or "openvino".
        precision: "fp32", "fp16" or "int8".

    Raises:
        DataError: The val part is empty.
        ModelError: It differs too much from its source.
        MissingExtraError: OpenVINO is not installed.
    """
    if precision == "int8" and graph_name(IMAGE_ENCODER, precision) not in bundle.files:
        from drywallqa.exporting.quantise import add_int8

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
        print(f"OpenVINO in {precision}: logits differ from ONNX Runtime's by {worst:.2g} of their range")
        if not worst <= TOLERANCES[precision]:
            raise ModelError(f"{bundle.folder}: OpenVINO differs by {worst:.2g}; its files are not kept")
        for path in sorted(Path(place).iterdir()):
            path.replace(bundle.folder / path.name)
    return save_head(bundle)


def _difference(core: Any, bundle: Bundle, dataset: Dataset, paths: list[Path]) -> float:
    """Mean difference of logits from the source's in fp32, relative to their range; the worst photo's."""
    photos = dataset.part("val").samples[:_PHOTOS]
    if not photos:
        raise DataError(f"{dataset.folder}: no photo in split 'val', which an export is compared on")
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    encoder, decoder = (core.compile_model(str(path), "CPU", settings) for path in paths)
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
