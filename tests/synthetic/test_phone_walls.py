import numpy as np
import pytest

from drywallqa.errors import ConfigError
from drywallqa.synthetic.camera import ISOS, Camera, develop_photo, smooth_noise
from drywallqa.synthetic.canvas import Canvas
from drywallqa.synthetic.objects import draw_objects
from drywallqa.synthetic.phone_cracks import WIDTHS, add_phone_cracks
from drywallqa.synthetic.phone_details import DETAILS
from drywallqa.synthetic.phone_walls import SURFACES, render_phone_wall
from drywallqa.synthetic.walls import KINDS

SIZE = (300, 400)


def seed(number):
    return [8_000_000, number]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", range(4))
def test_render_phone_wall__truth_fits_the_kind(kind, number):
    wall = render_phone_wall(seed(number), SIZE, kind)
    assert wall.photo.shape == (*SIZE, 3)
    assert wall.photo.dtype == np.uint8
    assert 10 < wall.photo.mean() < 250
    assert bool(wall.cracks) == (kind in ("crack", "both"))
    assert wall.crack_mask.any() == (kind in ("crack", "both"))
    assert bool(wall.seam_lines) == (kind in ("seam", "both"))
    assert wall.taping_area.any() == (kind in ("seam", "both"))


def test_render_phone_wall__same_seed_same_wall_other_seed_another():
    first, again, other = (render_phone_wall(seed(number), SIZE, "both") for number in (3, 3, 4))
    assert (first.photo == again.photo).all()
    assert (first.crack_mask == again.crack_mask).all()
    assert (first.photo != other.photo).any()


@pytest.mark.parametrize("surface", SURFACES)
def test_render_phone_wall__neighbouring_px_differ_on_every_surface(surface):
    wall = render_phone_wall(seed(1), SIZE, "neither", surface_name=surface)
    grey = wall.photo.mean(-1)
    assert wall.surface == surface
    assert np.median(np.abs(np.diff(grey))) > 0.2


@pytest.mark.parametrize("width", WIDTHS)
def test_add_phone_cracks__are_as_wide_as_stated_in_px_at_every_size(width):
    for side in (600, 1200):
        canvas = Canvas.plain((side, side), (0.8, 0.8, 0.8), np.random.default_rng(seed(width)))
        main = add_phone_cracks(canvas, [width])[0]
        assert main.width == width
        # On a slanting line of single px each px of length covers up to one and a half.
        assert 0.7 * width < main.mask.sum() / len(main.centreline) < 1.3 * width + 0.3


def test_add_phone_cracks__centreline_runs_inside_the_mask_one_point_a_px():
    canvas = Canvas.plain((800, 800), (0.8, 0.8, 0.8), np.random.default_rng(seed(2)))
    before = canvas.colour.copy()
    for crack in add_phone_cracks(canvas, [8, 20]):
        whole = np.zeros(canvas.size, np.bool_)
        whole[crack.box] = crack.mask
        x, y = crack.centreline.astype(int).T
        assert whole[y, x].mean() > 0.9
        steps = np.hypot(*np.diff(crack.centreline, axis=0).T)
        assert np.median(steps) == pytest.approx(1, abs=0.1)
        assert (canvas.colour[1][whole] < before[1][whole]).mean() > 0.95


def test_add_phone_cracks__stay_inside_their_region():
    canvas = Canvas.plain((400, 400), (0.8, 0.8, 0.8), np.random.default_rng(seed(5)))
    region = np.zeros(canvas.size, np.bool_)
    region[:, :250] = True
    for crack in add_phone_cracks(canvas, [3, 5], region):
        assert (crack.centreline[:, 0] < 250).all()
        whole = np.zeros(canvas.size, np.bool_)
        whole[crack.box] = crack.mask
        assert not (whole & ~region).any()


def test_phone_crack__without_what_things_in_front_hide():
    canvas = Canvas.plain((400, 400), (0.8, 0.8, 0.8), np.random.default_rng(seed(6)))
    crack = add_phone_cracks(canvas, [12])[0]
    hidden = np.zeros(canvas.size, np.bool_)
    middle = int(np.median(crack.centreline[:, 0]))
    hidden[:, :middle] = True
    left = crack.without(hidden)
    assert 0 < len(left.centreline) < len(crack.centreline)
    assert (left.centreline[:, 0] >= middle - 0.5).all()
    assert 0 < left.mask.sum() < crack.mask.sum()


def test_develop__noise_grows_with_iso_and_denoising_makes_it_smooth():
    def photo(**settings):
        lit = np.full((3, 200, 200), 0.6, np.float32)
        camera = Camera(**{"denoise": 0.0, "sharpen": 0.0, "contrast": 0.0, "quality": 95} | settings)
        return develop_photo(lit, camera, np.random.default_rng(0)).mean(-1)

    spreads = [photo(iso=iso).std() for iso in ISOS]
    assert spreads == sorted(spreads)
    assert spreads[-1] > 3 * spreads[0]
    raw, clean = photo(iso=800), photo(iso=800, denoise=1.0)
    assert clean.std() < 0.7 * raw.std()

    def neighbours(grey):
        return np.corrcoef(grey[:, :-1].ravel(), grey[:, 1:].ravel())[0, 1]

    assert neighbours(clean) > neighbours(raw) + 0.2


def test_develop__sharpening_leaves_halos_beside_an_edge():
    lit = np.full((3, 64, 64), 0.7, np.float32)
    lit[:, :, 32:] = 0.3
    settings = {"iso": 50, "denoise": 1.0, "contrast": 0.0, "quality": 95}
    plain = develop_photo(lit.copy(), Camera(sharpen=0.0, **settings), np.random.default_rng(0))
    sharp = develop_photo(lit.copy(), Camera(sharpen=1.5, **settings), np.random.default_rng(0))
    assert sharp[:, 27:32].max() > plain[:, 27:32].max() + 10
    assert sharp[:, 32:37].min() < plain[:, 32:37].min() - 10


def test_smooth__keeps_the_sum_and_has_the_stated_deviation():
    plane = np.zeros((41, 41), np.float32)
    plane[20, 20] = 1
    smooth_noise(plane, 1.5)
    assert plane.sum() == pytest.approx(1, abs=1e-4)
    assert np.sqrt((plane.sum(0) * (np.arange(41) - 20) ** 2).sum()) == pytest.approx(1.5, abs=0.02)


@pytest.mark.parametrize("name", DETAILS)
def test_draw_objects__each_detail_leaves_a_mark_that_keeps_colours_valid(name):
    canvas = Canvas.plain((500, 600), (0.6, 0.6, 0.6), np.random.default_rng(seed(7)))
    draw_objects(canvas, [name], DETAILS)
    assert (np.abs(canvas.colour - 0.6) > 0.02).any()
    assert canvas.colour.min() >= -1e-6
    assert canvas.colour.max() <= 1 + 1e-6


def test_render_phone_wall__unknown_words_tiny_sizes_and_joints_on_walls_are_refused():
    with pytest.raises(ConfigError, match="kind"):
        render_phone_wall(0, SIZE, "dog")
    with pytest.raises(ConfigError, match="surface"):
        render_phone_wall(0, SIZE, "crack", surface_name="velvet")
    with pytest.raises(ConfigError, match="joints"):
        render_phone_wall(0, SIZE, "seam", surface_name="paint")
    with pytest.raises(ConfigError, match="too small"):
        render_phone_wall(0, (8, 200), "crack")
