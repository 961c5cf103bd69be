"""Runs an ablation: trains one model per recipe and writes a table of results. Ablations can be resumed.

A recipe folder contains one YAML file per recipe. Each file lists the recipe's changes to the base settings.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from drywallqa.curation.subset import take_subset
from drywallqa.datasets.dataset import Dataset, load_dataset
from drywallqa.errors import AlarmError, ConfigError, OutputError
from drywallqa.experiments.ablation_table import write_ablation_tables
from drywallqa.experiments.run_measure import measure_run
from drywallqa.files import check_folder, json_bytes, write_whole
from drywallqa.training.checkpoints import LAST
from drywallqa.training.config import load_config, read_yaml
from drywallqa.training.fit import TrainingRequest
from drywallqa.training.run_log import read_events
from drywallqa.training.train_run import run_training

HEAD = "ablation.json"
"""File with the conditions that all rows share. Rows with different conditions are not comparable."""
BASE, SIZES = "base.yaml", "sizes.yaml"
"""Files in the folder that are not recipes: the base settings, and the numbers of photos per split."""

Row = dict[str, Any]
Report = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """The settings of one training run.

    Attributes:
        name: Stem of the recipe file.
        title: The comment in the first line of the recipe file, or the name.
        settings: The base settings with the recipe's changes.
    """

    name: str
    title: str
    settings: Mapping[str, Any]

    def write(self, folder: Path) -> Path:
        """Write all settings to a file for `drywallqa train --config`."""
        path = folder / f"{self.name}.yaml"
        text = yaml.safe_dump(dict(self.settings), sort_keys=False, allow_unicode=True)
        write_whole(path, f"# {self.title}\n{text}".encode())
        return path


@dataclass(frozen=True)
class AblationRequest:
    """The options of an ablation.

    Attributes:
        data: A data set with splits.
        recipes: A folder of recipes; see `read_recipes`.
        out: Output folder for photos, resolved recipes, runs, rows and tables.
        settings: Settings such as `a.b=value` that apply to every recipe.
        only: Names of the recipes to run now; all recipes if empty.
        scale: Factor that multiplies each recipe's number of pictures per epoch.
        split: The split to measure runs on. Thresholds are always chosen on val.
        seed: Seed for the choice of photos.
        overwrite: Whether to replace an ablation with different conditions in `out`.
        progress: Whether runs show progress.
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


def run_ablation(request: AblationRequest, report: Report = print) -> list[Row]:
    """Train and measure every recipe that has no row yet, and update the tables after each recipe.

    Args:
        request: The options.
        report: Function that prints a line of progress.

    Returns:
        All rows, sorted by the recipes' names.

    Raises:
        ConfigError: A recipe or a setting is invalid.
        DataError: The data set has fewer photos than the recipes require.
        OutputError: The output folder contains an ablation with different conditions.
        StoppedError: The user pressed Ctrl-C. The same command resumes the ablation.
    """
    recipes, sizes = read_recipes(request.recipes, request.only), read_sizes(request.recipes)
    data = load_dataset(request.data)
    _claim_folder(request, data, sizes)
    if sizes:
        folder = request.out / "data"
        if not (folder / "dataset.json").is_file():
            report(f"copying the photos for {request.recipes} to {folder}")
            take_subset(data, sizes, folder, seed=request.seed)
        data = load_dataset(folder)
    rows: list[Row] = []
    for number, recipe in enumerate(recipes, 1):
        report(f"{number} of {len(recipes)}, {recipe.name}: {recipe.title}")
        row = _make_row(request, recipe, data, report)
        write_whole(request.out / "rows" / f"{recipe.name}.json", json_bytes(row))
        paths = sorted((request.out / "rows").glob("*.json"))
        rows = [row for row in (json.loads(p.read_text(encoding="utf-8")) for p in paths) if row.get("done")]
        write_ablation_tables(request.out, rows)
    return rows


