import numpy as np
import pytest

from drywallqa.synthetic.composite import STILL, Pasting, composites, paste_crack


def make_crack(size=128, wall=180, core=40):
    generator = np.random.default_rng(0)
    photo = np.clip(wall + generator.normal(0, 4, (size, size, 3)), 0, 255).astype(np.uint8)
    mask = np.zeros((size, size), np.bool_)
    middle = size // 2
    photo[20 : size - 20, middle - 1 : middle + 2] = core
    mask[20 : size - 20, middle - 6 : middle + 7] = True
    return photo, mask


def make_board(size=128, level=120):
    generator = np.random.default_rng(1)
    board = np.clip(level + generator.normal(0, 3, (size, size, 3)), 0, 255).astype(np.uint8)
    board[size // 3 : size // 3 + 2] = 30
    taping = np.zeros((size, size), np.bool_)
    taping[size // 3 - 6 : size // 3 + 8] = True
    return board, taping


@pytest.mark.parametrize("relief_share", [0.0, 1.0])
def test_paste_crack__darkens_only_around_the_returned_mask(relief_share):
    board, _ = make_board()
    pasting = Pasting(scale=(1.0, 1.0), shift=0.0, turn=False, flip=False, relief_share=relief_share)
    photo, mask = paste_crack(board, *make_crack(), np.random.default_rng(0), pasting)
    assert (mask == make_crack()[1]).all()
    changed = np.abs(photo.astype(int) - board).max(-1) > 12
    assert changed[60:100, 63:66].all()
    distant = np.ones_like(mask)
    distant[:, 52:77] = False
    assert (photo[distant] == board[distant]).all()


def test_paste_crack__keeps_the_seam_visible_beside_the_crack():
    board, _ = make_board()
    still = Pasting(scale=(1.0, 1.0), shift=0.0, turn=False, flip=False, relief_share=1.0)
    photo, mask = paste_crack(board, *make_crack(), np.random.default_rng(0), still)
    seam_inside_outline = photo[42:44][mask[42:44]]
    wall_inside_outline = photo[50:54][mask[50:54]]
    assert seam_inside_outline.mean() < 0.4 * wall_inside_outline.mean()


def test_paste_crack__removes_the_grain_of_the_crack_photos_wall():
    board, _ = make_board()
    still = Pasting(scale=(1.0, 1.0), shift=0.0, turn=False, flip=False, relief_share=1.0)
    photo, mask = paste_crack(board, *make_crack(), np.random.default_rng(0), still)
    flank = mask.copy()
    flank[:, 60:69] = False
    flank[:50] = False
    assert np.abs(photo[flank].astype(int) - board[flank]).mean() < 2


def test_paste_crack__black_padding_of_the_board_carries_no_truth():
    board, _ = make_board()
    board[64:] = 0
    photo, mask = paste_crack(board, *make_crack(), np.random.default_rng(0), STILL)
    assert mask[:62].any()
    assert not mask[72:].any()
    assert not photo[72:].any()


def test_paste_crack__another_size_and_aspect_of_board():
    board, _ = make_board(200)
    photo, mask = paste_crack(board[:120], *make_crack(64), np.random.default_rng(4))
    assert photo.shape == (120, 200, 3)
    assert mask.shape == (120, 200)


def test_paste_crack__empty_mask_gives_the_board_back():
    board, _ = make_board()
    crack, mask = make_crack()
    photo, truth = paste_crack(board, crack, np.zeros_like(mask), np.random.default_rng(0))
    assert (photo == board).all()
    assert not truth.any()


def test_composites__same_seed_same_pictures_and_samples_used_evenly():
    cracks = [make_crack(), make_crack(core=60), make_crack(wall=150)]
    boards = [make_board(), make_board(level=90)]
    first = list(composites(cracks, boards, count=6, seed=3))
    again = list(composites(cracks, boards, count=6, seed=3))
    other = list(composites(cracks, boards, count=6, seed=4))
    assert all(
        (a.photo == b.photo).all() and (a.crack == b.crack).all() for a, b in zip(first, again, strict=True)
    )
    assert any((a.photo != b.photo).any() for a, b in zip(first, other, strict=True))
    assert sorted(item.crack_index for item in first) == [0, 0, 1, 1, 2, 2]
    assert all((item.taping == boards[item.board_index][1]).all() for item in first)


def test_composites__no_crack_fits__says_so_instead_of_looping():
    crack, mask = make_crack()
    with pytest.raises(ValueError, match="no crack lies on a board"):
        list(composites([(crack, np.zeros_like(mask))], [make_board()], count=1))


def test_composites__no_samples__is_refused():
    with pytest.raises(ValueError, match="at least one"):
        next(composites([], [make_board()]))
