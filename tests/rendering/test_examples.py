import numpy as np
import pytest
from PIL import Image

from drywallqa.errors import OutputError
from drywallqa.rendering.examples import EXAMPLES, agreement, write_examples


def test_write_examples__writes_two_of_each_kind_and_a_second_run_leaves_them_alone(tmp_path):
    walls = write_examples(tmp_path / "photos", (64, 64))
    written = sorted((tmp_path / "photos").iterdir())
    assert [path.name for path in written] == sorted(f"{name}.png" for name in walls)
    assert sorted(wall.kind for wall in walls.values()) == sorted(["crack", "seam", "both", "neither"] * 2)
    times = [path.stat().st_mtime_ns for path in written]
    write_examples(tmp_path / "photos", (64, 64))
    assert [path.stat().st_mtime_ns for path in written] == times
    with Image.open(written[0]) as image:
        assert image.size == (64, 64)
    assert len({example.seed for example in EXAMPLES}) == len(EXAMPLES)


def test_write_examples__folder_that_is_a_file_is_refused_by_name(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="taken"):
        write_examples(tmp_path / "taken", (64, 64))


def test_agreement__perfect_empty_and_full_masks(tmp_path):
    walls = write_examples(tmp_path, (64, 64))
    perfect = agreement(walls, lambda name, concept: walls[name].labels[concept])
    assert [item.concept for item in perfect] == ["crack", "taping area"]
    for item in perfect:
        assert len(item.overlaps) == len(item.false_alarms) == 4
        assert set(item.overlaps.values()) == {1.0}
        assert set(item.false_alarms.values()) == {0.0}
    nothing = agreement(walls, lambda name, concept: np.zeros((64, 64), np.bool_))
    assert all(set(item.overlaps.values()) == {0.0} for item in nothing)
    everything = agreement(walls, lambda name, concept: np.ones((64, 64), np.bool_))
    assert all(set(item.false_alarms.values()) == {1.0} for item in everything)
    assert all(0 < value < 0.7 for item in everything for value in item.overlaps.values())
