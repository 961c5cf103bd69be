"""Runs an ablation: trains one model per recipe and writes a table of results. Ablations can be resumed.

A recipe folder contains one YAML file per recipe. Each file lists the recipe's changes to the base settings.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from drywallqa.curation.subset import take_subset
from drywallqa.datasets.dataset import Dataset, load_dataset
from drywallqa.errors import AlarmError, ConfigError, OutputError
from drywallqa.experiments.ablation_table import Row, write_ablation_tables
from drywallqa.experiments.run_measure import measure_run
from drywallqa.files import check_folder, json_bytes, write_whole
from drywallqa.training.checkpoints import LAST
from drywallqa.training.config import load_config, read_yaml
from drywallqa.training.fit import TrainingRequest
from drywallqa.training.run_log import read_events
from drywallqa.training.train_run import run_training

HEAD = "ablation.json"
"""File with the conditions of the ablation. Only rows with the same conditions are comparable."""
BASE, SIZES = "base.yaml", "sizes.yaml"
"""Files in a recipe folder with the base settings and the number of photos per split."""


@dataclass(frozen=True)
class Recipe:
    """The settings of one training run.

    Attributes:
        name: Name of the recipe file without its suffix.
        title: The comment in the first line of the recipe file, or the recipe's name if there is no comment.
        settings: The base settings with the recipe's changes applied.
    """

    name: str
    title: str
    settings: Mapping[str, Any]


def run_ablation(
    request: TrainingRequest,
    folder: Path,
    only: Sequence[str],
    scale: float,
    split: str,
    seed: int,
    report: Callable[[str], None],
) -> list[Row]:
    """Train and measure every recipe without a result, and update the tables after each recipe.

    Args:
        request: The training options that all recipes share. The run folder in these options is the output
            folder, which contains photos, resolved recipes, runs, rows and tables. The option `overwrite`
            replaces an ablation with different conditions in this folder.
        folder: The folder of recipes; see `read_recipes`.
        only: Names of the recipes to run now; all recipes if empty.
        scale: Factor that multiplies each recipe's number of pictures per epoch.
        split: The split on which the trained models are measured. Thresholds are always chosen on val.
        seed: Seed for the choice of photos.
        report: Function that prints a line of progress.

    Returns:
        The results, one row per recipe, sorted by the names of the recipes.

    Raises:
        ConfigError: A recipe or a setting is invalid.
        DataError: The data set has fewer photos than the recipes require.
        OutputError: The output folder contains an ablation with different conditions.
        StoppedError: The user pressed Ctrl-C. The same command resumes the ablation.
    """
    recipes, sizes = read_recipes(folder, only), read_sizes(folder)
    data, out = load_dataset(request.data), request.run
    digest = hashlib.sha256()
    for name in ("manifest.jsonl", "dataset.json"):
        digest.update((data.folder / name).read_bytes())
    conditions = {
        "data": digest.hexdigest(), "sizes": sizes, "settings": list(request.settings),
        "scale": scale, "split": split, "seed": seed,
    }  # fmt: skip
    _claim_folder(out, conditions, request.overwrite)
    if sizes:
        copy = out / "data"
        if not (copy / "dataset.json").is_file():
            report(f"copying the photos for {folder} to {copy}")
            take_subset(data, sizes, copy, seed=seed)
        data = load_dataset(copy)
    rows: list[Row] = []
    for number, recipe in enumerate(recipes, 1):
        report(f"recipe {number} of {len(recipes)}, {recipe.name}: {recipe.title}")
        row = _make_row(request, recipe, data, scale, split, report)
        write_whole(out / "rows" / f"{recipe.name}.json", json_bytes(row))
        paths = sorted((out / "rows").glob("*.json"))
        rows = [row for row in (json.loads(p.read_text(encoding="utf-8")) for p in paths) if row.get("done")]
        write_ablation_tables(out, rows)
    return rows


def _claim_folder(folder: Path, conditions: dict[str, Any], overwrite: bool) -> None:
    """Write the conditions of an ablation to its output folder.

    Raises:
        OutputError: The folder contains an ablation with different conditions.
    """
    head = folder / HEAD
    if head.is_file():
        known = json.loads(head.read_text(encoding="utf-8"))
        differing = ", ".join(name for name in conditions if known.get(name) != conditions[name])
        if differing and not overwrite:
            raise OutputError(
                f"{folder}: contains an ablation with a different value of {differing}; "
                "choose another --out, or replace it with --overwrite"
            )
        for name in ("data", "runs", "rows", "recipes") if differing else ():
            shutil.rmtree(folder / name, ignore_errors=True)
    check_folder(folder)
    write_whole(head, json_bytes(conditions))


def _make_row(
    request: TrainingRequest,
    recipe: Recipe,
    data: Dataset,
    scale: float,
    split: str,
    report: Callable[[str], None],
) -> Row:
    """Return the existing result of a recipe. If there is none, train and measure the recipe."""
    out, path = request.run, request.run / "recipes" / f"{recipe.name}.yaml"
    text = yaml.safe_dump(dict(recipe.settings), sort_keys=False, allow_unicode=True)
    write_whole(path, f"# {recipe.title}\n{text}".encode())
    config = load_config(path, request.settings)
    pictures = max(config.optimisation.batch_size, round(config.data.photos_per_epoch * scale))
    settings = (*request.settings, f"data.photos_per_epoch={pictures}")
    resolved = load_config(path, settings).model_dump(mode="json")
    row_path, run = out / "rows" / f"{recipe.name}.json", out / "runs" / recipe.name
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
            replace(
                request, data=data.folder, run=run, config=path, settings=settings, resume=resume,
                overwrite=False,
            )
        )  # fmt: skip
    except AlarmError as error:
        return {**row, "stopped": str(error), **_training_figures(run)}
    report("measuring")
    return {**row, **_training_figures(run), **measure_run(run, data, split)}


def _training_figures(run: Path) -> Row:
    """Read a log: the numbers of steps and epochs, the mean loss of the last epoch, and the alarms."""
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
    """Read the recipes in a folder, sorted by name.

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
    """Read the number of photos per concept and split. Return an empty dict if there is no `sizes.yaml`.

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
        merged[name] = _merge(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return merged
