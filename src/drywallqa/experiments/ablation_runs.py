"""One training run a recipe, and one table of what each reaches; resumes where it was stopped."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drywallqa.curation.subset import take_subset
from drywallqa.datasets import dataset as datasets
from drywallqa.datasets.dataset import Dataset
from drywallqa.errors import AlarmError, OutputError
from drywallqa.experiments.ablation_table import write_ablation_tables
from drywallqa.experiments.recipes import Recipe, read_recipes, read_sizes, resolve
from drywallqa.experiments.run_measure import measure_run
from drywallqa.files import check_folder, json_bytes, write_whole
from drywallqa.training.checkpoints import LAST
from drywallqa.training.run_log import read_events
from drywallqa.training.train_run import run_training

HEAD = "ablation.json"
"""What the whole comparison is about; where it differs, rows could not be compared."""

Row = dict[str, Any]


@dataclass(frozen=True)
class AblationRequest:
    """What is wanted.

    Attributes:
        data: A data set, split.
        recipes: A folder of recipes; see `recipes.read_recipes`.
        out: Everything is written there: photos, recipes made whole, runs, rows, tables.
        settings: `a.b=value`, laid over every recipe.
        only: Names of the recipes wanted now; all where there is none.
        scale: Pictures an epoch, as a share of what each recipe says.
        split: The part that rows are measured on; thresholds are chosen on val.
        seed: Decides which photos are taken.
        overwrite: Throw away another comparison that lies in `out`.
        progress: Whether runs show how far they are.
    """

    data: Path
    recipes: Path
    out: Path
    settings: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    scale: float = 1.0
    split: str = "test"
    seed: int = 0
    overwrite: bool = False
    progress: bool = True


def run_ablation(request: AblationRequest, report: Callable[[str], None] = print) -> list[Row]:
    """Train and measure every recipe that has no row yet, and write the tables after each.

    Args:
        request: What is wanted.
        report: Told what is being done.

    Returns:
        All rows, in the order of the recipes' names.

    Raises:
        ConfigError: A recipe, or a setting laid over it, is not as it should be.
        DataError: The data set holds fewer photos than are wanted.
        OutputError: Another comparison lies there.
        StoppedError: Ctrl-C; the same command goes on.
    """
    recipes = read_recipes(request.recipes, request.only)
    _claim(request)
    data = _photos(request, report)
    for number, recipe in enumerate(recipes, 1):
        report(f"{number} of {len(recipes)}, {recipe.name}: {recipe.title}")
        row = _row(request, recipe, data, report)
        _write(request.out / "rows" / f"{recipe.name}.json", row)
        write_ablation_tables(request.out, _rows(request.out))
    return _rows(request.out)


def _claim(request: AblationRequest) -> None:
    """Make the folder this comparison's own.

    Raises:
        OutputError: It is another's.
    """
    sizes = read_sizes(request.recipes)
    content = hashlib.sha256()
    for name in ("manifest.jsonl", "dataset.json"):
        content.update((datasets.load_dataset(request.data).folder / name).read_bytes())
    about = {
        "data": content.hexdigest(), "sizes": sizes, "settings": list(request.settings),
        "scale": request.scale, "split": request.split, "seed": request.seed,
    }  # fmt: skip
    head = request.out / HEAD
    if head.is_file():
        there = json.loads(head.read_text(encoding="utf-8"))
        if there == about:
            return
        if not request.overwrite:
            differing = ", ".join(name for name in about if there.get(name) != about[name])
            raise OutputError(
                f"{request.out}: holds a comparison under another {differing}; "
                "choose another --out, or replace it with --overwrite"
            )
        for name in ("data", "runs", "rows", "recipes"):
            shutil.rmtree(request.out / name, ignore_errors=True)
    check_folder(request.out)
    _write(head, about)


def _photos(request: AblationRequest, report: Callable[[str], None]) -> Dataset:
    """Return the data set that is trained on: the recipes' sizes of the one given, or all of it."""
    sizes = read_sizes(request.recipes)
    known = datasets.load_dataset(request.data)
    if not sizes:
        return known
    folder = request.out / "data"
    if not (folder / "dataset.json").is_file():
        report(f"taking the photos of {request.recipes} into {folder}")
        take_subset(known, sizes, folder, seed=request.seed)
    return datasets.load_dataset(folder)


def _row(request: AblationRequest, recipe: Recipe, data: Dataset, report: Callable[[str], None]) -> Row:
    """Return a recipe's row: as it was measured before, or after training."""
    path = recipe.write(request.out / "recipes")
    settings = [*request.settings, _pictures(path, request)]
    wanted = resolve(path, settings).model_dump(mode="json")
    place, run = request.out / "rows" / f"{recipe.name}.json", request.out / "runs" / recipe.name
    before: Row = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
    same = before.get("settings") == wanted
    if same and before.get("done"):
        report("done before")
        return before
    row: Row = {"name": recipe.name, "title": recipe.title, "settings": wanted, "done": False}
    _write(place, row)
    resume = same and (run / LAST).is_file()
    if not resume:
        shutil.rmtree(run, ignore_errors=True)
    report("going on with training" if resume else "training")
    try:
        run_training(data.folder, run, path, settings, resume=resume, progress=request.progress)
    except AlarmError as error:
        return {**row, "done": True, "stopped": str(error), **_told(run)}
    report("measuring")
    return {**row, "done": True, **_told(run), **measure_run(run, data, request.split)}


def _pictures(path: Path, request: AblationRequest) -> str:
    """Scale the pictures of an epoch; at least one batch is left."""
    config = resolve(path, request.settings)
    pictures = max(config.optimisation.batch_size, round(config.data.photos_per_epoch * request.scale))
    return f"data.photos_per_epoch={pictures}"


def _told(run: Path) -> Row:
    """Read from a run's log what its training came to: steps, its own loss at the end, alarms."""
    events = read_events(run)
    steps = [event for event in events if event["event"] == "step"]
    last = [e["loss"] for e in steps if e["epoch"] == steps[-1]["epoch"] and e.get("loss") is not None]
    alarms = dict.fromkeys(e["finding"] for e in events if e["event"] == "alarm" and "finding" in e)
    return {
        "steps": steps[-1]["step"] if steps else 0,
        "epochs": steps[-1]["epoch"] + 1 if steps else 0,
        "training_loss": sum(last) / len(last) if last else None,
        "alarms": list(alarms),
    }


def _rows(out: Path) -> list[Row]:
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((out / "rows").glob("*.json"))]
    return [row for row in rows if row.get("done")]


def _write(path: Path, content: object) -> None:
    write_whole(path, json_bytes(content))


def stopped_by_alarm(rows: Sequence[Row]) -> bool:
    """Whether a run was stopped by an alarm."""
    return any("stopped" in row for row in rows)
