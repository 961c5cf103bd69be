"""Sweeps and the learning-rate finder, through the command line."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning", reason="the train extra is not installed")
pytest.importorskip("optuna", reason="the train extra is not installed")

from PIL import Image

from drywallqa.cli import main
from drywallqa.errors import ConfigError
from drywallqa.experiments import optuna_sweep as sweeps
from drywallqa.experiments.optuna_sweep import parse_field
from drywallqa.sampling.pairs import TrainingPairs
from drywallqa.training.fit import TrainingRequest
from drywallqa.training.rate_finder import steepest
from tiny_runs import render, settings

FIELDS = ("--field", "optimisation.decoder_rate=1e-5..1e-2", "--field", "loss.name=bce_dice,focal")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("data"))


def sweep(data: Path, out: Path, *more: str) -> int:
    return main(["sweep", "--data", str(data), "--out", str(out), "-q", *FIELDS, *more, *settings()])


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_sweep__stopped_in_its_second_run_goes_on_and_ends_in_a_table(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original, drawn = TrainingPairs.__getitem__, []

    def pressed(self: TrainingPairs, index: int) -> Any:
        if index == 2:
            drawn.append(index)
            # each run looks at its first pictures thrice: for the sheet, the check, and the training
            if len(list(tmp_path.glob("s/trial-*"))) == 2 and (tmp_path / "s/trial-001/log.jsonl").is_file():
                signal.raise_signal(signal.SIGINT)
        return original(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingPairs, "__getitem__", pressed)
        assert sweep(data, tmp_path / "s", "--trials", "2") == 130
    assert "resume the sweep" in capsys.readouterr().err
    assert [row["trial"] for row in rows(tmp_path / "s")] == ["0"]
    first = (tmp_path / "s/trial-000/last.safetensors").read_bytes()
    assert sweep(data, tmp_path / "s", "--trials", "2") == 0
    assert (tmp_path / "s/trial-000/last.safetensors").read_bytes() == first
    table = rows(tmp_path / "s")
    assert sorted(row["trial"] for row in table) == ["0", "1"]
    assert float(table[0]["val IoU"]) >= float(table[1]["val IoU"])
    assert all(1e-5 <= float(row["optimisation.decoder_rate"]) <= 1e-2 for row in table)
    assert {row["loss.name"] for row in table} <= {"bce_dice", "focal"}
    assert len(json.loads((tmp_path / "s/trials.json").read_text())) == 2
    assert "val IoU" in capsys.readouterr().out
    with Image.open(tmp_path / "s/trials.png") as picture:
        assert picture.height > picture.width  # one chart for the trials and one for each field


def test_sweep__another_sweep_in_the_folder_is_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def trained(request: TrainingRequest) -> Path:
        request.run.mkdir(parents=True)
        return request.run

    monkeypatch.setattr(sweeps, "run_training", trained)
    monkeypatch.setattr(sweeps, "weights_header", lambda path: {"val/iou": "0.5"})
    assert sweep(data, tmp_path / "s", "--trials", "3") == 0
    assert sweep(data, tmp_path / "s", "--trials", "3") == 0, "what is done is not done again"
    assert sweep(data, tmp_path / "s", "--trials", "3", "--seed", "7") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert sweep(data, tmp_path / "s", "--trials", "2", "--seed", "7", "--overwrite") == 0
    assert len(rows(tmp_path / "s")) == 2


def test_sweep__proposes_no_settings_twice_after_an_interruption(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(request: TrainingRequest) -> Path:
        request.run.mkdir(parents=True)
        return request.run

    monkeypatch.setattr(sweeps, "run_training", trained)
    monkeypatch.setattr(sweeps, "weights_header", lambda path: {"val/iou": "0.5"})
    for trials in ("1", "2", "4"):
        assert sweep(data, tmp_path / "s", "--trials", trials) == 0
    tried = [row["optimisation.decoder_rate"] for row in rows(tmp_path / "s")]
    assert len(set(tried)) == 4
    assert sweep(data, tmp_path / "whole", "--trials", "4") == 0
    assert sorted(tried) == sorted(row["optimisation.decoder_rate"] for row in rows(tmp_path / "whole"))


def test_sweep__a_run_that_fails_is_a_line_of_the_table(data: Path, tmp_path: Path) -> None:
    fields = ["--field", "optimisation.batch_size=2,100"]
    verb = ["sweep", "--data", str(data), "--out", str(tmp_path / "s"), "-q", *fields, "--trials", "4"]
    assert main([*verb, *settings()]) == 0
    failed = [row for row in rows(tmp_path / "s") if row["problem"]]
    assert failed
    assert all(row["optimisation.batch_size"] == "100" for row in failed)
    assert "photos_per_epoch" in failed[0]["problem"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("optimisation.encoder_rat=1..2", r"nearest is 'optimisation\.encoder_rate'"),
        ("optimisation.encoder_rate", "name=low"),
        ("optimisation.encoder_rate=2..1", "lower end"),
        ("optimisation.encoder_rate=a..b", "not a range of numbers"),
        ("data.mix=[1,2]", "numbers, words"),
    ],
)
def test_field__mistakes_are_told(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_field(text)


def test_field__ranges_and_lists() -> None:
    wide, narrow = parse_field("optimisation.encoder_rate=1e-5..1e-3"), parse_field("data.window=64..320")
    assert (wide.log, type(wide.low)) == (True, float)
    assert (narrow.log, type(narrow.low)) == (False, int)
    assert str(narrow) == "data.window=64..320"
    assert parse_field("model.pretrained=true,false").values == (True, False)
    assert parse_field("loss.name=focal,bce_dice").values == ("focal", "bce_dice")
    assert parse_field("optimisation.weight_decay=0,1e-4").values == (0, 1e-4)


def test_find_rate__draws_a_curve_and_suggests(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r"
    verb = ["train", "--data", str(data), "--out", str(out), "--find-rate", *settings()]
    assert main(verb) == 0
    assert "--set optimisation.encoder_rate=" in capsys.readouterr().out
    with (out / "rates.csv").open(newline="") as file:
        measured = [float(row["factor"]) for row in csv.DictReader(file)]
    assert measured == sorted(measured)
    assert len(measured) > 20
    with Image.open(out / "rates.png") as picture:
        assert picture.width > 500
    assert not (out / "last.ckpt").exists()


def test_steepest__is_found_before_the_burst() -> None:
    factors = [10.0**power for power in range(-3, 4)]
    assert steepest(factors, [1.0, 1.0, 0.9, 0.5, 0.4, 2.0, 9.0]) == factors[2]
    assert steepest(factors, [1.0, 1.1, 1.2, 1.3, 2.0, 3.0, 4.0]) == factors[0]
