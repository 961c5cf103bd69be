"""A run that was not exported is measured in torch, its thresholds chosen on validation."""

from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="the part 'train' is not installed")

from drywallqa.cli import main
from measured_walls import load_json
from tiny_runs import render, train


def test_evaluate__a_run_is_measured_like_a_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = render(tmp_path / "data")
    more = ["--count", "3", "--set", "t", "--split", "test", "--seed", "7"]
    assert main(["data", "render", str(data), *more]) == 0
    run, out = tmp_path / "run", tmp_path / "out"
    assert train(data, run) == 0
    before = sorted(path.name for path in run.iterdir())
    capsys.readouterr()
    command = ["evaluate", "--data", str(data), "--model", str(run), "-q", "--worst", "0"]
    assert main([*command, "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("run run on")
    assert "no hashes" not in told, "the train part of the data set is what the run was trained on"
    found = load_json(out / "evaluation.json")
    assert {question["concept"] for question in found["questions"]} == {"crack", "taping area"}
    assert found["photos"] == 3
    assert len(list((out / "pictures").glob("chosen-threshold__*.png"))) == 2
    assert sorted(path.name for path in run.iterdir()) == before

    assert main([*command, "--split", "train"]) == 1, "its own training photos are refused"
    assert "run run was trained on" in capsys.readouterr().err
    assert main([*command, "--write"]) == 2
    assert "cannot write metrics into the run" in capsys.readouterr().err
    (run / "last.ckpt").write_bytes(b"not a checkpoint")
    for checkpoint in run.glob("**/*.safetensors"):
        checkpoint.unlink()
    assert main(command) == 2
    assert "no readable checkpoint" in capsys.readouterr().err
