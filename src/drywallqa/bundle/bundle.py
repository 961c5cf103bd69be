"""A trained model on disk: one folder with everything needed to run, evaluate and fine-tune it."""

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
_FAST_SIDE = 5 / 7  # fraction of the window's side; the area is then about half


@dataclass(frozen=True)
class ConceptSettings:
    """Segmentation settings of a concept, which were chosen on validation, and facts about its training.

    The defaults are for models without validation.

    Attributes:
        phrasings: Examples of prompts for the concept.
        threshold: Probability above which a pixel is marked.
        presence_threshold: The mask is empty if presence is below this value.
        scale: Longer side in px of the photos used for training and for choosing the thresholds. 0 if
            unknown.
        native: Whether the concept is too thin for the model to find it on a large photo scaled down. The
            model then also searches large photos at full resolution.
        refine: The default refinement; see `Refinement.parse`.
        closer: Mask threshold and presence threshold for photos that the model also sees in tiles, chosen on
            pictures of that size. None: the thresholds for whole photos.
    """

    phrasings: tuple[str, ...] = ()
    threshold: float = 0.5
    presence_threshold: float = 0.5
    scale: int = 0
    native: bool = False
    refine: str = "none"
    closer: tuple[float, float] | None = None


@dataclass(frozen=True)
class Bundle:
    """A bundle, described by its `bundle.json`. Graphs and texts are read on first use.

    Attributes:
        folder: The bundle's folder.
        name: The model family's name.
        version: The model's version.
        window: The letterbox that fits photos to the model's input.
        concepts: Concept → settings.
        vocabulary: "closed" or "open".
        architecture: Options for building the family's model.
        training_hashes: Perceptual hashes of the training photos.
        metrics: Metrics that were measured with this bundle.
        licences: Licences of code, weights and data.
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
        """The text side. If the model has its own text tower, that tower encodes the prompts."""
        text = TextSide.load(self.folder)
        if PROMPT_ENCODER not in self.files:
            return text
        from drywallqa.text.prompt_tower import TOKENIZER, PromptTower

        return text.through(PromptTower(self.checked(PROMPT_ENCODER), self.read(TOKENIZER)).embed)

    def open_backend(self, options: RuntimeOptions | None = None) -> Backend:
        """Open the graphs in a runtime. A precision of None means fp32.

        Raises:
            BackendError: The runtime is unknown, not installed, or does not support the options.
            BundleError: A model file is missing or differs from the exported file.
        """
        options = options or RuntimeOptions()
        precision = options.precision or "fp32"
        if options.backend == "torch":
            raise BackendError(
                "the backend 'torch' works only with drywallqa.load and `segment`; use another one"
            )
        encoder, decoder = (graph_name(graph, precision) for graph in (IMAGE_ENCODER, DECODER))
        if encoder not in self.files and precision == "int8":
            raise BackendError(
                "this bundle has no int8 graphs; create them with: "
                "drywallqa export BUNDLE --precision int8 --data DIR --out NEW"
            )
        # The encoder is by far the largest graph. The runtime opens it while this thread reads and checks the
        # rest.
        # No file is used for inference before its SHA-256 is verified.
        opening = BackgroundCall(lambda: open_graph(self.folder / encoder, options, precision))
        for graph in (encoder, decoder):
            self.checked(graph)
        text, opened = self.text, open_graph(self.folder / decoder, options, precision)
        return GraphBackend(text, opening.result(), opened)

    def read(self, name: str) -> bytes:
        """Verify the SHA-256 of a file of the bundle and read the file.

        Raises:
            BundleError: The file is missing or differs.
        """
        self._verify(name)
        return (self.folder / name).read_bytes()

    def checked(self, name: str) -> Path:
        """Verify the SHA-256 of a graph and of the weights that it refers to, and return the graph's path.

        Raises:
            BundleError: A file is missing or differs.
        """
        self._verify(name)
        _ = self._weights_verified
        return self.folder / name

    @cached_property
    def _weights_verified(self) -> None:
        """Verify the SHA-256 of the weights if the bundle has weights. The cache ensures a single run."""
        if WEIGHTS in self.files:
            self._verify(WEIGHTS)

    def check(self) -> None:
        """Verify the SHA-256 of every file.

        Raises:
            BundleError: A file is missing or differs.
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
    """Open a bundle; None opens the bundle of the package.

    Raises:
        BundleError: The bundle is missing, damaged or in another format.
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
                f"{head}: format {data['format_version']}, this package reads {FORMAT_VERSION}; "
                "update the package or export again"
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
    """Return the bundle with half the pixels in its window, for the profile "fast".

    Raises:
        BackendError: The model's window size is fixed.
    """
    window = bundle.window
    if window.square:
        raise BackendError(f"{bundle.name}: its window is fixed, so it has no fast profile")
    size = max(1, round(window.size * _FAST_SIDE / window.multiple)) * window.multiple
    # The version names the profile, so that results of the two profiles are never confused.
    return dataclasses.replace(
        bundle, window=dataclasses.replace(window, size=size), version=f"{bundle.version} fast"
    )


def save_head(bundle: Bundle) -> Bundle:
    """Write `bundle.json` for the files in the folder, and return the bundle with their hashes."""
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
    """Choose the phrasings that a bundle shows as examples, and expand templates."""
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
    )
