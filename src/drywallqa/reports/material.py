"""The inputs of a training report, and simple figures derived from them."""

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
_NAMES = {"val": "Validation", "test": "Test", "train": "Training part"}


@dataclass(frozen=True)
class SourcedFigures:
    """Figures from a file, and the file's name in reports."""

    data: Data
    source: str


@dataclass(frozen=True)
class ReportMaterial:
    """All inputs of a report. Missing inputs are None or empty.

    Attributes:
        subject: The run's or bundle's folder.
        bundle: The bundle, if the subject is one.
        runs: The subject's training runs in order. If the subject is a run, it comes last.
        evaluations: The subject's evaluations. The headline evaluation comes last.
        others: Evaluations of other models and earlier runs.
        data: The counts of `describe_data` for the data set.
        footprint: Times and memory.
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
        """The subject's name."""
        return f"{self.bundle.name} {self.bundle.version}" if self.bundle else f"run {self.runs[-1].name}"

    @property
    def family(self) -> Family | None:
        """The model's family; None if this package does not know it."""
        name = self.bundle.name if self.bundle else str(self.runs[-1].settings.get("model", {}).get("name"))
        return registry.FAMILIES.get(name)

    @property
    def headline(self) -> EvaluationRecord:
        """The evaluation with the headline figures."""
        return self.evaluations[-1]

    def source(self, file: str) -> str:
        """Return a file's name for reports, without the path to the subject's folder."""
        return f"{self.subject.resolve().name}/{file}"

    @cached_property
    def parameters(self) -> tuple[dict[str, int], str]:
        """The model's parameter counts by part, and the source file. Both are empty without weights."""
        if self.bundle:
            path = self.subject / WEIGHTS
            if not path.is_file():
                return {}, ""
            shapes = {name: entry["shape"] for name, entry in safetensors_head(path).items()}
            return _by_part(shapes), self.source(WEIGHTS)
        if not weight_files(self.subject):
            return {}, ""  # avoids the import of torch, which takes seconds
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
        """Size in bytes of each model file of the subject."""
        names = sorted([*self.bundle.files, HEAD]) if self.bundle else weight_files(self.subject)
        return {name: (self.subject / name).stat().st_size for name in names}

    @property
    def size(self) -> str:
        """The size of the model's files as readable text."""
        return f"{sum(self.sizes.values()) / 1e6:.1f} MB" if self.sizes else NOT_MEASURED


def _by_part(shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for name, shape in shapes.items():
        if not name.endswith(_BUFFERS):
            counts[name.partition(".")[0]] += math.prod(shape)
    return dict(counts)


def weight_files(run: Path) -> list[str]:
    """Return the names of a run's weight files."""
    return sorted(path.name for path in run.iterdir() if path.suffix in (".ckpt", ".safetensors"))


def split_name(split: str) -> str:
    """Return the readable name of a split."""
    return _NAMES.get(split, f"Part '{split}'")


def describe_data(dataset: Dataset) -> dict[str, object]:
    """Count a data set's photos, photographs and visible concepts by set and split."""
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
