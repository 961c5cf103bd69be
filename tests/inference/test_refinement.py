"""Refinements of masks: each step against a truth that is known, and through the segmenter."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from drywallqa.bundle.bundle import ConceptSettings
from drywallqa.cli import main
from drywallqa.errors import ConfigError
from drywallqa.imaging.morphology import label_components, without_holes, without_small
from drywallqa.inference import gap_bridging
from drywallqa.inference.refinement import (
    NONE,
    STEPS,
    BilateralGrid,
    Refinement,
    morphology,
    parse_refinements,
)
from drywallqa.inference.segmenter import Segmenter
from drywallqa.metrics import Counts
from fakes import FakeBundle, wall

SIDE = 200
UNIT = 1.0


def line(gap: tuple[int, int] = (0, 0), thickness: int = 4) -> np.ndarray:
    """A slanting line across a picture, with a gap between two columns."""
    row, column = np.mgrid[:SIDE, :SIDE]
    mask = np.abs(row - 80 - column // 4) <= thickness
    mask[:, gap[0] : gap[1]] = False
    return mask


def coarse(mask: np.ndarray, cell: int = 10) -> np.ndarray:
    """A probability that knows a mask in cells only."""
    shares = mask.reshape(SIDE // cell, cell, SIDE // cell, cell).mean(axis=(1, 3))
    return np.kron(0.1 + 0.8 * shares, np.ones((cell, cell))).astype(np.float32)


@pytest.mark.parametrize("text", ["none", "guided", "guided+join", "crf+morphology+join", " Guided + JOIN "])
def test_parse__reads_what_it_writes(text: str) -> None:
    found = Refinement.parse(text)
    assert Refinement.parse(str(found)) == found
    assert bool(found) == (text != NONE)


@pytest.mark.parametrize("text", ["", "sharpen", "none+guided", "join+join", "guided,join"])
def test_parse__what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="; pass none, or one"):
        Refinement.parse(text)


def test_parse__soft_steps_run_before_hard_ones() -> None:
    assert str(Refinement.parse("join+guided")) == "guided+join"
    assert len(parse_refinements(["join+guided", "guided+join", "none"])) == 2


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.floats(0.1, 0.9), st.integers(0, 10**6), st.booleans())
def test_pieces__are_those_of_the_oracle(
    height: int, width: int, share: float, seed: int, corners: bool
) -> None:
    measure = pytest.importorskip("skimage.measure", reason="the oracle is not installed")
    mask = np.random.default_rng(seed).random((height, width)) < share
    ours, theirs = (
        label_components(mask, corners=corners),
        measure.label(mask, connectivity=2 if corners else 1),
    )
    assert np.array_equal(ours > 0, mask)
    pairs = set(zip(ours.ravel().tolist(), theirs.ravel().tolist(), strict=True))
    assert len(pairs) == len({own for own, _ in pairs}) == len({other for _, other in pairs})


def test_pieces__small_ones_and_holes_go_and_the_border_is_no_hole() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:12, 2:12] = True
    mask[5:7, 5:7] = False  # a hole
    mask[0, 15] = True  # a speck; around it lies the outside, which reaches the border
    assert np.array_equal(without_small(mask, 2), mask & (np.arange(20) < 15))
    filled = without_holes(mask, 5)
    assert filled[5:7, 5:7].all()
    assert filled.sum() == mask.sum() + 4
    assert np.array_equal(without_holes(mask, 4), mask)


def test_morphology__closes_slits_and_drops_specks_but_keeps_the_shape() -> None:
    whole = line(thickness=8)
    worn = whole.copy()
    worn[:, 60:62] = False
    worn[10:14, 10:14] = True
    mended = morphology(worn, UNIT)
    assert Counts.of(mended, whole).iou > 0.99
    assert Counts.of(worn, whole).iou < 0.99
    assert not mended[10:14, 10:14].any()


def test_morphology__full_and_empty_masks_stay() -> None:
    for mask in (np.zeros((30, 40), bool), np.ones((30, 40), bool)):
        assert np.array_equal(morphology(mask, UNIT), mask)


def test_join__bridges_a_gap_where_the_model_half_believes() -> None:
    whole, broken = line(), line(gap=(90, 110))
    probability = np.where(broken, 0.9, np.where(whole, 0.35, 0.05)).astype(np.float32)
    joined = gap_bridging.join_gaps(broken, probability, UNIT)
    assert (label_components(broken).max(), label_components(joined).max()) == (2, 1)
    assert Counts.of(joined, whole).iou > 0.94


@pytest.mark.parametrize("case", ["no belief", "too far", "side by side"])
def test_join__leaves_apart_what_does_not_belong_together(case: str) -> None:
    mask = line(gap=(60, 140)) if case == "too far" else line(gap=(90, 110))
    belief = 0.02 if case == "no belief" else 0.6
    if case == "side by side":
        mask = np.zeros((SIDE, SIDE), bool)
        mask[50:54, 20:180] = mask[70:74, 20:180] = True
    probability = np.where(mask, 0.9, belief).astype(np.float32)
    assert np.array_equal(gap_bridging.join_gaps(mask, probability, UNIT), mask)


def test_join__is_found_in_large_photos_too() -> None:
    factor = 5
    large = [np.kron(m, np.ones((factor, factor), bool)) for m in (line(), line(gap=(90, 110)))]
    probability = np.where(large[1], 0.9, np.where(large[0], 0.35, 0.05)).astype(np.float32)
    joined = gap_bridging.join_gaps(large[1], probability, float(factor))
    assert label_components(joined).max() == 1
    assert Counts.of(joined, large[0]).iou > 0.93


def dark_line(mask: np.ndarray) -> np.ndarray:
    grain = np.random.default_rng(6).normal(0, 6, mask.shape)
    grey = np.clip(np.where(mask, 60, 190) + grain, 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


@pytest.mark.parametrize("name", ["guided", "crf"])
def test_soft__brings_a_coarse_probability_to_the_edges_of_the_photo(name: str) -> None:
    truth = line(thickness=6)
    probability = coarse(truth)
    found = Refinement.parse(name).soften(dark_line(truth), probability, UNIT)
    assert found.dtype == np.float32
    assert found.shape == truth.shape
    assert 0 <= found.min() <= found.max() <= 1
    best = max(Counts.of(probability > t, truth).iou for t in np.linspace(0.1, 0.9, 17))
    assert max(Counts.of(found > t, truth).iou for t in np.linspace(0.1, 0.9, 17)) > best + 0.03


@pytest.mark.parametrize("name", ["guided", "crf"])
@pytest.mark.parametrize("size", [(1, 1), (1, 50), (700, 90)])
def test_soft__any_size_and_even_probabilities_stay_even(name: str, size: tuple[int, int]) -> None:
    photo = np.random.default_rng(7).integers(0, 256, (*size, 3), np.uint8)
    for level in (0.0, 1.0):
        found = Refinement.parse(name).soften(photo, np.full(size, level, np.float32), max(size) / 640)
        assert np.abs(found - level).max() < 0.01


def test_bilateral_grid__averages_like_the_sum_over_all_pairs() -> None:
    generator = np.random.default_rng(8)
    guide = generator.random((14, 18)).astype(np.float32)
    values = (generator.random((14, 18)) < 0.3).astype(np.float32)
    found = BilateralGrid(guide, 6.0, 0.25).filter(values)
    row, column = np.mgrid[:14, :18]
    points = np.stack([row.ravel() / 6, column.ravel() / 6, guide.ravel() / 0.25], axis=1)
    # interpolating into the grid and out of it widens the kernel a little: 1/6 of a cell² each way
    wide = 1 + 2 / 6
    kernel = np.exp(-((points[:, None] - points[None]) ** 2).sum(axis=2) / 2 / wide)
    expected = (kernel @ values.ravel()) / kernel.sum(axis=1)
    assert np.abs(found.ravel() - expected).max() < 0.06
    assert np.corrcoef(found.ravel(), expected)[0, 1] > 0.97


def test_segmenter__auto_is_what_the_bundle_says_and_none_turns_it_off() -> None:
    photo = wall(96, 128)
    photo[4:6, 4:6] = (230, 20, 20)  # a speck
    bundle = FakeBundle(concepts={"crack": ConceptSettings(refine="morphology")})
    segmenter = Segmenter(bundle)
    (auto,) = segmenter.segment(photo, "crack")
    (plain,) = segmenter.segment(photo, "crack", refine="none")
    assert plain.mask[4:6, 4:6].any()
    assert not auto.mask[:8, :8].any()
    assert auto.mask.sum() > 0.9 * (plain.mask.sum() - 16)
    (asked,) = Segmenter(FakeBundle()).segment(photo, "crack", refine="morphology", keep_probability=False)
    assert np.array_equal(asked.mask, auto.mask)
    assert asked.probability is None


@pytest.mark.parametrize("scale", ["fit", "native"])
@pytest.mark.parametrize("step", STEPS)
def test_segmenter__every_step_runs_whole_and_in_tiles(step: str, scale: str) -> None:
    segmenter = Segmenter(FakeBundle())
    photo = wall(120, 160, seam=True)
    plain, refined = (
        segmenter.segment(photo, ["crack", "seam"], refine=r, scale=scale) for r in ("none", step)
    )
    for before, after in zip(plain, refined, strict=True):
        assert before.mask.any()
        assert Counts.of(after.mask, before.mask).iou > 0.75


def test_segment__refine_is_an_option_and_a_rerun_knows_it(
    fake_bundle: FakeBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(wall(64, 96)).save(tmp_path / "wall.png")
    command = ["segment", str(tmp_path / "wall.png"), "--prompt", "crack", "--out", str(tmp_path / "out")]
    assert main([*command, "--refine", "morphology"]) == 0
    assert main([*command, "--refine", "morphology"]) == 0
    assert "1 already done" in capsys.readouterr().out
    assert "morphology" in (tmp_path / "out" / "manifest.jsonl").read_text()
    assert main(command) == 3
    assert "other settings" in capsys.readouterr().err
    assert main([*command, "--refine", "sharpen"]) == 2
    assert "unknown refinement 'sharpen'" in capsys.readouterr().err
