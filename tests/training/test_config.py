from pathlib import Path

import pytest

pytest.importorskip("pydantic")
pytest.importorskip("yaml")

from drywallqa.errors import ConfigError
from drywallqa.training.config import TrainConfig, known_names, load_config


def test_load__settings_lie_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("seed: 3\noptimisation:\n  epochs: 7\n")
    config = load_config(path, ["optimisation.epochs=9", "data.mix={a: 2.0}"])
    assert (config.seed, config.optimisation.epochs, config.data.mix) == (3, 9, {"a": 2.0})


def test_load__unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"'optimisation\.epoch' is not known; the nearest is 'optimisation\.epochs'"
    ):
        load_config(None, ["optimisation.epoch=3"])


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("optimisation.epochs=0", "optimisation.epochs"),
        ("data.window=50", "data.window"),
        ("data.composite_share=2", "data.composite_share"),
        ("seed", "name=value"),
        ("seed.a=1", "seed"),
    ],
)
def test_load__impossible_values_are_named(setting: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace(".", r"\.")):
        load_config(None, [setting])


def test_load__broken_yaml_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("seed: [")
    with pytest.raises(ConfigError, match=r"run\.yaml"):
        load_config(path)


def test_known_names__every_field_can_be_set() -> None:
    names = known_names()
    assert {"seed", "model.encoder", "data.window", "optimisation.batch_size"} <= set(names)
    assert TrainConfig.model_validate({}) == load_config()
