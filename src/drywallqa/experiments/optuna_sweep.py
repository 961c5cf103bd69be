"""Sweeps hyper-parameters: trains with different settings, and compares the runs by validation IoU.

Optuna proposes the settings with a tree-structured Parzen estimator (Bergstra et al., Algorithms for
Hyper-Parameter Optimization, NeurIPS 2011). Optuna writes a journal, from which an interrupted sweep and
its interrupted run are resumed.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from drywallqa.errors import AlarmError, ConfigError, ModelError, OutputError
from drywallqa.files import check_folder, write_whole
from drywallqa.training.checkpoints import BEST, LAST, weights_header
from drywallqa.training.config import known_names, unknown_setting
from drywallqa.training.fit import TrainingRequest
from drywallqa.training.task import MONITORED
from drywallqa.training.train_run import run_training

ABOUT, JOURNAL, NOTE = "sweep.json", "journal.log", "trial.json"
_DECADE = 10.0  # a range is sampled log-uniformly if high / low is at least this number


@dataclass(frozen=True)
class Field:
    """A setting that a sweep varies.

    Attributes:
        name: Dotted name, as in `--set`.
        low: Lower end of the range; None for a list of values.
        high: Upper end of the range.
        values: The list of values; empty for a range.
    """

    name: str
    low: float | None = None
    high: float | None = None
    values: tuple[Any, ...] = ()

    @property
    def log(self) -> bool:
        """Whether values are sampled log-uniformly."""
        return bool(self.low and self.high and self.low > 0 and self.high / self.low >= _DECADE)

    def distribution(self) -> Any:
        """Return an Optuna distribution for the field. A range with integer ends yields integers."""
        from optuna import distributions

        if self.low is None or self.high is None:
            return distributions.CategoricalDistribution(self.values)
        if isinstance(self.low, int) and isinstance(self.high, int):
            return distributions.IntDistribution(self.low, self.high, log=self.log)
        return distributions.FloatDistribution(self.low, self.high, log=self.log)

    def __str__(self) -> str:
        values = f"{self.low}..{self.high}" if self.low is not None else ",".join(map(str, self.values))
        return f"{self.name}={values}"


def parse_field(text: str) -> Field:
    """Parse a field from the command line: `name=low..high` or `name=a,b,c`.

    Raises:
        ConfigError: The setting is unknown, or the values cannot be parsed.
    """
    name, _, values = text.partition("=")
    name = name.strip()
    if not values.strip():
        raise ConfigError(f"--field {text}: write it as name=low..high or name=a,b,c")
    if name not in known_names():
        raise ConfigError(f"--field {text}: {unknown_setting(name)}")
    if ".." in values:
        try:
            low, high = (_number(end) for end in values.split("..", 1))
        except ValueError as error:
            raise ConfigError(f"--field {text}: '{values}' is not a range of numbers") from error
        if not low < high:
            raise ConfigError(f"--field {text}: the lower end of the range must come first")
        return Field(name, low, high)
    try:
        return Field(name, values=tuple(_value(value) for value in values.split(",")))
    except yaml.YAMLError as error:
        raise ConfigError(f"--field {text}: values must be numbers, words, true or false") from error


def _number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _value(text: str) -> Any:
    """Parse a value as YAML, but read values such as 1e-4 as numbers, although YAML reads them as text."""
    try:
        return _number(text)
    except ValueError:
        return yaml.safe_load(text)


@dataclass(frozen=True)
class SweepTrial:
    """A finished run of a sweep.

    Attributes:
        number: Number of the trial, from 0.
        settings: Setting name → value.
        iou: Best validation IoU; None if the run failed.
        seconds: Duration of the run. For a resumed run, the duration since it was resumed.
        problem: Reason for the failure; "" if the run did not fail.
    """

    number: int
    settings: Mapping[str, Any]
    iou: float | None
    seconds: float
    problem: str = ""


def run_sweep(
    request: TrainingRequest,
    fields: Sequence[Field],
    trials: int,
    seed: int,
    report: Callable[[list[SweepTrial]], None],
) -> list[SweepTrial]:
    """Run trials until the sweep has the given number of finished trials, including earlier trials.

    Args:
        request: The training options that all trials share. Its run folder is the sweep's folder, which
            contains a run folder for each trial. Its `overwrite` replaces an existing sweep.
        fields: The settings to vary.
        trials: Total number of trials.
        seed: Seed for Optuna's proposals.
        report: Function to call with all finished trials after each trial.

    Raises:
        ConfigError: There is no field to vary, or `trials` is below 1.
        OutputError: The folder contains a different sweep or cannot be written.
        StoppedError: The user pressed Ctrl-C. The same command resumes the sweep.
    """
    import optuna

    if not fields or trials < 1:
        raise ConfigError("a sweep needs at least one --field and one trial")
    _claim_folder(request, fields, seed)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    backend = optuna.storages.journal.JournalFileBackend(str(request.run / JOURNAL))
    storage = optuna.storages.JournalStorage(backend)
    study = optuna.create_study(
        study_name="sweep", storage=storage, direction="maximize", load_if_exists=True
    )
    interrupted = [trial for trial in study.trials if trial.state.name == "RUNNING"]
    while interrupted or sum(trial.state.is_finished() for trial in study.trials) < trials:
        # the seed depends on the number of trials, so a resumed sweep makes new proposals
        study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
        trial = interrupted.pop(0) if interrupted else None
        if trial is None:
            trial = study.ask({field.name: field.distribution() for field in fields})
        _run_trial(request, study, trial.number, trial.params)
        report(_read_trials(request.run, study))
    return _read_trials(request.run, study)


def _claim_folder(request: TrainingRequest, fields: Sequence[Field], seed: int) -> None:
    """Check that a resumed sweep has unchanged data, settings and seed, or save those of a new sweep.

    Raises:
        OutputError: The folder contains a different sweep.
    """
    folder, path = request.run, request.run / ABOUT
    conditions = {
        "data": str(request.data.resolve()),
        "fields": [str(field) for field in fields],
        "config": request.config.read_text(encoding="utf-8") if request.config else "",
        "settings": list(request.settings),
        "start": str(request.start or ""),
        "seed": seed,
    }
    if path.is_file() and not request.overwrite:
        if json.loads(path.read_text(encoding="utf-8")) == conditions:
            return
        raise OutputError(
            f"{folder}: contains a sweep over other fields or settings; resume it with its own command, "
            "replace it with --overwrite, or choose another --out"
        )
    check_folder(folder)
    if request.overwrite:
        (folder / JOURNAL).unlink(missing_ok=True)
        for old in folder.glob("trial-*"):
            shutil.rmtree(old)
    write_whole(path, (json.dumps(conditions, indent=1) + "\n").encode())


def _run_trial(request: TrainingRequest, study: Any, number: int, values: Mapping[str, Any]) -> None:
    from optuna.trial import TrialState

    run, began = request.run / f"trial-{number:03d}", time.monotonic()
    settings = (*request.settings, *(f"{name}={json.dumps(value)}" for name, value in values.items()))
    resume = (run / LAST).is_file()
    iou, problem = None, ""
    try:
        run_training(replace(request, run=run, settings=settings, resume=resume, overwrite=False))
        iou = float(weights_header(run / BEST)[MONITORED])
    except (AlarmError, ConfigError, ModelError) as error:
        # bad settings make a trial fail; other errors, such as a full disk, end the sweep
        problem = str(error)
    note = {"seconds": round(time.monotonic() - began, 1), "problem": problem}
    write_whole(run / NOTE, (json.dumps(note, indent=1) + "\n").encode())
    study.tell(number, iou, TrialState.FAIL if iou is None else TrialState.COMPLETE)


def _read_trials(folder: Path, study: Any) -> list[SweepTrial]:
    found = []
    for trial in study.trials:
        if trial.state.is_finished():
            note = json.loads((folder / f"trial-{trial.number:03d}" / NOTE).read_text(encoding="utf-8"))
            found.append(
                SweepTrial(trial.number, trial.params, trial.value, note["seconds"], note["problem"])
            )
    return found
