"""Read the training runs and evaluations that a training report describes."""

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
        raise ConfigError(f"cannot read {path} as JSON ({error})") from error


@dataclass(frozen=True)
class RunRecord:
    """The settings and log of a training run.

    Attributes:
        folder: The run's folder.
        settings: The run's resolved settings, grouped by section.
        environment: Package versions, machine, and number of photos per split.
        events: The entries of the run's log; empty if there is no log.
    """

    folder: Path
    settings: Data
    environment: Data
    events: tuple[Data, ...]

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return self.folder.resolve().name

    def source(self, file: str) -> str:
        """Return the name by which a report cites a file of this run: FOLDER/FILE."""
        return f"{self.name}/{file}"

    def of(self, *kinds: str) -> list[Data]:
        """Return the log entries of the given kinds, grouped by kind."""
        return [event for kind in kinds for event in self.events if event.get("event") == kind]

    @property
    def seconds(self) -> float | None:
        """Training time in seconds without pauses before resumptions; None if the log has no times."""
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
    """Read the settings, environment and log of a training run.

    Truncated log lines are skipped. The last line is truncated if the run was killed or is still writing.

    Raises:
        ConfigError: The folder is not a training run, or one of its files is damaged.
    """
    path, environment, log = folder / CONFIG, folder / ENVIRONMENT, folder / LOG
    if not path.is_file():
        raise ConfigError(f"{folder} is not a training run ({CONFIG} is missing); pass a folder of `train`")
    import yaml  # imported here, because only training runs need YAML

    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path} as YAML ({error})") from error
    if not isinstance(settings, dict):
        raise ConfigError(f"{path} must contain a mapping of setting names to values")
    events = [event for _, event in read_json_lines(log) if event] if log.is_file() else []
    return RunRecord(folder, settings, read_json(environment) if environment.is_file() else {}, tuple(events))


@dataclass(frozen=True)
class FigureSlice:
    """Metrics of a subset of the photo-prompt pairs.

    `kind` is overall, concept, prompt, set, setting or width.
    """

    kind: str
    concept: str
    name: str
    pairs: int
    absent_pairs: int
    figures: Mapping[str, Figure] = field(repr=False)

    def figure(self, name: str) -> Figure:
        """Return a metric by name; NaN if the metric is not defined for the slice."""
        return self.figures.get(name, MISSING)

    def text(self, name: str, form: str = ".3f") -> str:
        """Format a metric and its 95 % interval by a format specification; "–" if the metric is missing."""
        return figure_text(self.figure(name), form)


def figure_text(figure: Figure, form: str = ".3f") -> str:
    """Format a metric and its 95 % interval by a format specification; "–" if the metric is missing."""
    if math.isnan(figure.value):
        return "–"
    interval = "" if math.isnan(figure.low) else f" ({figure.low:{form}}–{figure.high:{form}})"
    return f"{figure.value:{form}}{interval}"


@dataclass(frozen=True)
class EvaluationRecord:
    """The content of an evaluation's folder.

    Attributes:
        folder: The evaluation's folder.
        source: Name by which reports cite the `evaluation.json`.
        data: Content of `evaluation.json`.
        slices: Metrics for subsets of the photo-prompt pairs.
        panels: The evaluation's pictures for reports.
        causes: Number of failures per likely cause, from `failures/to-labelling.csv`.
    """

    folder: Path
    source: str
    data: Data
    slices: tuple[FigureSlice, ...]
    panels: tuple[Panel, ...]
    causes: Mapping[str, int]

    @property
    def split(self) -> str:
        """Name of the evaluated split."""
        return str(self.data["split"])

    @property
    def model(self) -> str:
        """Name of the evaluated model."""
        return str(self.data["model"])

    def of(self, kind: str, concept: str | None = None) -> list[FigureSlice]:
        """Return the slices of one kind, either for one concept or for all concepts."""
        return [each for each in self.slices if each.kind == kind and concept in (None, each.concept)]

    @property
    def first_prompts(self) -> tuple[str, ...]:
        """The first prompt of each concept."""
        first: dict[str, str] = {}
        for question in self.data["questions"]:
            first.setdefault(str(question["concept"]), str(question["prompt"]))
        return tuple(first.values())

    def beside(self, file: str) -> str:
        """Return the name by which a report cites another file in the evaluation's folder."""
        return f"{self.source.rpartition('/')[0]}/{file}"


def load_evaluation(folder: Path, source: Callable[[Path], str]) -> EvaluationRecord:
    """Read the results of an evaluation from its folder.

    Args:
        folder: A folder that `drywallqa evaluate --out` wrote.
        source: Function that returns the name by which the report cites a file.

    Raises:
        ConfigError: The folder contains no evaluation, or the evaluation is damaged.
    """
    path, listed = folder / EVALUATION, folder / "failures" / "to-labelling.csv"
    if not path.is_file():
        raise ConfigError(
            f"{folder} contains no {EVALUATION}; create it with: drywallqa evaluate --data DIR --out {folder}"
        )
    data = read_json(path)
    if not isinstance(data, dict) or not set(data) >= _NEEDED:
        raise ConfigError(f"{path} is not an evaluation; it lacks some of: {', '.join(sorted(_NEEDED))}")
    try:
        slices = tuple(_read_slice(entry) for entry in data["slices"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} is damaged or comes from another version ({error!r})") from error
    try:
        panels = tuple(load_panels(folder))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{folder / FOLDER / LIST} is damaged ({error!r}); evaluate again") from error
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
