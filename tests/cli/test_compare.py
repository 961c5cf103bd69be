"""`drywallqa compare`: exit codes and what is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from compared_walls import LINE, SHIFT, write_visit
from drywallqa import cli

pytest.importorskip("cv2")


@pytest.mark.parametrize(
    ("width", "code", "text"), [(3.0, 0, "1 finding: 1 unchanged"), (6.0, cli.FOUND, "1 grown")]
)
def test_compare__exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], width: float, code: int, text: str
) -> None:
    before = write_visit(tmp_path / "a", [(LINE, 3.0)])
    after = write_visit(tmp_path / "b", [(LINE, width)], shift=SHIFT)
    assert cli.main(["compare", str(before), str(after), "--out", str(tmp_path / "out")]) == code
    assert text in capsys.readouterr().out


def test_compare__visits_that_do_not_match(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = write_visit(tmp_path / "a", [(LINE, 3.0)])
    after = write_visit(tmp_path / "b", [(LINE + 40, 3.0)], seed=7)
    assert cli.main(["compare", str(before), str(after), "--out", str(tmp_path / "out")]) == cli.FAILED
    assert "do not match" in capsys.readouterr().err
