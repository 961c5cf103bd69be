import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from drywallqa.errors import OutputError, PhotoError
from drywallqa.imaging import mask_files


def test_file_name__plain() -> None:
    assert (
        mask_files.file_name("IMG_1_jpg.rf.0af3", "segment crack") == "IMG_1_jpg.rf.0af3__segment_crack.png"
    )


def test_slug__digest_where_more_than_spaces_is_lost() -> None:
    digest = hashlib.sha256(b"segment joint/tape").hexdigest()[:8]
    assert mask_files.slug_of("segment joint/tape") == f"segment_joint_tape-{digest}"
    assert mask_files.slug_of("hair-line 2") == "hair-line_2"


@pytest.mark.parametrize(
    "prompt", ["🔥", "segment_crack", "a  b", " a", "", "A", "../../etc/passwd", "x-0123abcd"]
)
def test_slug__digest_keeps_odd_prompts_apart(prompt: str) -> None:
    slug = mask_files.slug_of(prompt)
    assert slug.endswith("-" + hashlib.sha256(prompt.encode()).hexdigest()[:8])
    assert not set(slug) & set('/\\:*?"<>| .')


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.text(max_size=300), min_size=2, max_size=6, unique=True))
def test_file_name__prompts_never_meet(prompts: list[str]) -> None:
    names = [mask_files.file_name("wall", prompt).casefold() for prompt in prompts]
    assert len(set(names)) == len(names)


@settings(deadline=None)  # the machine may be busy
@given(st.text(min_size=1, max_size=300), st.text(max_size=300))
def test_file_name__valid_everywhere(image_id: str, prompt: str) -> None:
    name = mask_files.file_name(image_id, prompt)
    assert len(name.encode()) <= 120
    assert not set(name) & set('/\\:*?"<>|\0\n')
    assert name.endswith(".png")


@pytest.mark.parametrize("stem", ["CON", "con.rf", "Lpt1", "nul"])
def test_file_name__windows_devices(stem: str) -> None:
    assert mask_files.file_name(stem, "crack").split(".")[0].split("__")[0].lower() not in {
        "con",
        "lpt1",
        "nul",
    }


def test_file_name__long_photo_names_stay_apart() -> None:
    names = {mask_files.file_name("x" * 200 + end, "segment crack") for end in "ab"}
    assert len(names) == 2


def test_file_name__200_words() -> None:
    name = mask_files.file_name("wall", "crack " * 200)
    assert len(name) <= 120
    assert name.startswith("wall__crack_crack")


def test_write__format(tmp_path: Path) -> None:
    mask = np.zeros((5, 9), np.bool_)
    mask[2, 3:7] = True
    mask_files.write_mask_file(tmp_path / "new" / "m.png", mask)
    with Image.open(tmp_path / "new" / "m.png") as image:
        assert (image.mode, image.size, image.format) == ("L", (9, 5), "PNG")
        assert set(np.unique(np.asarray(image))) == {0, 255}
    assert np.array_equal(mask_files.read_mask(tmp_path / "new" / "m.png"), mask)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["m.png"]


@pytest.mark.parametrize(
    "bad", [np.zeros((3, 3), np.uint8), np.zeros((3, 3, 1), np.bool_), np.zeros((0, 3), np.bool_)]
)
def test_write__not_a_mask(tmp_path: Path, bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a mask must be boolean"):
        mask_files.write_mask_file(tmp_path / "m.png", bad)
    assert not list(tmp_path.iterdir())


def test_write__where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"m\.png: cannot be written"):
        mask_files.write_mask_file(tmp_path / "file" / "m.png", np.ones((2, 2), np.bool_))


def test_read__missing_or_damaged(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    for name in ("bad.png", "missing.png"):
        with pytest.raises(PhotoError, match=rf"{name}: the mask cannot be read"):
            mask_files.read_mask(tmp_path / name)


def test_encode__in_strips_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.random.default_rng(0).random((53, 41)) > 0.7
    monkeypatch.setattr(mask_files, "_STRIP", 41 * 7 + 3)
    content = mask_files.encode_mask(mask)
    assert content == mask_files.encode_mask(mask.copy())
    (tmp_path / "mask.png").write_bytes(content)
    with Image.open(tmp_path / "mask.png") as image:
        image.verify()
    with Image.open(tmp_path / "mask.png") as image:
        assert (image.mode, image.size) == ("L", (41, 53))
        assert set(np.unique(np.asarray(image))) == {0, 255}
    assert np.array_equal(mask_files.read_mask(tmp_path / "mask.png"), mask)
