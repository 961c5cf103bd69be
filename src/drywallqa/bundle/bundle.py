"""Bundles: folders with a trained model and everything that is needed to run, evaluate and fine-tune it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from drywallqa.backend import Backend
from drywallqa.background import BackgroundCall
from drywallqa.bundle.backends import GraphBackend, open_graph
from drywallqa.errors import BackendError, BundleError
from drywallqa.files import file_digest, json_bytes, write_whole
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.onnx_session import DECODER as DECODER
from drywallqa.onnx_session import DEFAULT as DEFAULT
from drywallqa.onnx_session import FAST as FAST
from drywallqa.onnx_session import IMAGE_ENCODER as IMAGE_ENCODER
from drywallqa.onnx_session import RuntimeOptions, graph_name
from drywallqa.text.phrase_bank import phrases_of, some_phrases
from drywallqa.text.text_side import TextSide

FORMAT_VERSION = 1
HEAD = "bundle.json"
WEIGHTS = "model.safetensors"
PROMPT_ENCODER = "prompt_encoder.onnx"
CARD = "MODEL_CARD.md"
FAILURES = "failures.jpg"
_EXAMPLES = 20
_FAST_SIDE = 5 / 7  # side of the fast profile's window relative to the full window; halves the area


@dataclass(frozen=True)
class ConceptSettings:
    """Segmentation settings for a concept, usually chosen on the validation split.

    The defaults apply if there is no validation split.

    Attributes:
        phrasings: Examples of prompts for the concept.
        threshold: Probability above which a pixel belongs to the mask.
        presence_threshold: Minimum presence probability. If the presence is lower, the mask is empty.
        scale: Longer side in px of the photos used for training and for choosing the thresholds. 0 if
            unknown.
        native: Whether the concept is too thin to be found on a downscaled large photo. If true, the model
            also searches large photos at full resolution.
        refine: The default refinement, as text that `Refinement.parse` reads.
        closer: Mask threshold and presence threshold for large photos, which the model also searches in
            tiles. If None, `threshold` and `presence_threshold` apply to these photos.
        straight: Whether the concept consists of long straight lines, as joints between boards do.
    """

    phrasings: tuple[str, ...] = ()
    threshold: float = 0.5
    presence_threshold: float = 0.5
    scale: int = 0
    native: bool = False
    refine: str = "none"
    closer: tuple[float, float] | None = None
    straight: bool = False


@dataclass(frozen=True)
class Bundle:
    """The contents of `bundle.json`. The graphs and the text model are read on first use.

    Attributes:
        folder: The bundle's folder.
        name: Name of the model family.
        version: Version of the model.
        window: The letterbox that fits photos to the model's input.
        concepts: Concept → settings.
        vocabulary: "closed" or "open".
        architecture: Options with which the model was built.
        training_hashes: Perceptual hashes of the training photos.
        metrics: Metrics that were measured with this bundle.
        licences: Licences of the code, the weights and the training data.
        files: File name → SHA-256.
    """

    folder: Path
    name: str
    version: str
    window: Letterbox
    concepts: Mapping[str, ConceptSettings]
    vocabulary: str = "closed"
    architecture: Mapping[str, Any] = field(default_factory=dict)
    training_hashes: tuple[int, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    licences: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def text(self) -> TextSide:
        """The text model. If the bundle contains a text tower, the tower embeds the prompts."""
        if PROMPT_ENCODER not in self.files:
            return TextSide.load(self.folder)
        from drywallqa.text.prompt_tower import TOKENIZER, PromptTower

        tower = PromptTower(self.checked(PROMPT_ENCODER), self.read(TOKENIZER))
        return TextSide.load(self.folder, tower.embed)

    def open_backend(self, options: RuntimeOptions | None = None) -> Backend:
        """Open the graphs in a runtime. If the options do not set a precision, the fp32 graphs are opened.

        Raises:
            BackendError: The runtime is unknown, not installed, or does not support the options.
            BundleError: A model file is missing, or its SHA-256 is wrong.
        """
        options = options or RuntimeOptions()
        precision = options.precision or "fp32"
        if options.backend == "torch":
            raise BackendError(
                "the backend 'torch' works only with drywallqa.load and `segment`; choose another backend"
            )
        encoder, decoder = (graph_name(graph, precision) for graph in (IMAGE_ENCODER, DECODER))
        if encoder not in self.files and precision == "int8":
            raise BackendError(
                "this bundle has no int8 graphs; create them with: "
                "drywallqa export BUNDLE --precision int8 --data DIR --out NEW"
            )
        # The encoder is by far the largest graph. A background thread opens it while this thread verifies the
        # files and opens the decoder. Inference starts only after all SHA-256 values are verified.
        opening = BackgroundCall(lambda: open_graph(self.folder / encoder, options, precision))
        for graph in (encoder, decoder):
            self.checked(graph)
        text, opened = self.text, open_graph(self.folder / decoder, options, precision)
        return GraphBackend(text, opening.result(), opened)

    def read(self, name: str) -> bytes:
        """Verify the SHA-256 of a file in the bundle and read the file.

        Raises:
            BundleError: The file is missing, or its SHA-256 is wrong.
        """
        self._verify(name)
        return (self.folder / name).read_bytes()

    def checked(self, name: str) -> Path:
        """Verify the SHA-256 of a graph file and of the weights file, and return the graph's path.

        Raises:
            BundleError: A file is missing, or its SHA-256 is wrong.
        """
        self._verify(name)
        _ = self._weights_verified
        return self.folder / name

    @cached_property
    def _weights_verified(self) -> None:
        """Verify the SHA-256 of the weights file, if any. This cached property reads the file only once."""
        if WEIGHTS in self.files:
            self._verify(WEIGHTS)

    def check(self) -> None:
        """Verify the SHA-256 of every file in the bundle.

        Raises:
            BundleError: A file is missing, or its SHA-256 is wrong.
        """
        for name in self.files:
            self._verify(name)

    def _verify(self, name: str) -> None:
        path = self.folder / name
        try:
            found = file_digest(path)
        except OSError as error:
            raise BundleError(f"{path}: missing ({error.strerror}); get the bundle again") from error
        if name not in self.files:
            raise BundleError(f"{path}: not listed in {HEAD}; get the bundle again")
        if found != self.files[name]:
            raise BundleError(f"{path}: differs from its SHA-256 in {HEAD}; get the bundle again")


def load_bundle(path: str | Path | None = None) -> Bundle:
    """Read the `bundle.json` of a bundle.

    Args:
        path: Folder of the bundle. If None, the package's default bundle is read.

    Raises:
        BundleError: The bundle is missing, damaged, or has an unsupported format version.
    """
    folder = DEFAULT if path is None else Path(path)
    head = folder / HEAD
    if not head.is_file():
        raise BundleError(
            f"{folder}: not a bundle ({HEAD} is missing); create one with: drywallqa export RUN"
        )
    try:
        data = json.loads(head.read_text(encoding="utf-8"))
        if data["format_version"] != FORMAT_VERSION:
            raise BundleError(
                f"{head}: has format {data['format_version']}, but this package reads "
                f"format {FORMAT_VERSION}; update the package or export again"
            )
        return Bundle(
            folder=folder,
            name=str(data["model"]["name"]),
            version=str(data["model"]["version"]),
            window=Letterbox.from_json(data["window"]),
            concepts={name: _settings(entry) for name, entry in data["concepts"].items()},
            vocabulary=str(data["model"]["vocabulary"]),
            architecture=dict(data["model"]["architecture"]),
            training_hashes=tuple(int(value, 16) for value in data["training_hashes"]),
            metrics=dict(data["metrics"]),
            licences=dict(data["licences"]),
            files=dict(data["files"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{head}: damaged ({error!r}); get the bundle again") from error


def with_smaller_window(bundle: Bundle) -> Bundle:
    """Return a copy of a bundle with half the window area, for the profile "fast".

    Raises:
        BackendError: The model works with only one window size.
    """
    window = bundle.window
    if window.square:
        raise BackendError(
            f"{bundle.name}: the model works with only one window size, so it has no fast profile"
        )
    size = max(1, round(window.size * _FAST_SIDE / window.multiple)) * window.multiple
    # The version includes the profile, so that results of the two profiles cannot be confused.
    return dataclasses.replace(
        bundle, window=dataclasses.replace(window, size=size), version=f"{bundle.version} fast"
    )


def save_head(bundle: Bundle) -> Bundle:
    """Write `bundle.json` with the SHA-256 of each file in the folder, and return the new bundle."""
    names = sorted(p.name for p in bundle.folder.iterdir() if p.is_file() and p.name != HEAD)
    files = {name: file_digest(bundle.folder / name) for name in names}
    data = {
        "format_version": FORMAT_VERSION,
        "model": {
            "name": bundle.name,
            "version": bundle.version,
            "vocabulary": bundle.vocabulary,
            "architecture": dict(bundle.architecture),
        },
        "window": bundle.window.to_json(),
        "concepts": {
            name: {**dataclasses.asdict(settings), "closer": settings.closer and list(settings.closer)}
            for name, settings in bundle.concepts.items()
        },
        "metrics": dict(bundle.metrics),
        "licences": dict(bundle.licences),
        "files": files,
        "training_hashes": [f"{value:016x}" for value in bundle.training_hashes],
    }
    write_whole(bundle.folder / HEAD, json_bytes(data))
    return load_bundle(bundle.folder)


def examples_of(phrasings: Iterable[str]) -> tuple[str, ...]:
    """Expand alternatives such as `[fine|thin]`, and choose the examples to store in a bundle."""
    return some_phrases(phrases_of(phrasings), _EXAMPLES)


def _settings(data: Mapping[str, Any]) -> ConceptSettings:
    closer = data.get("closer")
    return ConceptSettings(
        examples_of(data["phrasings"]),
        float(data["threshold"]),
        float(data["presence_threshold"]),
        int(data["scale"]),
        bool(data.get("native", False)),
        str(data.get("refine", "none")),
        closer and (float(closer[0]), float(closer[1])),
        bool(data.get("straight", False)),
    )
