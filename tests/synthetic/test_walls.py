import numpy as np
import pytest

from drywallqa.errors import ConfigError
from drywallqa.synthetic.surfaces import BOARDS, JOINTED, WALLS
from drywallqa.synthetic.walls import CRACK, KINDS, TAPING_AREA, WallOptions, render_wall

SIZE = (96, 128)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_render_wall__truth_fits_the_kind(kind, seed):
    wall = render_wall(seed, SIZE, kind)
    assert wall.photo.shape == (*SIZE, 3)
    assert wall.photo.dtype == np.uint8
    for truth in (wall.masks, wall.labels):
        assert set(truth) == {CRACK, TAPING_AREA}
        assert all(mask.shape == SIZE and mask.dtype == np.bool_ for mask in truth.values())
        assert truth[CRACK].any() == (kind in ("crack", "both"))
        assert truth[TAPING_AREA].any() == (kind in ("seam", "both"))
    assert bool(wall.seam_lines) == (kind in ("seam", "both"))


def test_render_wall__same_seed_same_wall_other_seed_another():
    first, again, other = (render_wall(seed, SIZE, "both") for seed in (3, 3, 4))
    assert (first.photo == again.photo).all()
    assert all((first.labels[concept] == again.labels[concept]).all() for concept in first.labels)
    assert (first.photo != other.photo).any()


@pytest.mark.parametrize("name", BOARDS + WALLS + JOINTED)
def test_render_wall__every_surface_is_a_photo_with_texture(name):
    wall = render_wall(1, SIZE, "neither", WallOptions(surface=name))
    assert wall.surface == name
    assert 15 < wall.photo.mean() < 250
    assert wall.photo.std() > 1


def test_render_wall__exact_crack_is_darker_than_what_lies_around_it():
    options = WallOptions(surface="paint", objects=(), crack_width=4.0)
    wall = render_wall(5, (320, 320), "crack", options)
    core, label = wall.masks[CRACK], wall.labels[CRACK]
    grey = wall.photo.mean(-1)
    assert grey[core].mean() < 0.85 * grey[label & ~core].mean()


def test_render_wall__labels_are_drawn_several_times_as_wide_as_the_crack():
    options = WallOptions(surface="paint", objects=(), crack_width=2.0)
    wall = render_wall(5, (320, 320), "crack", options)
    core, label = wall.masks[CRACK], wall.labels[CRACK]
    assert not (core & ~label).any()
    assert 2 < label.sum() / core.sum() < 15


def test_render_wall__seam_truth_lies_on_its_line_and_its_label_is_a_box_around_it():
    wall = render_wall(8, (320, 320), "seam", WallOptions(surface="grey board", objects=(), scene=False))
    band, box = wall.masks[TAPING_AREA], wall.labels[TAPING_AREA]
    assert not (band & ~box).any()
    for line in wall.seam_lines:
        x, y = ((a + b) / 2 for a, b in zip(line.start, line.end, strict=True))
        assert band[round(y), round(x)]


def test_render_wall__unknown_words_and_tiny_sizes_are_refused():
    with pytest.raises(ConfigError, match="kind"):
        render_wall(0, SIZE, "dog")
    with pytest.raises(ConfigError, match="surface"):
        render_wall(0, SIZE, "crack", WallOptions(surface="velvet"))
    with pytest.raises(ConfigError, match="object"):
        render_wall(0, SIZE, "crack", WallOptions(objects=("elephant",)))
    with pytest.raises(ConfigError, match="too small"):
        render_wall(0, (8, 200), "crack")