def _claim_folder(request: AblationRequest, data: Dataset, sizes: dict[str, dict[str, int]]) -> None:
    """Write the conditions to the output folder.

    Raises:
        OutputError: The folder contains an ablation with different conditions.
    """
    digest = hashlib.sha256()
    for name in ("manifest.jsonl", "dataset.json"):
        digest.update((data.folder / name).read_bytes())
    conditions = {
        "data": digest.hexdigest(), "sizes": sizes, "settings": list(request.settings),
        "scale": request.scale, "split": request.split, "seed": request.seed,
    }  # fmt: skip
    head = request.out / HEAD
    if head.is_file():
        known = json.loads(head.read_text(encoding="utf-8"))
        differing = ", ".join(name for name in conditions if known.get(name) != conditions[name])
        if differing and not request.overwrite:
            raise OutputError(
                f"{request.out}: contains an ablation with a different value of {differing}; "
                "choose another --out, or replace it with --overwrite"
            )
        for name in ("data", "runs", "rows", "recipes") if differing else ():
            shutil.rmtree(request.out / name, ignore_errors=True)
    check_folder(request.out)
    write_whole(head, json_bytes(conditions))


def _make_row(request: AblationRequest, recipe: Recipe, data: Dataset, report: Report) -> Row:
    """Return the finished row of a recipe, or train and measure the recipe and return a new row."""
    path = recipe.write(request.out / "recipes")
    config = load_config(path, request.settings)
    pictures = max(config.optimisation.batch_size, round(config.data.photos_per_epoch * request.scale))
    settings = (*request.settings, f"data.photos_per_epoch={pictures}")
    resolved = load_config(path, settings).model_dump(mode="json")
    row_path, run = request.out / "rows" / f"{recipe.name}.json", request.out / "runs" / recipe.name
    before: Row = json.loads(row_path.read_text(encoding="utf-8")) if row_path.is_file() else {}
    same = before.get("settings") == resolved
    if same and before.get("done"):
        report("already done")
        return before
    row: Row = {"name": recipe.name, "title": recipe.title, "settings": resolved, "done": False}
    write_whole(row_path, json_bytes(row))
    resume = same and (run / LAST).is_file()
    if not resume:
        shutil.rmtree(run, ignore_errors=True)
    report("resuming the training" if resume else "training")
    row["done"] = True
    try:
        run_training(
            TrainingRequest(data.folder, run, path, settings, resume=resume, progress=request.progress)
        )
    except AlarmError as error:
        return {**row, "stopped": str(error), **_training_figures(run)}
    report("measuring")
    return {**row, **_training_figures(run), **measure_run(run, data, request.split)}


def _training_figures(run: Path) -> Row:
    """Read the number of steps and epochs, the last epoch's mean loss, and the alarms from a run's log."""
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


def read_recipes(folder: Path, only: Sequence[str] = ()) -> list[Recipe]:
    """Read a folder of recipes, sorted by name.

    Args:
        folder: Folder with one file per recipe and an optional `base.yaml`.
        only: Names of the recipes to read; all recipes if empty.

    Raises:
        ConfigError: There is no recipe, a named recipe is missing, or a file is invalid.
    """
    files = {path.stem: path for path in sorted(folder.glob("*.yaml")) if path.name not in (BASE, SIZES)}
    if not files:
        raise ConfigError(f"{folder}: no recipe found; pass a folder of YAML files such as configs/report")
    for name in only:
        if name not in files:
            raise ConfigError(f"{folder}: no recipe '{name}'; available recipes: {', '.join(files)}")
    base = read_yaml(folder / BASE) if (folder / BASE).is_file() else {}
    recipes = []
    for name in [name for name in files if name in only or not only]:
        settings = _merge(base, read_yaml(files[name]))
        first = files[name].read_text(encoding="utf-8").partition("\n")[0]
        title = first.lstrip("# ").strip() if first.startswith("#") else name
        recipes.append(Recipe(name, title, settings))
    return recipes


def read_sizes(folder: Path) -> dict[str, dict[str, int]]:
    """Read the number of photos per concept and split; empty if the folder has no such file.

    Raises:
        ConfigError: The file is invalid.
    """
    path = folder / SIZES
    sizes = read_yaml(path) if path.is_file() else {}
    for concept, parts in sizes.items():
        valid = isinstance(parts, dict) and all(isinstance(n, int) and n > 0 for n in parts.values())
        if not valid or set(parts) - {"train", "val", "test"}:
            raise ConfigError(f"{path}: '{concept}' must look like {{train: 140, val: 30, test: 31}}")
    return sizes


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in changes.items():
        below = merged.get(name)
        both = isinstance(value, dict) and isinstance(below, dict)
        merged[name] = _merge(below, value) if both and below is not None else value
    return merged
