"""What a training report is made from: files of a run, of a bundle, and of evaluations."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from drywallqa.bundle.bundle import HEAD
from drywallqa.errors import ConfigError
from drywallqa.files import read_json_lines
from drywallqa.visualization.panel_folder import FOLDER, LIST, Panel, load_panels

CONFIG, ENVIRONMENT, LOG = "config.yaml", "environment.json", "log.jsonl"
EVALUATION = "evaluation.json"

Data = Mapping[str, Any]


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ConfigError: It is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON ({error}); a report needs it whole") from error


@dataclass(frozen=True)
class RunRecord:
    """A training run, as its folder tells it.

    Attributes:
        folder: Where it lies.
        settings: Its resolved settings, by part.
        environment: Packages, machine, photos by part.
        events: Its log, an entry an event; empty where nothing was logged.
    """

    folder: Path
    settings: Data
    environment: Data
    events: tuple[Data, ...]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    def source(self, file: str) -> str:
        """Name one of its files as reports do: without the way to the folder."""
        return f"{self.name}/{file}"

    def of(self, kind: str) -> list[Data]:
        """Its events of one kind."""
        return [event for event in self.events if event.get("event") == kind]

    @cached_property
    def seconds(self) -> float | None:
        """Seconds spent training, pauses between a stop and its resumption left out; None if not logged."""
        total, start, last = 0.0, None, None
        for event in self.events:
            try:
                now = datetime.strptime(str(event.get("time")), "%Y-%m-%dT%H:%M:%S%z")
            except ValueError:
                continue
            if event.get("event") == "start":
                total += (last - start).total_seconds() if start and last else 0.0
                start = now
            last = now
        return total + (last - start).total_seconds() if start and last else None

    @property
    def ended(self) -> bool:
        """Whether it came to its end."""
        return bool(self.of("end"))


def load_run(folder: Path) -> RunRecord:
    """Read a run's settings, environment and log.

    Raises:
        ConfigError: The folder is no run, or a file of it is damaged.
    """
    if not (folder / CONFIG).is_file():
        raise ConfigError(f"{folder}: not a run ({CONFIG} is missing); name a folder that `train` left")
    import yaml  # an optional part, and only runs need it

    try:
        settings = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{folder / CONFIG}: cannot be read as YAML ({error})") from error
    if not isinstance(settings, dict):
        raise ConfigError(f"{folder / CONFIG}: must hold names and values")
    environment = read_json(folder / ENVIRONMENT) if (folder / ENVIRONMENT).is_file() else {}
    return RunRecord(folder, settings, environment, tuple(_events(folder / LOG)))


def _events(path: Path) -> Iterator[Data]:
    """Read a run's log; a line that is cut off is passed over: the run was killed, or writes it right now."""
    if path.is_file():
        yield from (event for _, event in read_json_lines(path) if event is not None)


@dataclass(frozen=True)
class ReportedFigure:
    """A figure with its interval; nan where it is not known."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def shown(self, digits: int = 3) -> str:
        """Write it with its interval, in so many digits; a dash where there is none."""
        if math.isnan(self.value):
            return "–"
        interval = "" if math.isnan(self.low) else f" ({self.low:.{digits}f}–{self.high:.{digits}f})"
        return f"{self.value:.{digits}f}{interval}"

    def shown_percent(self) -> str:
        """Write it in percent with its interval."""
        if math.isnan(self.value):
            return "–"
        interval = "" if math.isnan(self.low) else f" ({self.low:.1%}–{self.high:.1%})"
        return f"{self.value:.1%}{interval}"


MISSING = ReportedFigure(math.nan)


@dataclass(frozen=True)
class FigureSlice:
    """Figures of some of an evaluation's pairs; `kind` is overall, concept, prompt, set, setting or width."""

    kind: str
    concept: str
    name: str
    pairs: int
    absent_pairs: int
    figures: Mapping[str, ReportedFigure] = field(repr=False)
    photographs: int = 0

    def figure(self, name: str) -> ReportedFigure:
        """A figure by name; nan where it does not apply."""
        return self.figures.get(name, MISSING)


