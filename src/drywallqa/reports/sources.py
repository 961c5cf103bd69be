"""Read the source files of a training report from the folders of runs and evaluations."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from drywallqa.errors import ConfigError
from drywallqa.files import read_json_lines
from drywallqa.intervals import Figure
from drywallqa.visualization.panel_folder import FOLDER, LIST, Panel, load_panels

CONFIG, ENVIRONMENT, LOG = "config.yaml", "environment.json", "log.jsonl"
EVALUATION = "evaluation.json"
MISSING = Figure(math.nan, math.nan, math.nan, 0, 0)
_NEEDED = {"model", "split", "notes", "questions", "photos", "photographs", "slices"}

Data = Mapping[str, Any]


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ConfigError: The file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON ({error})") from error


@dataclass(frozen=True)
class RunRecord:
    """A training run, as read from its folder.

    Attributes:
        folder: The run's folder.
        settings: The run's resolved settings, by part.
        environment: Packages, machine, and photos by split.
        events: The run's log, one entry per event; empty if nothing was logged.
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
        """Return a file's name for reports, without the path to the folder."""
        return f"{self.name}/{file}"

    def of(self, *kinds: str) -> list[Data]:
        """Return the events of the given kinds, grouped by kind."""
        return [event for kind in kinds for event in self.events if event.get("event") == kind]

    @property
    def seconds(self) -> float | None:
        """Training time in seconds without the pauses before resumptions; None if the log has no times."""
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


def load_run(folder: Path) -> RunRecord:
    """Read a run's settings, environment and log.

    A truncated log line is skipped. A run leaves such a line if it was killed or is still writing.

    Raises:
        ConfigError: The folder is not a run, or a file in it is damaged.
    """
    path, environment, log = folder / CONFIG, folder / ENVIRONMENT, folder / LOG
    if not path.is_file():
        raise ConfigError(f"{folder}: not a run ({CONFIG} is missing); pass a folder written by `train`")
    import yaml  # imported late, because only runs need YAML

    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML ({error})") from error
    if not isinstance(settings, dict):
        raise ConfigError(f"{path}: must contain names and values")
    events = [event for _, event in read_json_lines(log) if event] if log.is_file() else []
    return RunRecord(folder, settings, read_json(environment) if environment.is_file() else {}, tuple(events))


@dataclass(frozen=True)
class FigureSlice:
    """Figures of a slice of the pairs; `kind` is overall, concept, prompt, set, setting or width."""

    kind: str
    concept: str
    name: str
    pairs: int
    absent_pairs: int
    figures: Mapping[str, Figure] = field(repr=False)

    def figure(self, name: str) -> Figure:
        """Return a figure by name; NaN if the figure does not apply to the slice."""
        return self.figures.get(name, MISSING)

    def text(self, name: str, form: str = ".3f") -> str:
        """Format a figure and its interval with a Python format specification; a dash if it is missing."""
        return figure_text(self.figure(name), form)


def figure_text(figure: Figure, form: str = ".3f") -> str:
    """Format a figure and its interval with a Python format specification; a dash if it is missing."""
    if math.isnan(figure.value):
        return "–"
    interval = "" if math.isnan(figure.low) else f" ({figure.low:{form}}–{figure.high:{form}})"
    return f"{figure.value:{form}}{interval}"


@dataclass(frozen=True)
class EvaluationRecord:
    """An evaluation, as read from its folder.

    Attributes:
        folder: The evaluation's folder.
        source: Name of its `evaluation.json` in reports.
        data: Content of `evaluation.json`.
        slices: The evaluation's slices of pairs.
        panels: The evaluation's single pictures.
        causes: Likely cause → number of failures, from the list of failures for relabelling.
    """

    folder: Path
    source: str
    data: Data
    slices: tuple[FigureSlice, ...]
    panels: tuple[Panel, ...]
    causes: Mapping[str, int]

    @property
    def split(self) -> str:
        """The split that was measured."""
        return str(self.data["split"])

    @property
    def model(self) -> str:
        """The model that was measured."""
        return str(self.data["model"])

    def of(self, kind: str, concept: str | None = None) -> list[FigureSlice]:
        """Return the slices of one kind, for one concept or all concepts."""
        return [each for each in self.slices if each.kind == kind and concept in (None, each.concept)]

    @property
    def first_prompts(self) -> tuple[str, ...]:
        """The first prompt of each concept."""
        first: dict[str, str] = {}
        for question in self.data["questions"]:
            first.setdefault(str(question["concept"]), str(question["prompt"]))
        return tuple(first.values())

    def beside(self, file: str) -> str:
        """Return the name for reports of another file in the evaluation's folder."""
        return f"{self.source.rpartition('/')[0]}/{file}"


def load_evaluation(folder: Path, source: Callable[[Path], str]) -> EvaluationRecord:
    """Read an evaluation's folder.

    Args:
        folder: A folder that `drywallqa evaluate --out` wrote.
        source: Function that returns a file's name in the report.

    Raises:
        ConfigError: The folder contains no evaluation, or the evaluation is damaged.
    """
    path, listed = folder / EVALUATION, folder / "failures" / "to-labelling.csv"
    if not path.is_file():
        raise ConfigError(
            f"{folder}: holds no {EVALUATION}; make one with: drywallqa evaluate --data DIR --out {folder}"
        )
    data = read_json(path)
    if not isinstance(data, dict) or not set(data) >= _NEEDED:
        raise ConfigError(f"{path}: not an evaluation: it lacks some of {', '.join(sorted(_NEEDED))}")
    try:
        slices = tuple(_read_slice(entry) for entry in data["slices"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: damaged, or of another version ({error!r})") from error
    try:
        panels = tuple(load_panels(folder))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{folder / FOLDER / LIST}: damaged ({error!r}); evaluate again") from error
    text = listed.read_text(encoding="utf-8") if listed.is_file() else ""
    causes = Counter(row.get("likely_cause") or "unknown" for row in csv.DictReader(io.StringIO(text)))
    return EvaluationRecord(folder, source(path), data, slices, panels, dict(causes.most_common()))


def _read_slice(entry: Data) -> FigureSlice:
    figures = {}
    for name, figure in entry["figures"].items():
        value, low, high = (math.nan if figure[k] is None else figure[k] for k in ("value", "low", "high"))
        figures[str(name)] = Figure(value, low, high, figure["photographs"], figure["pairs"])
    return FigureSlice(
        str(entry["kind"]), str(entry["concept"]), str(entry["name"]), int(entry["pairs"]),
        int(entry["absent_pairs"]), figures,
    )  # fmt: skip
