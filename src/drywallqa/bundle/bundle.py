"""A trained model on disk: everything that running, judging and fine-tuning it needs, in one folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

from drywallqa.backend import Backend
from drywallqa.bundle.backends import open_runtime
from drywallqa.errors import BundleError
from drywallqa.files import file_digest, json_bytes, write_whole
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.onnx_session import DECODER as DECODER
from drywallqa.onnx_session import DEFAULT as DEFAULT
from drywallqa.onnx_session import FAST as FAST
from drywallqa.onnx_session import IMAGE_ENCODER as IMAGE_ENCODER
from drywallqa.text.phrase_bank import phrases_of, some_phrases
from drywallqa.text.text_side import TextSide

T = TypeVar("T")

FORMAT_VERSION = 1
HEAD = "bundle.json"
WEIGHTS = "model.safetensors"
PROMPT_ENCODER = "prompt_encoder.onnx"
CARD = "MODEL_CARD.md"
FAILURES = "failures.jpg"
_EXAMPLES = 20


@dataclass(frozen=True)
class ConceptSettings:
    """What validation chose for a concept, and what it was trained on.

    Attributes:
        phrasings: Examples of prompts that mean it.
        threshold: Probability above which a pixel is marked.
        presence_threshold: Presence below which nothing is marked.
        scale: Longer side in px of a photo at which the concept was trained and its thresholds chosen.
        native: Whether it is too thin to be found on a large photo scaled down, so that such photos are
            searched at their own pixels.
        refine: What follows the model where nothing else is asked for, as `inference.refine` names it.
        closer: Mask threshold and presence threshold of photos that are also shown in closer views, chosen on
            pictures of that size; None takes those of photos shown whole.
    """

    phrasings: tuple[str, ...]
    threshold: float
    presence_threshold: float
    scale: int
    native: bool = False
    refine: str = "none"
    closer: tuple[float, float] | None = None


@dataclass(frozen=True)
class Bundle:
    """A bundle's head; models and texts are read when they are asked for.

    Attributes:
        folder: Where it lies.
        name: The model family's name.
        version: The model's version.
        window: How photos are brought to the model.
        concepts: Concept → what was chosen for it.
        vocabulary: "closed" or "open".
        architecture: Options with which the family's model is made again.
        training_hashes: Perceptual hashes of the photos it was trained on.
        metrics: Figures measured with this bundle.
        licences: Of code, weights and data.
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
        """The text side; prompts go through the model's own text tower where it has one."""
        text = TextSide.load(self.folder)
        if PROMPT_ENCODER not in self.files:
            return text
        from drywallqa.text.prompt_tower import TOKENIZER, PromptTower

        return text.through(PromptTower(self.checked(PROMPT_ENCODER), self.read(TOKENIZER)).embed)

    def open_backend(
        self,
        name: str = "onnxruntime",
        device: str = "cpu",
        threads: int | None = None,
        precision: str = "fp32",
    ) -> Backend:
        """Load the model into a runtime.

        Args:
            name: "onnxruntime" or "openvino".
            device: Where it runs.
            threads: Threads of one call; None takes the cores that the process may use.
            precision: What it computes in: "fp32", "bf16" or "fp16" where runtime and machine can, "int8"
                where the bundle holds such graphs.

        Raises:
            BackendError: The runtime is unknown, not installed, or cannot do what is asked.
            BundleError: A model file is missing or is not the one that was exported.
        """
        return open_runtime(self, name, device, threads, precision)

    def read(self, name: str) -> bytes:
        """Read a file of the bundle and hold it against its SHA-256.

        Raises:
            BundleError: The file is missing or differs.
        """
        content = self._open(name, lambda file: file.read())
        self._compare(name, hashlib.sha256(content).hexdigest())
        return content

    def checked(self, name: str) -> Path:
        """Hold a graph, and the weights that it refers to, against their SHA-256; return where it lies.

        Raises:
            BundleError: A file is missing or differs.
        """
        self._hold(name)
        _ = self._weights_are_sound
        return self.folder / name

    @cached_property
    def _weights_are_sound(self) -> bool:
        """Whether there are weights; they are held against their SHA-256 once, not by every graph anew."""
        if WEIGHTS in self.files:
            self._hold(WEIGHTS)
        return WEIGHTS in self.files

    def check(self) -> None:
        """Hold every file against its SHA-256.

        Raises:
            BundleError: A file is missing or differs.
        """
        for name in self.files:
            self._hold(name)

    def _hold(self, name: str) -> None:
        # piece by piece: room for the whole of a large file takes longer to get than its hash
        self._compare(name, self._open(name, lambda file: hashlib.file_digest(file, "sha256").hexdigest()))

    def _open(self, name: str, take: Callable[[BufferedReader], T]) -> T:
        path = self.folder / name
        try:
            with path.open("rb") as file:
                return take(file)
        except OSError as error:
            raise BundleError(f"{path}: missing ({error.strerror}); get the bundle again") from error

    def _compare(self, name: str, found: str) -> None:
        path = self.folder / name
        expected = self.files.get(name)
        if expected is None:
            raise BundleError(f"{path}: not listed in {HEAD}; get the bundle again")
        if found != expected:
            raise BundleError(f"{path}: differs from its SHA-256 in {HEAD}; get the bundle again")


def load_bundle(path: str | Path | None = None) -> Bundle:
    """Open a bundle; None takes the one that comes with the package.

    Raises:
        BundleError: There is no bundle, it is damaged, or of another format.
    """
    folder = DEFAULT if path is None else Path(path)
    head = folder / HEAD
    if not head.is_file():
        raise BundleError(f"{folder}: not a bundle ({HEAD} is missing); make one with: drywallqa export RUN")
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


def save_head(bundle: Bundle) -> Bundle:
    """Write `bundle.json` for the files that lie in the folder, and return the bundle with their hashes."""
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
    """Choose the phrasings that a bundle shows as examples; templates are written out."""
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
