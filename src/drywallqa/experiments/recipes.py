"""Recipes: training settings in a folder of YAML files, each saying what it changes of a common base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from drywallqa.errors import ConfigError
from drywallqa.files import write_whole
from drywallqa.models import registry
from drywallqa.training import config as configuration
from drywallqa.training.config import TrainConfig

BASE, SIZES = "base.yaml", "sizes.yaml"
"""Files of the folder that are no recipes: what all of them start from, and how many photos they train on."""


@dataclass(frozen=True)
class Recipe:
    """One training.

    Attributes:
        name: The file's stem.
        title: Its first line, a comment.
        settings: The base's settings with its own laid over them.
    """

    name: str
    title: str
    settings: Mapping[str, Any]

    def write(self, folder: Path) -> Path:
        """Write the whole settings as a file that `drywallqa train --config` takes."""
        path = folder / f"{self.name}.yaml"
        text = yaml.safe_dump(dict(self.settings), sort_keys=False, allow_unicode=True)
        write_whole(path, f"# {self.title}\n{text}".encode())
        return path


def read_recipes(folder: Path, only: Sequence[str] = ()) -> list[Recipe]:
    """Read a folder of recipes, in the order of their names.

    Args:
        folder: Holds `base.yaml` and a file a recipe.
        only: Names of the recipes that are wanted; all where there is none.

    Raises:
        ConfigError: There is no recipe, one that is wanted is missing, or a file is not as it should be.
    """
    files = {path.stem: path for path in sorted(folder.glob("*.yaml")) if path.name not in (BASE, SIZES)}
    if not files:
        raise ConfigError(f"{folder}: no recipe; it is a folder of YAML files, such as configs/report")
    for name in only:
        if name not in files:
            raise ConfigError(f"{folder}: no recipe '{name}'; there are {', '.join(files)}")
    base = read_yaml(folder / BASE) if (folder / BASE).is_file() else {}
    return [
        Recipe(name, _title(path), _laid_over(base, read_yaml(path)))
        for name, path in files.items()
        if name in only or not only
    ]


def read_sizes(folder: Path) -> dict[str, dict[str, int]]:
    """Read how many photos of each concept every part gets; nothing where the folder does not say.

    Raises:
        ConfigError: The file says something else.
    """
    path = folder / SIZES
    sizes = read_yaml(path) if path.is_file() else {}
    for concept, parts in sizes.items():
        sound = isinstance(parts, dict) and all(isinstance(n, int) and n > 0 for n in parts.values())
        if not sound or set(parts) - {"train", "val", "test"}:
            raise ConfigError(f"{path}: '{concept}' must be as {{train: 140, val: 30, test: 31}}")
    return sizes


def read_yaml(path: Path) -> dict[str, Any]:
    """Read names and values.

    Raises:
        ConfigError: The file is missing, damaged, or holds something else.
    """
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML ({error})") from error
    if not isinstance(read, dict):
        raise ConfigError(f"{path}: must hold names and values, not {type(read).__name__}")
    return read


def resolve(path: Path, settings: Sequence[str]) -> TrainConfig:
    """Read settings as `drywallqa train` does, a family's defaults under them included."""
    loaded = configuration.load_config(path, settings)
    return configuration.load_config(
        path, settings, registry.find_family(loaded.model.name).training_defaults
    )


def _title(path: Path) -> str:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.lstrip("# ").strip() if first.startswith("#") else path.stem


def _laid_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    laid = dict(base)
    for name, value in over.items():
        below = laid.get(name)
        both = isinstance(value, dict) and isinstance(below, dict)
        laid[name] = _laid_over(below, value) if both and below is not None else value
    return laid
