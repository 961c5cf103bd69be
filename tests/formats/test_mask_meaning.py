"""The same mask in many encodings, through the reader: what is certain is read, the rest is asked for."""

import numpy as np
import pytest
from PIL import Image

from drywallqa.errors import DataError
from drywallqa.formats.annotations import ReadOptions
from drywallqa.formats.geometry import rasterise
from drywallqa.formats.mask_folders import read_mask_folders
from tiny_exports import square, write_photo

MARKED, OTHER, BORDER = square(8, 8, 24, 24), square(40, 40, 60, 48), square(6, 6, 26, 8)


def _write(root, *arrays, folder="masks"):
    for number, array in enumerate(arrays):
        write_photo(root / "images" / f"{number}.png", number)
        write_photo(root / folder / f"{number}.png", np.asarray(array).astype(np.uint8))
    return root


def _read(root, *values, invert=None):
    return read_mask_folders(root, ReadOptions.parse(values, invert))


def _masks(export):
    """Photo number and class → its mask; declared classes without a mask → None."""
    found = {}
    for entry in export.entries:
        found |= {(int(entry.path.stem), name): None for name in entry.declared}
        for shape in entry.shapes:
            found[int(entry.path.stem), shape.class_name] = rasterise(shape.geometry, 64, 64)
    return found


def _same(found, expected):
    assert set(found) == set(expected)
    for key, mask in expected.items():
        assert (found[key] is None) == (mask is None)
        assert mask is None or (found[key] == mask).all()


@pytest.mark.parametrize("value", [1, 120, 255])
def test_meaning__one_value_beside_black_is_the_foreground(value, tmp_path):
    export = _read(_write(tmp_path, MARKED * value, MARKED * 0))
    _same(_masks(export), {(0, "mask"): MARKED, (1, "mask"): None})
    assert export.problems == ()


def test_meaning__several_values_are_listed_and_refused(tmp_path):
    root = _write(tmp_path, MARKED * 100 + OTHER * 200, MARKED * 100)
    with pytest.raises(DataError) as caught:
        _read(root)
    text = str(caught.value)
    assert "100 (512 px in 2 files such as masks/0.png), 200 (160 px in masks/0.png)" in text
    assert '"100=CLASS", "100=background" or "100=ignore"' in text
    with pytest.raises(DataError, match=r"not certain: 200 \(160 px"):
        _read(root, "100=crack")


def test_meaning__values_are_counted_over_all_files_of_a_class(tmp_path):
    with pytest.raises(DataError, match=r"1 \(256 px in masks/0.png\), 2 \(160 px in masks/1.png\)"):
        _read(_write(tmp_path, MARKED * 1, OTHER * 2))


def test_meaning__mapped_values(tmp_path):
    root = _write(tmp_path, MARKED * 100 + OTHER * 200, MARKED * 100)
    mapped = _read(root, "100=crack", "200=stain")
    expected = {
        (0, "crack"): MARKED, (0, "stain"): OTHER,
        (1, "crack"): MARKED, (1, "stain"): None,
    }  # fmt: skip
    _same(_masks(mapped), expected)
    _same(_masks(_read(root, "200=background")), {(0, "mask"): MARKED, (1, "mask"): MARKED})
    ignored = _read(root, "200=ignore")
    _same(_masks(ignored), {(0, "mask"): MARKED, (1, "mask"): MARKED})
    first, second = ignored.entries
    assert (rasterise(first.ignored, 64, 64) == OTHER).all()
    assert second.ignored is None
    assert mapped.problems == ignored.problems == ()


def test_meaning__a_mapped_value_that_no_file_has_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no mask file has the value 7; correct --value 7="):
        _read(_write(tmp_path, MARKED * 1), "7=crack")


def test_meaning__255_beside_class_numbers_is_unlabelled(tmp_path):
    root = _write(tmp_path, np.where(BORDER, 255, MARKED), MARKED)
    export = _read(root)
    inside = MARKED & ~BORDER
    _same(_masks(export), {(0, "mask"): inside, (1, "mask"): MARKED})
    assert (rasterise(export.entries[0].ignored, 64, 64) == BORDER).all()
    assert [problem.kind for problem in export.problems] == ["unknown pixels"]
    assert "40 px in masks/0.png" in export.problems[0].text
    assert not export.problems[0].is_loss
    assert _read(root, "255=ignore").problems == ()
    _same(_masks(_read(root, "255=mask", "1=mask")), {(0, "mask"): inside | BORDER, (1, "mask"): MARKED})


