"""An ablation: one training run for each recipe, and one table of their figures; it can be resumed.

Recipes are training settings in a folder of YAML files; each file holds its changes to a common base.
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
"""The common conditions of all rows; rows under other conditions could not be compared."""
BASE, SIZES = "base.yaml", "sizes.yaml"
"""Files of the folder that are no recipes: the common base, and the number of photos to train on."""

Row = dict[str, Any]
Report = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """The settings of one training.

    Attributes:
        name: The file's stem.
        title: Its first line, a comment.
        settings: The base's settings with the recipe's own changes.
    """

    name: str
    title: str
    settings: Mapping[str, Any]

    def write(self, folder: Path) -> Path:
        """Write all settings to a file that `drywallqa train --config` takes."""
        path = folder / f"{self.name}.yaml"
        text = yaml.safe_dump(dict(self.settings), sort_keys=False, allow_unicode=True)
        write_whole(path, f"# {self.title}\n{text}".encode())
        return path


@dataclass(frozen=True)
class AblationRequest:
    """The options of an ablation.

    Attributes:
        data: A data set, split.
        recipes: A folder of recipes; see `read_recipes`.
        out: The folder of everything written: photos, resolved recipes, runs, rows, tables.
        settings: `a.b=value`, applied to every recipe.
        only: Names of the recipes to run now; all where it is empty.
        scale: Pictures of an epoch, as a share of each recipe's own number.
        split: The part that rows are measured on; thresholds are chosen on val.
        seed: Decides which photos are taken.
        overwrite: Whether to remove an ablation under other conditions from `out`.
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
    """Train and measure every recipe that has no row yet, and write the tables after each.

    Args:
        request: The options.
        report: Called with a sentence for each step.

    Returns:
        All rows, sorted by the recipes' names.

    Raises:
        ConfigError: A recipe, or a setting applied to it, is not valid.
        DataError: The data set holds fewer photos than the recipes ask for.
        OutputError: Another ablation lies in the folder.
        StoppedError: Ctrl-C; the same command goes on.
    """
    recipes, sizes = read_recipes(request.recipes, request.only), read_sizes(request.recipes)
    data = load_dataset(request.data)
    _claim_folder(request, data, sizes)
    if sizes:
        folder = request.out / "data"
        if not (folder / "dataset.json").is_file():
            report(f"taking the photos of {request.recipes} into {folder}")
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
    """Write the conditions into the folder.

    Raises:
        OutputError: An ablation under other conditions lies there.
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
                f"{request.out}: holds a comparison under another {differing}; "
                "choose another --out, or replace it with --overwrite"
            )
        for name in ("data", "runs", "rows", "recipes") if differing else ():
            shutil.rmtree(request.out / name, ignore_errors=True)
    check_folder(request.out)
    write_whole(head, json_bytes(conditions))


def _make_row(request: AblationRequest, recipe: Recipe, data: Dataset, report: Report) -> Row:
    """Return a recipe's row: the one measured before, or a new one after training."""
    path = recipe.write(request.out / "recipes")
    config = load_config(path, request.settings)
    pictures = max(config.optimisation.batch_size, round(config.data.photos_per_epoch * request.scale))
    settings = (*request.settings, f"data.photos_per_epoch={pictures}")
    resolved = load_config(path, settings).model_dump(mode="json")
    row_path, run = request.out / "rows" / f"{recipe.name}.json", request.out / "runs" / recipe.name
    before: Row = json.loads(row_path.read_text(encoding="utf-8")) if row_path.is_file() else {}
    same = before.get("settings") == resolved
    if same and before.get("done"):
        report("done before")
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
    """Read from a run's log: steps, epochs, the mean loss of the last epoch, alarms."""
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
        folder: Holds `base.yaml` and a file for each recipe.
        only: Names of the recipes to read; all where it is empty.

    Raises:
        ConfigError: There is no recipe, a named recipe is missing, or a file is not valid.
    """
    files = {path.stem: path for path in sorted(folder.glob("*.yaml")) if path.name not in (BASE, SIZES)}
    if not files:
        raise ConfigError(f"{folder}: no recipe; it is a folder of YAML files, such as configs/report")
    for name in only:
        if name not in files:
            raise ConfigError(f"{folder}: no recipe '{name}'; there are {', '.join(files)}")
    base = read_yaml(folder / BASE) if (folder / BASE).is_file() else {}
    recipes = []
    for name in [name for name in files if name in only or not only]:
        settings = _merge(base, read_yaml(files[name]))
        first = files[name].read_text(encoding="utf-8").partition("\n")[0]
        title = first.lstrip("# ").strip() if first.startswith("#") else name
        recipes.append(Recipe(name, title, settings))
    return recipes


def read_sizes(folder: Path) -> dict[str, dict[str, int]]:
    """Read how many photos of each concept every part gets; empty where the folder does not say.

    Raises:
        ConfigError: The file is not valid.
    """
    path = folder / SIZES
    sizes = read_yaml(path) if path.is_file() else {}
    for concept, parts in sizes.items():
        valid = isinstance(parts, dict) and all(isinstance(n, int) and n > 0 for n in parts.values())
        if not valid or set(parts) - {"train", "val", "test"}:
            raise ConfigError(f"{path}: '{concept}' must be as {{train: 140, val: 30, test: 31}}")
    return sizes


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in changes.items():
        below = merged.get(name)
        both = isinstance(value, dict) and isinstance(below, dict)
        merged[name] = _merge(below, value) if both and below is not None else value
    return merged
