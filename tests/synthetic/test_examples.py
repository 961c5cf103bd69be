import numpy as np
import pytest
from PIL import Image

from drywallqa.errors import OutputError
from drywallqa.synthetic.examples import EXAMPLES, score_example, write_examples


def test_write_examples__writes_two_of_each_kind_and_a_second_run_writes_the_same(tmp_path):
    walls = write_examples(tmp_path / "photos", (64, 64))
    written = sorted((tmp_path / "photos").iterdir())
    assert [path.name for path in written] == sorted(f"{name}.png" for name in walls)
    assert sorted(wall.kind for wall in walls.values()) == sorted(["crack", "seam", "both", "neither"] * 2)
    contents = [path.read_bytes() for path in written]
    write_examples(tmp_path / "photos", (64, 64))
    assert [path.read_bytes() for path in written] == contents
    with Image.open(written[0]) as image:
        assert image.size == (64, 64)
    assert len({example.seed for example in EXAMPLES}) == len(EXAMPLES)


def test_write_examples__folder_that_is_a_file_is_refused_by_name(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="taken"):
        write_examples(tmp_path / "taken", (64, 64))


@pytest.mark.parametrize("concept", ["crack", "taping area"])
def test_agreement__perfect_empty_and_full_masks(tmp_path, concept):
    walls = write_examples(tmp_path, (64, 64))
    truths = {name: wall.labels[concept] for name, wall in walls.items()}
    perfect = score_example(truths, concept, truths)
    assert len(perfect.overlaps) == len(perfect.false_areas) == 4
    assert (perfect.mean_overlap, perfect.false_alarms) == (1.0, 0)
    nothing = score_example(truths, concept, {name: np.zeros((64, 64), np.bool_) for name in walls})
    assert (nothing.mean_overlap, nothing.false_alarms) == (0.0, 0)
    everything = score_example(truths, concept, {name: np.ones((64, 64), np.bool_) for name in walls})
    assert 0 < everything.mean_overlap < 0.7
    assert everything.false_alarms == 4
