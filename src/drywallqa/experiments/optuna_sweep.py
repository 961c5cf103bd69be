"""A sweep: runs that differ in a few settings, each judged by its best IoU on validation.

Optuna proposes the settings (a tree-structured Parzen estimator: Bergstra et al., Algorithms for
Hyper-Parameter Optimization, NeurIPS 2011) and keeps a journal, so that a sweep which was stopped goes on
where it was, the run that was under way included.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drywallqa.errors import AlarmError, ConfigError, ModelError, OutputError
from drywallqa.experiments.sweep_fields import Field
from drywallqa.files import check_folder, write_whole
from drywallqa.training.checkpoints import BEST, LAST, weights_header
from drywallqa.training.schedules import MONITORED
from drywallqa.training.train_run import run_training

ABOUT, JOURNAL, NOTE = "sweep.json", "journal.log", "trial.json"


@dataclass(frozen=True)
class SweepTrial:
    """One run of a sweep.

    Attributes:
        number: From 0.
        settings: What it was run with: name → value.
        iou: Its best IoU on validation; None where it has none.
        seconds: It took, without what came before an interruption.
        problem: Why it failed, "" if it did not.
    """

    number: int
    settings: Mapping[str, Any]
    iou: float | None
    seconds: float
    problem: str = ""


Report = Callable[[list[SweepTrial]], None]


@dataclass(frozen=True)
class Sweep:
    """What a sweep is made of.

    Attributes:
        data: The data set.
        out: The sweep's folder; a run's folder for each trial lies in it.
        fields: What is varied.
        config: Settings of all its runs, as YAML.
        settings: The same, as `a.b=value`.
        start: A bundle that every run starts from.
        seed: Of what is proposed.
    """

    data: Path
    out: Path
    fields: tuple[Field, ...]
    config: Path | None = None
    settings: tuple[str, ...] = ()
    start: Path | None = None
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Describe what must not change while a sweep goes on."""
        return {
            "data": str(self.data.resolve()),
            "fields": [field.text() for field in self.fields],
            "config": self.config.read_text(encoding="utf-8") if self.config else "",
            "settings": list(self.settings),
            "start": str(self.start or ""),
            "seed": self.seed,
        }


def run_sweep(
    sweep: Sweep,
    trials: int,
    *,
    overwrite: bool = False,
    progress: bool = True,
    report: Report = lambda trials: None,
) -> list[SweepTrial]:
    """Run a sweep until it has so many trials; what is done already is not done again.

    Args:
        sweep: What is varied over what.
        trials: How many runs.
        overwrite: Whether to replace another sweep in the folder.
        progress: Whether each run shows how far it is.
        report: Called after each trial with all of them.

    Raises:
        ConfigError: Nothing is varied.
        OutputError: Another sweep lies in the folder, or it cannot be written.
        StoppedError: Ctrl-C; the same command goes on.
    """
    if not sweep.fields or trials < 1:
        raise ConfigError("a sweep needs at least one --field and one trial")
    _claim(sweep, overwrite)
    study = _study(sweep)
    for waiting in [t for t in study.trials if t.state.name == "RUNNING"]:
        _run(sweep, study, waiting.number, waiting.params, progress)
        report(_trials(sweep, study))
    while sum(t.state.is_finished() for t in study.trials) < trials:
        study.sampler = _sampler(sweep.seed + len(study.trials))
        asked = study.ask({field.name: field.distribution() for field in sweep.fields})
        _run(sweep, study, asked.number, asked.params, progress)
        report(_trials(sweep, study))
    return _trials(sweep, study)


def _claim(sweep: Sweep, overwrite: bool) -> None:
    """Make the folder this sweep's own."""
    path = sweep.out / ABOUT
    if path.is_file() and not overwrite:
        if json.loads(path.read_text(encoding="utf-8")) == sweep.to_json():
            return
        raise OutputError(
            f"{sweep.out}: holds a sweep over other fields or settings; go on with the same command, "
            "replace it with --overwrite, or choose another --out"
        )
    check_folder(sweep.out)
    if overwrite:
        (sweep.out / JOURNAL).unlink(missing_ok=True)
        for old in sweep.out.glob("trial-*"):
            shutil.rmtree(old)
    write_whole(path, (json.dumps(sweep.to_json(), indent=1) + "\n").encode())


def _study(sweep: Sweep) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    backend = optuna.storages.journal.JournalFileBackend(str(sweep.out / JOURNAL))
    storage = optuna.storages.JournalStorage(backend)
    return optuna.create_study(study_name="sweep", storage=storage, direction="maximize", load_if_exists=True)


def _sampler(seed: int) -> Any:
    """Propose by a seed that counts the trials, so that a sweep which goes on does not repeat itself."""
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed)


def _run(sweep: Sweep, study: Any, number: int, values: Mapping[str, Any], progress: bool) -> None:
    from optuna.trial import TrialState

    run, began = sweep.out / f"trial-{number:03d}", time.monotonic()
    settings = [*sweep.settings, *(f"{name}={json.dumps(value)}" for name, value in values.items())]
    try:
        run_training(
            sweep.data, run, sweep.config, settings, start=sweep.start, resume=(run / LAST).is_file(),
            progress=progress,
        )  # fmt: skip
        iou, problem = float(weights_header(run / BEST)[MONITORED]), ""
    except (AlarmError, ConfigError, ModelError) as error:
        # settings that do not work are a result; a full disk or a broken data set is none
        iou, problem = None, str(error)
    seconds = round(time.monotonic() - began, 1)
    note = {"seconds": seconds, "problem": problem}
    write_whole(run / NOTE, (json.dumps(note, indent=1) + "\n").encode())
    if iou is None:
        study.tell(number, state=TrialState.FAIL)
    else:
        study.tell(number, iou)


def _trials(sweep: Sweep, study: Any) -> list[SweepTrial]:
    found = []
    for trial in study.trials:
        if trial.state.is_finished():
            told = json.loads((sweep.out / f"trial-{trial.number:03d}" / NOTE).read_text(encoding="utf-8"))
            found.append(
                SweepTrial(trial.number, trial.params, trial.value, told["seconds"], told["problem"])
            )
    return found
