"""Measuring a text side on lists, through the command line."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import drywallqa
from drywallqa.cli.train import check_text
from drywallqa.errors import DataError
from drywallqa.text_training.phrasing_lists import read_lists

FOLDER = Path(drywallqa.__file__).parent / "bundles" / "compact"


def test_check_text__rates_and_misses(tmp_path: Path) -> None:
    (tmp_path / "known.tsv").write_text("crack\twall crack\ntaping area\tboard seam\ncrack\tbanana\n")
    (tmp_path / "others.txt").write_text("# a comment\ndog\nno cracks\n")
    app = typer.Typer()
    app.command()(check_text)
    result = CliRunner().invoke(app, [str(FOLDER), str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "correct concept: 2 of 3 (66.7%)" in result.output
    assert "other phrasings refused: 2 of 2 (100.0%)" in result.output
    assert 'missed: "banana" (crack) read as unknown' in result.output


def test_read_lists__named_by_file_or_by_column(tmp_path: Path) -> None:
    (tmp_path / "taping_area.txt").write_text("seam\n")
    (tmp_path / "mixed.tsv").write_text("taping area\tjoint\nnear miss\ttape measure\n")
    assert read_lists(tmp_path, ["crack", "taping area"]) == {
        "taping area": ["joint", "seam"],
        None: ["tape measure"],
    }


@pytest.mark.parametrize("content", [None, "no tab here\n"])
def test_read_lists__says_what_is_wrong(content: str | None, tmp_path: Path) -> None:
    if content:
        (tmp_path / "known.tsv").write_text(content)
    with pytest.raises(DataError, match=tmp_path.name):
        read_lists(tmp_path, ["crack"])