@dataclass(frozen=True)
class EvaluationRecord:
    """An evaluation's folder, read.

    Attributes:
        folder: Where it lies.
        source: How reports name its `evaluation.json`.
        data: All of `evaluation.json`.
        cuts: Its slices.
        panels: Its single pictures.
        causes: Likely cause → failures, from the list for labelling.
    """

    folder: Path
    source: str
    data: Data
    cuts: tuple[FigureSlice, ...]
    panels: tuple[Panel, ...]
    causes: Mapping[str, int]

    @property
    def split(self) -> str:
        """Which part was measured."""
        return str(self.data["split"])

    @property
    def model(self) -> str:
        """What was measured."""
        return str(self.data["model"])

    def of(self, kind: str, concept: str | None = None) -> list[FigureSlice]:
        """Its slices of one kind, of one concept or all."""
        return [cut for cut in self.cuts if cut.kind == kind and concept in (None, cut.concept)]

    @property
    def first_prompts(self) -> tuple[str, ...]:
        """The first prompt of each concept."""
        first: dict[str, str] = {}
        for question in self.data["questions"]:
            first.setdefault(str(question["concept"]), str(question["prompt"]))
        return tuple(first.values())

    def beside(self, file: str) -> str:
        """Name another of its files as reports do."""
        return f"{self.source.rpartition('/')[0]}/{file}"


def load_evaluation(folder: Path, source: Callable[[Path], str]) -> EvaluationRecord:
    """Read an evaluation's folder.

    Args:
        folder: What `drywallqa evaluate --out` wrote.
        source: Says how a file is named in the report.

    Raises:
        ConfigError: The folder holds no evaluation, or a damaged one.
    """
    path = folder / EVALUATION
    if not path.is_file():
        raise ConfigError(
            f"{folder}: holds no {EVALUATION}; make one with: drywallqa evaluate --data DIR --out {folder}"
        )
    data = read_json(path)
    try:
        cuts = tuple(_cut(entry) for entry in data["slices"])
        missing = {"model", "split", "notes", "questions", "photos", "photographs"} - set(data)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: not an evaluation, or of another version ({error!r})") from error
    if missing:
        raise ConfigError(f"{path}: not an evaluation: it lacks {', '.join(sorted(missing))}")
    try:
        panels = tuple(load_panels(folder))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{folder / FOLDER / LIST}: damaged ({error!r}); evaluate again") from error
    return EvaluationRecord(folder, source(path), data, cuts, panels, _causes(folder))


def _cut(entry: Data) -> FigureSlice:
    found = entry["figures"]
    figures = {str(name): _figure(one) for name, one in found.items()}
    shown = [found["IoU"]] if "IoU" in found else list(found.values())
    photographs = max((int(one["photographs"]) for one in shown), default=0)
    return FigureSlice(
        str(entry["kind"]), str(entry["concept"]), str(entry["name"]), int(entry["pairs"]),
        int(entry["absent_pairs"]), figures, photographs,
    )  # fmt: skip


def _figure(entry: Data) -> ReportedFigure:
    return ReportedFigure(
        *(math.nan if entry[key] is None else float(entry[key]) for key in ("value", "low", "high"))
    )


def _causes(folder: Path) -> dict[str, int]:
    path = folder / "failures" / "to-labelling.csv"
    if not path.is_file():
        return {}
    counts: dict[str, int] = {}
    for row in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))):
        cause = row.get("likely_cause") or "unknown"
        counts[cause] = counts.get(cause, 0) + 1
    return dict(sorted(counts.items(), key=lambda entry: -entry[1]))


def is_bundle(folder: Path) -> bool:
    """Whether a folder is a bundle."""
    return (folder / HEAD).is_file()