def test_meaning__classes_and_border_in_one_file_are_asked_for_without_the_border(tmp_path):
    with pytest.raises(DataError, match=r"not certain: 1 \(\d+ px in masks/0.png\), 2 \(160 px"):
        _read(_write(tmp_path, np.where(BORDER, 255, MARKED + OTHER * 2)))


def test_meaning__the_border_colour_of_voc_is_unlabelled(tmp_path):
    pixels = np.zeros((64, 64, 3))
    pixels[MARKED], pixels[BORDER] = (128, 0, 0), (224, 224, 192)
    export = _read(_write(tmp_path, pixels))
    _same(_masks(export), {(0, "mask"): MARKED & ~BORDER})
    assert [problem.kind for problem in export.problems] == ["unknown pixels"]


def test_meaning__two_colours_without_black_are_asked_for(tmp_path):
    pixels = np.full((64, 64, 3), (0, 128, 0))
    pixels[MARKED] = (255, 0, 0)
    root = _write(tmp_path, pixels)
    with pytest.raises(DataError, match=r"#008000 \(3840 px in masks/0.png\), #ff0000 \(256 px"):
        _read(root)
    _same(_masks(_read(root, "#ff0000=crack", "#008000=background")), {(0, "crack"): MARKED})


def test_meaning__two_greys_without_black_are_asked_for(tmp_path):
    with pytest.raises(DataError, match=r"50 \(3840 px in masks/0.png\), 200 \(256 px"):
        _read(_write(tmp_path, np.where(MARKED, 200, 50)))


def test_meaning__masks_that_mark_most_of_a_photo_are_asked_about(tmp_path):
    root = _write(tmp_path, ~MARKED * 255, MARKED * 0 + 255, OTHER * 255)
    with pytest.raises(DataError) as caught:
        _read(root)
    assert "2 of 3 mask files mark more than 50% of their photo (such as masks/0.png: 94%)" in str(
        caught.value
    )
    assert "--invert yes" in str(caught.value)
    inverted = _masks(_read(root, invert="yes"))
    _same(inverted, {(0, "mask"): MARKED, (1, "mask"): None, (2, "mask"): ~OTHER})
    kept = _masks(_read(root, invert="no"))
    _same(kept, {(0, "mask"): ~MARKED, (1, "mask"): np.ones((64, 64), bool), (2, "mask"): OTHER})


def test_meaning__soft_edges_are_a_note(tmp_path):
    write_photo(tmp_path / "images" / "0.png", 0)
    (tmp_path / "masks").mkdir()
    mask = square(7, 7, 25, 25)
    Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "masks" / "0.jpg", quality=98)
    export = _read(tmp_path)
    _same(_masks(export), {(0, "mask"): mask})
    assert [(problem.kind, problem.is_loss) for problem in export.problems] == [("soft mask", False)]


def test_meaning__a_mapping_applies_where_its_values_occur(tmp_path):
    _write(tmp_path, MARKED * 100 + OTHER * 200, folder="masks/damage")
    _write(tmp_path, OTHER * 255, folder="masks/seam")
    export = _read(tmp_path, "100=crack", "200=stain")
    _same(_masks(export), {(0, "crack"): MARKED, (0, "stain"): OTHER, (0, "seam"): OTHER})


@pytest.mark.parametrize("given", ["1=seam", "1=ignore", "1=background"])
def test_meaning__the_user_corrects_a_table_of_classes(given, tmp_path):
    write_photo(tmp_path / "train" / "0.png", 1)
    write_photo(tmp_path / "train" / "0_mask.png", (MARKED + OTHER * 2).astype(np.uint8))
    table = "Pixel Value, Class\n0, background\n1, crack\n2, tape\n"
    (tmp_path / "train" / "_classes.csv").write_text(table)
    export = _read(tmp_path, given)
    seam = {(0, "seam"): MARKED} if given == "1=seam" else {}
    _same(_masks(export), {(0, "tape"): OTHER} | seam)
    ignored = export.entries[0].ignored
    assert (ignored is not None) == (given == "1=ignore")
    assert ignored is None or (rasterise(ignored, 64, 64) == MARKED).all()


def test_meaning__named_values_are_not_inverted(tmp_path):
    with pytest.raises(DataError, match="--invert yes does not apply"):
        _read(_write(tmp_path, MARKED * 255), "255=crack", invert="yes")
