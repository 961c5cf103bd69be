"""Hyper-parameter sweep: trains runs with different settings, and compares their best validation IoU.

Optuna proposes the settings with a tree-structured Parzen estimator (Bergstra et al., Algorithms for
Hyper-Parameter Optimization, NeurIPS 2011). Optuna writes a journal, from which an interrupted sweep is
resumed. The interrupted run is resumed as well.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
_DECADE = 10.0  # a range is sampled log-uniformly if high / low is at least this ratio


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
        """Return the field as an Optuna distribution. A range with integer ends yields integers."""
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
            raise ConfigError(f"--field {text}: the lower end must come first")
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
    """Parse a value as YAML, but read 1e-4 as a number."""
    try:
        return _number(text)
    except ValueError:
        return yaml.safe_load(text)


@dataclass(frozen=True)
class SweepTrial:
    """One run of a sweep.

    Attributes:
        number: Number of the trial, from 0.
        settings: Setting name → value.
        iou: Best validation IoU; None if the run failed.
        seconds: Duration of the run; if the run was resumed, only the time since then.
        problem: Reason for the failure; "" if the run did not fail.
    """

    number: int
    settings: Mapping[str, Any]
    iou: float | None
    seconds: float
    problem: str = ""


@dataclass(frozen=True)
class Sweep:
    """The options of a sweep.

    Attributes:
        data: The data set.
        out: The sweep's folder, which contains a run folder for each trial.
        fields: The settings to vary.
        config: YAML file of settings for all runs.
        settings: Further settings for all runs, each as `a.b=value`.
        start: A bundle that every run fine-tunes.
        seed: Seed for Optuna's proposals.
        overwrite: Whether to replace an existing sweep in the folder.
        progress: Whether each run shows progress.
    """

    data: Path
    out: Path
    fields: tuple[Field, ...]
    config: Path | None = None
    settings: tuple[str, ...] = ()
    start: Path | None = None
    seed: int = 0
    overwrite: bool = False
    progress: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the conditions that must stay the same when a sweep is resumed."""
        return {
            "data": str(self.data.resolve()),
            "fields": [str(field) for field in self.fields],
            "config": self.config.read_text(encoding="utf-8") if self.config else "",
            "settings": list(self.settings),
            "start": str(self.start or ""),
            "seed": self.seed,
        }


def run_sweep(sweep: Sweep, trials: int, report: Callable[[list[SweepTrial]], None]) -> list[SweepTrial]:
    """Run trials until the sweep has the given number of finished trials, including earlier ones.

    Args:
        sweep: The options.
        trials: Total number of trials.
        report: Function that is called with all finished trials after each trial.

    Raises:
        ConfigError: There is no field to vary, or `trials` is below 1.
        OutputError: The folder contains a different sweep or cannot be written.
        StoppedError: The user pressed Ctrl-C. The same command resumes the sweep.
    """
    import optuna

    if not sweep.fields or trials < 1:
        raise ConfigError("a sweep needs at least one --field and one trial")
    _claim_folder(sweep)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    backend = optuna.storages.journal.JournalFileBackend(str(sweep.out / JOURNAL))
    storage = optuna.storages.JournalStorage(backend)
    study = optuna.create_study(
        study_name="sweep", storage=storage, direction="maximize", load_if_exists=True
    )
    interrupted = [trial for trial in study.trials if trial.state.name == "RUNNING"]
    while interrupted or sum(trial.state.is_finished() for trial in study.trials) < trials:
        # the seed depends on the number of trials, so a resumed sweep makes new proposals
        study.sampler = optuna.samplers.TPESampler(seed=sweep.seed + len(study.trials))
        trial = interrupted.pop(0) if interrupted else None
        if trial is None:
            trial = study.ask({field.name: field.distribution() for field in sweep.fields})
        _run_trial(sweep, study, trial.number, trial.params)
        report(_read_trials(sweep, study))
    return _read_trials(sweep, study)


def _claim_folder(sweep: Sweep) -> None:
    """Write the sweep's conditions to its folder.

    Raises:
        OutputError: The folder contains a different sweep.
    """
    path = sweep.out / ABOUT
    if path.is_file() and not sweep.overwrite:
        if json.loads(path.read_text(encoding="utf-8")) == sweep.to_json():
            return
        raise OutputError(
            f"{sweep.out}: contains a sweep over other fields or settings; use the same command to "
            "resume, replace the sweep with --overwrite, or choose another --out"
        )
    check_folder(sweep.out)
    if sweep.overwrite:
        (sweep.out / JOURNAL).unlink(missing_ok=True)
        for old in sweep.out.glob("trial-*"):
            shutil.rmtree(old)
    write_whole(path, (json.dumps(sweep.to_json(), indent=1) + "\n").encode())


def _run_trial(sweep: Sweep, study: Any, number: int, values: Mapping[str, Any]) -> None:
    from optuna.trial import TrialState

    run, began = sweep.out / f"trial-{number:03d}", time.monotonic()
    settings = (*sweep.settings, *(f"{name}={json.dumps(value)}" for name, value in values.items()))
    request = TrainingRequest(
        sweep.data, run, sweep.config, settings, sweep.start, resume=(run / LAST).is_file(),
        progress=sweep.progress,
    )  # fmt: skip
    iou, problem = None, ""
    try:
        run_training(request)
        iou = float(weights_header(run / BEST)[MONITORED])
    except (AlarmError, ConfigError, ModelError) as error:
        # bad settings make a trial fail; other errors, such as a full disk, end the sweep
        problem = str(error)
    note = {"seconds": round(time.monotonic() - began, 1), "problem": problem}
    write_whole(run / NOTE, (json.dumps(note, indent=1) + "\n").encode())
    study.tell(number, iou, TrialState.FAIL if iou is None else TrialState.COMPLETE)


def _read_trials(sweep: Sweep, study: Any) -> list[SweepTrial]:
    found = []
    for trial in study.trials:
        if trial.state.is_finished():
            note = json.loads((sweep.out / f"trial-{trial.number:03d}" / NOTE).read_text(encoding="utf-8"))
            found.append(
                SweepTrial(trial.number, trial.params, trial.value, note["seconds"], note["problem"])
            )
    return found
