from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from drywallqa.errors import ConfigError
from drywallqa.inference.mask_kinds import DEFAULT_BAND, MaskKind, describe_unseen, usual_kind
from drywallqa.inference.queries import SegmentOptions

SIDE = 320


def wall(line: list[tuple[int, int]], width: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo with a dark line, and the line's own pixels."""
    canvas = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(canvas).line(line, fill=1, width=width)
    pixels = np.asarray(canvas) > 0
    noise = np.random.default_rng(5).normal(0, 2, pixels.shape)
    grey = np.clip(180 - 60 * pixels + noise, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2), pixels


def probability_of(outline: np.ndarray) -> np.ndarray:
    return np.where(outline, 0.9, 0.05).astype(np.float32)


def test_outline__is_the_mask_itself() -> None:
    outline = np.eye(8, dtype=np.bool_)
    photo = np.zeros((8, 8, 3), np.uint8)
    assert MaskKind().apply(photo, outline, probability_of(outline))[0] is outline


def test_crack__has_the_cracks_own_width() -> None:
    photo, crack = wall([(20, 40), (300, 260)], 4)
    outline = wall([(20, 40), (300, 260)], 22)[1]
    mask, _ = MaskKind("crack").apply(photo, outline, probability_of(outline))
    assert 0.8 < mask.sum() / crack.sum() < 1.25
    assert (mask & crack).sum() > 0.75 * crack.sum()


def test_crack__is_empty_where_no_line_is_seen() -> None:
    photo = wall([], 1)[0]
    outline = wall([(20, 40), (300, 260)], 14)[1]
    mask, unseen = MaskKind("crack").apply(photo, outline, probability_of(outline))
    assert not mask.any()
    assert unseen == 1


def test_crack__says_how_much_of_the_outline_shows_no_line() -> None:
    photo = wall([(20, 40), (300, 40)], 4)[0]
    seen, unseen = (wall([(20, row), (300, row)], 16)[1] for row in (40, 250))
    mask, share = MaskKind("crack").apply(photo, seen | unseen, probability_of(seen | unseen))
    assert mask[seen].any()
    assert not mask[unseen].any()
    assert share == pytest.approx(0.5, abs=0.05)
    assert describe_unseen(0.504) == "no line in 50% of the outline"
    assert describe_unseen(0.0) == describe_unseen(None) == ""


@pytest.mark.parametrize(
    ("thin", "straight", "kind"),
    [(True, False, "crack"), (True, True, "outline"), (False, False, "outline")],
)
def test_usual_kind__is_the_crack_itself_for_thin_crooked_concepts(
    thin: bool, straight: bool, kind: str
) -> None:
    assert usual_kind(thin, straight) == kind


def test_band__of_a_diagonal_joint_is_a_strip_and_not_its_box() -> None:
    seam = [(20, 20), (300, 300)]
    photo = wall(seam, 3)[0]
    box = np.zeros((SIDE, SIDE), np.bool_)
    box[20:300, 20:300] = True
    mask, _ = MaskKind("band", 24.0, straight=True).apply(photo, box, probability_of(box))
    strip = wall(seam, 1)[1]
    assert mask[strip].mean() > 0.9
    assert mask.sum() == pytest.approx(24 * np.hypot(280, 280), rel=0.15)
    assert not mask[60, 250]


def test_band__is_as_wide_as_usual_labels_by_default() -> None:
    photo = wall([(160, 10), (160, 310)], 3)[0]
    outline = wall([(160, 10), (160, 310)], 30)[1]
    mask, _ = MaskKind("band", straight=True).apply(photo, outline, probability_of(outline))
    assert mask[160].sum() == pytest.approx(DEFAULT_BAND * SIDE / 640, abs=1)


def test_band__follows_a_crack() -> None:
    path = [(20, 160), (160, 120), (300, 200)]
    photo = wall(path, 3)[0]
    outline = wall(path, 15)[1]
    mask, _ = MaskKind("band", 30.0).apply(photo, outline, probability_of(outline))
    assert mask[wall(path, 25)[1]].mean() > 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": "seam"}, "unknown kind of mask 'seam'; pass auto, outline, crack or band"),
        ({"band": 20.0}, "pass mask band"),
        ({"mask": "band", "band": 0.0}, "pass a positive number"),
        ({"mask": "band", "band": float("nan")}, "pass a positive number"),
    ],
)
def test_options__refuse_masks_that_do_not_exist(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SegmentOptions(**options)
