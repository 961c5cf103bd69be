"""Everything that one training report is made from, and the small figures that are counted for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from drywallqa.bundle.bundle import HEAD, WEIGHTS, Bundle
from drywallqa.datasets.dataset import Dataset
from drywallqa.files import safetensors_head
from drywallqa.models import registry
from drywallqa.models.registry import Family
from drywallqa.reports.sources import Data, EvaluationRecord, RunRecord

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
_NAMES = {"val": "Validation", "test": "Test", "train": "Training part"}


@dataclass(frozen=True)
class SourcedFigures:
    """Figures out of a file, and how a report names that file."""

    data: Data
    source: str


@dataclass(frozen=True)
class ReportMaterial:
    """What a report is made from; what is None or empty was not given and is not told.

    Attributes:
        subject: The run's or bundle's folder.
        bundle: The bundle, if the subject is one.
        runs: Training runs behind it, in their order; a run that is the subject stands last.
        evaluations: Its evaluations, the headline last.
        others: Evaluations of other models and earlier runs.
        data: The data set's parts, from `describe_data`.
        footprint: Times and memory, from `footprint`.
        findings: What `drywallqa diagnose` found.
        commands: How all of this is made again.
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
        """What the subject is called."""
        return f"{self.bundle.name} {self.bundle.version}" if self.bundle else f"run {self.runs[-1].name}"

    @property
    def family(self) -> Family | None:
        """The model's family; None where this package does not know it."""
        name = self.bundle.name if self.bundle else str(self.runs[-1].settings.get("model", {}).get("name"))
        return registry.FAMILIES.get(name)

    @property
    def headline(self) -> EvaluationRecord:
        """The evaluation whose figures count."""
        return self.evaluations[-1]

    def source(self, file: str) -> str:
        """Name a file of the subject as reports do: without the way to its folder."""
        return f"{self.subject.resolve().name}/{file}"


def split_name(split: str) -> str:
    """Name a part of a data set for people."""
    return _NAMES.get(split, f"Part '{split}'")


def describe_data(dataset: Dataset) -> dict[str, object]:
    """Count a data set's photos and photographs by set and part, and what they show."""
    parts: dict[tuple[str, str], list[int]] = {}
    for number, sample in enumerate(dataset):
        parts.setdefault((sample.set_name, sample.split or "none"), []).append(number)
    entries = []
    for (set_name, split), numbers in sorted(parts.items()):
        own = [dataset.samples[number] for number in numbers]
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
    return {
        "title": dataset.folder.resolve().name,
        "parts": entries,
        "data_sha256": dataset.digest(),
    }


def count_parameters(material: ReportMaterial) -> tuple[dict[str, int], str]:
    """Count a model's parameters by part, and say from which file; nothing where no weights lie there."""
    if material.bundle:
        path = material.bundle.folder / WEIGHTS
        return (_from_safetensors(path), material.source(WEIGHTS)) if path.is_file() else ({}, "")
    return _from_checkpoint(material)


def _from_safetensors(path: Path) -> dict[str, int]:
    return _by_part({name: entry["shape"] for name, entry in safetensors_head(path).items()})


def _from_checkpoint(material: ReportMaterial) -> tuple[dict[str, int], str]:
    if not file_sizes(material):
        return {}, ""  # no weights lie there, and torch takes seconds to load
    from drywallqa.errors import ModelError

    try:
        from drywallqa.training.checkpoints import read_weights
    except ModuleNotFoundError:
        return {}, ""  # without torch nobody can look
    try:
        weights = read_weights(material.subject)[1]
    except ModelError:
        return {}, ""
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    return _by_part(shapes), material.source("its checkpoint")


def _by_part(shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, shape in shapes.items():
        if name.endswith(_BUFFERS):
            continue
        size = 1
        for side in shape:
            size *= int(side)
        part = name.partition(".")[0]
        counts[part] = counts.get(part, 0) + size
    return counts


def file_sizes(material: ReportMaterial) -> dict[str, int]:
    """Bytes of each file of the subject that belongs to the model."""
    if material.bundle:
        names = [*material.bundle.files, HEAD]
        return {name: (material.subject / name).stat().st_size for name in sorted(names)}
    found = [path for path in material.subject.iterdir() if path.suffix in (".ckpt", ".safetensors")]
    return {path.name: path.stat().st_size for path in sorted(found)}
