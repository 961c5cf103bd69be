"""`drywallqa rules` lists, shows and checks rule sets."""

from pathlib import Path

import pytest

from drywallqa.cli import main
from drywallqa.inspection.rules import PRESETS, preset_names


def test_lists_all_presets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in preset_names())
    assert "nhbc-9.1   NHBC Standards 9.1, walls and ceilings of new homes (UK) (default)" in out


@pytest.mark.parametrize("name", preset_names())
def test_shows_a_preset_with_its_source(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", name]) == 0
    out = capsys.readouterr().out
    assert "does not apply to:" in out
    assert "address: http" in out


def test_checks_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ours.yaml"
    text = (PRESETS / "nhbc-9.1.yaml").read_text(encoding="utf-8")
    path.write_text(text.replace("limit: 2 mm", "limit: 1 mm"), encoding="utf-8")
    assert main(["rules", str(path)]) == 0
    assert "largest width of a crack: at most 1 mm" in capsys.readouterr().out
    path.write_text(text.replace("limit: 2 mm", "limit: -2 mm"), encoding="utf-8")
    assert main(["rules", str(path)]) == 2
    assert "rules[0] (crack-width).limit: -2 mm is not above zero" in capsys.readouterr().err


def test_shows_one_rule_of_a_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "aci-224r:dry-air"]) == 0
    out = capsys.readouterr().out
    assert "0.41 mm" in out
    assert "0.30 mm" not in out
    assert main(["rules", "aci-224r:wet"]) == 2
    assert "the rule set aci-224r has no rule 'wet'" in capsys.readouterr().err
