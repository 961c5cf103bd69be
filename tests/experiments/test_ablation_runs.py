"""Recipes to a table through the command line, on tiny pictures."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("lightning", reason="the train extra is not installed")

from drywallqa.cli import main
from drywallqa.experiments.ablation_runs import read_recipes, read_sizes
from drywallqa.experiments.run_measure import pair_loss
from drywallqa.training.config import load_config
from drywallqa.training.fit import TrainingRequest
from measured_walls import make_dataset
from tiny_runs import TINY, settings

REPORT = Path(__file__).parents[2] / "configs" / "report"
FEW = (*TINY, "optimisation.batch_size=2", "data.workers=0")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    make_dataset(folder)
    return folder


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipes")
    for name, text in {
        "base": "optimisation: {schedule: plateau, average_decay: 0, presence_weight: 0}\n",
        "sizes": "crack: {train: 3, val: 2, test: 2}\ntaping area: {train: 2, val: 2, test: 2}\n",
        "1-as-it-was": "# as it was\n{}\n",
        "2-focal": "# focal loss\nloss: {name: focal}\noptimisation: {presence_weight: 0.2}\n",
    }.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def ablate(recipes: Path, data: Path, out: Path, *more: str) -> int:
    return main(["ablate", str(recipes), "--data", str(data), "--out", str(out), "-q", *settings(), *more])


@pytest.fixture(scope="module")
def out(recipes: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison that was stopped after its first recipe, and gone on with."""
    folder = tmp_path_factory.mktemp("out") / "comparison"
    assert ablate(recipes, data, folder, "--only", "1-as-it-was") == 0
    assert (folder / "table.txt").read_text().count("1-as-it-was") == 3
    assert ablate(recipes, data, folder) == 0
    return folder


def test_ablate__leaves_a_table_with_every_recipe_under_both_thresholds(out: Path) -> None:
    rows = list(csv.DictReader((out / "table.csv").open()))
    kinds = {(row["recipe"], row["rule"], row["concept"]) for row in rows}
    assert len(kinds) == len(rows) == 2 * 2 * 2
    for row in rows:
        assert 0 <= float(row["iou"]) <= float(row["dice"]) <= 1
        assert 0 < float(row["loss"]) < 20
        assert (float(row["threshold"]) == 0.5) or row["rule"] == "chosen on val"
        # without a belief in presence the mask alone counts
        assert (float(row["presence"]) > 0) == (row["recipe"] == "2-focal")
    told = (out / "table.txt").read_text()
    for word in ("accuracy", "training loss", "2-focal: focal loss; 2 steps, 1 epochs"):
        assert word in told
    assert len(json.loads((out / "table.json").read_text())) == 2


def test_ablate__trains_on_the_sizes_that_the_recipes_ask_for(out: Path) -> None:
    lines = [json.loads(line) for line in (out / "data" / "manifest.jsonl").read_text().splitlines()]
    assert len(lines) == 5 + 4 + 4
    for name in ("1-as-it-was", "2-focal"):
        environment = json.loads((out / "runs" / name / "environment.json").read_text())
        assert environment["photos"] == {"train": 5, "val": 4, "test": 4}


def test_ablate__goes_on_where_it_was_stopped(
    recipes: Path, data: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """A recipe that is done is left alone; one cut off between training and measuring is not trained anew."""
    import drywallqa.experiments.ablation_runs as ablation

    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    place = copy / "rows" / "2-focal.json"
    row = json.loads(place.read_text())
    place.write_text(json.dumps({"settings": row["settings"], "done": False}))
    asked = []
    train = ablation.run_training

    def note(request: TrainingRequest) -> object:
        asked.append((request.run.name, request.resume))
        return train(request)

    monkeypatch.setattr(ablation, "run_training", note)
    assert ablate(recipes, data, copy) == 0
    assert asked == [("2-focal", True)]
    assert json.loads(place.read_text())["measured"] == row["measured"]
    assert ablate(recipes, data, copy) == 0
    assert len(asked) == 1
    assert "2-focal" in capsys.readouterr().out


def test_ablate__another_comparison_is_refused(recipes: Path, data: Path, out: Path, capsys) -> None:
    before = (out / "table.json").read_bytes()
    assert ablate(recipes, data, out, "--scale", "0.5") == 2
    error = capsys.readouterr().err
    assert "a different value of scale" in error
    assert "--overwrite" in error
    assert (out / "table.json").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("sizes", "crack: 3\n", "must look like"),
        ("1-a", "loss: {nmae: focal}\n", "the nearest is 'loss.name'"),
        ("1-a", "- a\n", "must contain names and values"),
        ("1-a", "a: [\n", "cannot be read as YAML"),
    ],
)
def test_ablate__a_bad_recipe_is_named(
    data: Path, tmp_path: Path, capsys, name: str, text: str, said: str
) -> None:
    (tmp_path / "1-a.yaml").write_text("{}\n")
    (tmp_path / f"{name}.yaml").write_text(text)
    assert ablate(tmp_path, data, tmp_path / "out") == 2
    assert said in capsys.readouterr().err


def test_ablate__a_recipe_that_is_not_there_is_answered_with_those_that_are(recipes, data, tmp_path, capsys):
    assert ablate(recipes, data, tmp_path / "out", "--only", "3-nothing") == 2
    assert "available recipes: 1-as-it-was, 2-focal" in capsys.readouterr().err
    assert ablate(tmp_path, data, tmp_path / "out") == 2
    assert "no recipe" in capsys.readouterr().err


def test_report_recipes__are_the_report_s_training(tmp_path: Path) -> None:
    known = {}
    for each in read_recipes(REPORT):
        file = tmp_path / f"{each.name}.yaml"
        file.write_text(yaml.safe_dump(each.settings))
        known[each.name] = load_config(file)
    recipe = known["1-recipe"]
    steps = recipe.optimisation
    assert (steps.epochs, steps.batch_size, steps.gradient_clip, steps.schedule, steps.patience) == (
        10, 2, 1.0, "plateau", 5,
    )  # fmt: skip
    assert steps.encoder_rate == steps.decoder_rate == 1e-4
    assert recipe.data.window == recipe.validation_window == 256
    assert read_sizes(REPORT) == {
        "crack": {"train": 140, "val": 30, "test": 31},
        "taping area": {"train": 175, "val": 37, "test": 38},
    }
    together = known["8-together"]
    for name in ("2-weighted", "5-rates", "6-augmented", "7-wrong-prompts"):
        alone = known[name]
        changed = [
            (part, field)
            for part in ("loss", "data", "optimisation")
            for field, value in getattr(alone, part)
            if getattr(getattr(recipe, part), field) != value
        ]
        assert changed, name
        for part, field in changed:
            value = getattr(getattr(alone, part), field)
            assert getattr(getattr(together, part), field) == value, (name, field)


def test_pair_loss__is_the_training_s_own_formula() -> None:
    import torch

    from drywallqa.training.losses import mask_loss

    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, (20, 30)).astype(np.float32)
    truth = generator.random((20, 30)) < 0.2
    tensors = [torch.from_numpy(values)[None, None] for values in (logits, truth.astype(np.float32))]
    expected = float(mask_loss(*tensors, torch.ones(1, 1), 1.0))
    probability = (1 / (1 + np.exp(-logits))).astype(np.float32)
    assert pair_loss(probability, truth) == pytest.approx(expected, rel=1e-4)
