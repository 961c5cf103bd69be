"""The report's recipe trains a CLIP family to its text tower, and is measured through that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="the train extra is not installed")
pytest.importorskip("transformers", reason="the train extra is not installed")

from drywallqa.cli import main
from measured_walls import make_dataset
from tiny_runs import settings

BASE = Path(__file__).parents[2] / "configs" / "report" / "base.yaml"
SMALL = ("model.options.size=tiny", "optimisation.encoder_rate=1e-3", "optimisation.decoder_rate=1e-3")


@pytest.mark.prove
def test_ablate__clipseg_is_trained_to_its_text_tower(tmp_path: Path) -> None:
    from drywallqa.training.config import load_config
    from drywallqa.training.open_run import open_run

    make_dataset(tmp_path / "data")
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    (recipes / "base.yaml").write_text(BASE.read_text(encoding="utf-8"), encoding="utf-8")
    (recipes / "1-recipe.yaml").write_text("# the recipe as it was\n{}\n")
    out = tmp_path / "out"
    verb = ["ablate", str(recipes), "--data", str(tmp_path / "data"), "--out", str(out), "-q"]
    assert main([*verb, "--model", "clipseg", *settings(*SMALL)]) == 0
    (row,) = json.loads((out / "table.json").read_text(encoding="utf-8"))
    assert [measured["rule"] for measured in row["measured"]] == ["0.5", "chosen on val"]
    assert row["settings"]["model"]["name"] == "clipseg"
    opened = open_run(out / "runs" / "1-recipe").segmenter.open()
    embedded = opened.encode_prompts(["segment crack", "segment taping area"])
    assert embedded.shape == (2, opened.model.embedding_width)
    model = opened.model
    model.freeze(load_config(out / "runs" / "1-recipe" / "config.yaml").model.training)
    # what is left out has no part in any mask
    frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    assert all(name.startswith(model.stops) for name in frozen)
