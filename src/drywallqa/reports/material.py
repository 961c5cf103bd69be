"""The inputs of a training report, and numbers derived from them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from drywallqa.bundle.bundle import HEAD, WEIGHTS, Bundle
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import ModelError
from drywallqa.files import safetensors_head
from drywallqa.models import registry
from drywallqa.models.registry import Family
from drywallqa.reports.sources import Data, EvaluationRecord, RunRecord

NOT_MEASURED = "not measured"
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
_NAMES = {"val": "Validation", "test": "Test", "train": "Training split"}


@dataclass(frozen=True)
class SourcedFigures:
    """Data from a file, and the name that reports use to cite the file."""

    data: Data
    source: str


@dataclass(frozen=True)
class ReportMaterial:
    """All inputs of a training report. Missing inputs are None or empty.

    Attributes:
        subject: Folder of the reported run or bundle.
        bundle: The reported bundle; None if the report is about a run.
        runs: Training runs of the model, in order. If the report is about a run, this run is the last one.
        evaluations: Evaluations of the model. The report's main metrics come from the last one.
        others: Evaluations of other models and earlier runs.
        data: Photo counts of the data set, computed by `describe_data`.
        footprint: Measured times and memory use.
        findings: Findings of `drywallqa diagnose`.
        commands: Commands that reproduce the results.
    """

    subject: Path
    bundle: Bundle | None
    runs: Sequence[RunRecord]
    evaluations: Sequence[EvaluationRecord]
    others: Sequence[EvaluationRecord] = ()
    data: SourcedFigures | None = None
    footprint: SourcedFigures | None = None
    findings: SourcedFigures | None = None
    commands: Sequence[str] = ()

    @property
    def name(self) -> str:
        """Name and version of the bundle, or name of the run."""
        return f"{self.bundle.name} {self.bundle.version}" if self.bundle else f"run {self.runs[-1].name}"

    @property
    def family(self) -> Family | None:
        """The model family; None if this package has no family of that name."""
        name = self.bundle.name if self.bundle else str(self.runs[-1].settings.get("model", {}).get("name"))
        return registry.FAMILIES.get(name)

    @property
    def headline(self) -> EvaluationRecord:
        """The evaluation from which the report takes its main metrics."""
        return self.evaluations[-1]

    def source(self, file: str) -> str:
        """Return the name that the report uses to cite a file of the run or bundle: FOLDER/FILE."""
        return f"{self.subject.resolve().name}/{file}"

    @cached_property
    def parameters(self) -> tuple[dict[str, int], str]:
        """Number of parameters per module, and the source file. Both are empty if there are no weights."""
        if self.bundle:
            path = self.subject / WEIGHTS
            if not path.is_file():
                return {}, ""
            shapes = {name: entry["shape"] for name, entry in safetensors_head(path).items()}
            return _by_part(shapes), self.source(WEIGHTS)
        if not weight_files(self.subject):
            return {}, ""  # avoids importing torch, which takes seconds
        try:
            from drywallqa.training.checkpoints import read_weights

            weights = read_weights(self.subject)[1]
        except (ModuleNotFoundError, ModelError):
            return {}, ""
        return _by_part({name: weight.shape for name, weight in weights.items()}), self.source(
            "its checkpoint"
        )

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Size in bytes of each file of the model."""
        names = sorted([*self.bundle.files, HEAD]) if self.bundle else weight_files(self.subject)
        return {name: (self.subject / name).stat().st_size for name in names}

    @property
    def size(self) -> str:
        """Total size of the model's files as text, such as "12.3 MB"."""
        return f"{sum(self.sizes.values()) / 1e6:.1f} MB" if self.sizes else NOT_MEASURED


def _by_part(shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for name, shape in shapes.items():
        if not name.endswith(_BUFFERS):
            counts[name.partition(".")[0]] += math.prod(shape)
    return dict(counts)


def weight_files(run: Path) -> list[str]:
    """Return the names of the weight files in a run's folder."""
    return sorted(path.name for path in run.iterdir() if path.suffix in (".ckpt", ".safetensors"))


def split_name(split: str) -> str:
    """Return the name of a split as the report shows it."""
    return _NAMES.get(split, f"Split '{split}'")


def describe_data(dataset: Dataset) -> dict[str, object]:
    """Count the photos, source photos and visible concepts in each set and split of a data set."""
    keys = sorted({(sample.set_name, sample.split or "none") for sample in dataset})
    entries = []
    for set_name, split in keys:
        own = [s for s in dataset if (s.set_name, s.split or "none") == (set_name, split)]
        concepts = {
            concept: {
                "shown": sum(sample.labels.get(concept) is not None for sample in own),
                "absent": sum(concept in sample.labels and sample.labels[concept] is None for sample in own),
                "unlabelled": sum(concept not in sample.labels for sample in own),
            }
            for concept in dataset.concepts
        }
        photographs = len({sample.source_photo for sample in own})
        entries.append(
            {"set": set_name, "split": split, "photos": len(own), "photographs": photographs,
             "concepts": concepts}
        )  # fmt: skip
    return {"title": dataset.folder.resolve().name, "parts": entries, "data_sha256": dataset.digest()}
