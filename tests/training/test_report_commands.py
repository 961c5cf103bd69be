"""The original report's commands beside ours: every option that the page names exists and is taken."""

import re
from pathlib import Path

import pytest

pytest.importorskip("pydantic")
pytest.importorskip("yaml")

from typer.main import get_command_from_info
from typer.models import CommandInfo

from drywallqa.experiments.ablation_runs import BASE
from drywallqa.training.config import load_config, read_yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
THEIRS = (
    "--data_dir", "--output_dir", "--epochs", "--batch_size", "--lr", "--image_size", "--num_workers",
    "--gradient_clip", "--use_weighted_loss", "--pos_weight", "--tune_threshold", "--threshold",
)  # fmt: skip


def rows() -> dict[str, str]:
    """Their option → ours, as the page's table has them."""
    table = PAGE[PAGE.index("| theirs | ours |") :].split("\n\n")[0].splitlines()[2:]
    cells = [line.strip("| ").split(" | ") for line in table]
    return {found[1]: cell[1] for cell in cells if (found := re.match(r"`(--\w+)", cell[0]))}


def options(verb: str) -> set[str]:
    module = __import__(f"drywallqa.cli.{verb}", fromlist=[verb])
    command = get_command_from_info(
        CommandInfo(verb, callback=getattr(module, verb)), pretty_exceptions_short=True, rich_markup_mode=None
    )
    return {name for parameter in command.params for name in parameter.opts}


def test_page__names_every_option_of_the_report() -> None:
    assert tuple(rows()) == THEIRS


@pytest.mark.parametrize("theirs", THEIRS)
def test_page__our_side_is_taken(theirs: str) -> None:
    ours = rows()[theirs]
    for setting in re.findall(r"--set (\S+=\S+?)`", ours):
        load_config(None, [setting])
    for verb, option in re.findall(r"drywallqa (\w+) (--[\w-]+)", ours):
        assert option in options(verb)
    for option in re.findall(r"^`(--[\w-]+)", ours):
        assert option in options("train")
    assert "`" in ours


def test_page__our_first_command_is_the_table_s_and_the_recipe_s() -> None:
    block = PAGE[PAGE.index("# ours\n") :].split("# their second")[0]
    settings = re.findall(r"--set (\S+)", block)
    table = PAGE[PAGE.index("| theirs | ours |") :].split("| **with the fixes**")[0]
    assert settings == re.findall(r"--set (\S+=\S+?)`", table)
    command, recipe = (
        load_config(None, settings).model_dump(),
        load_config(ROOT / "configs" / "report" / BASE).model_dump(),
    )
    for setting in settings:
        first, _, last = setting.partition("=")[0].rpartition(".")
        assert (command[first] if first else command)[last] == (recipe[first] if first else recipe)[last]
    assert read_yaml(ROOT / "configs" / "report" / BASE)
