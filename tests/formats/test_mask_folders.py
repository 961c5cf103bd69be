import numpy as np
import pytest
from PIL import Image

from drywallqa.errors import DataError
from drywallqa.formats import mask_folders
from drywallqa.formats.annotations import ReadOptions
from drywallqa.formats.exports import read_export
from drywallqa.formats.geometry import rasterise
from drywallqa.formats.mask_layouts import ONLY_CLASS
from tiny_exports import square, write_photo, write_text


def _mask(export, number=0, shape=0):
    return rasterise(export.entries[number].shapes[shape].geometry, 64, 64)


def _roboflow(root, values=(0, 1)):
    write_photo(root / "train" / "a.jpg", 1)
    indices = np.where(square(4, 4, 20, 20), *reversed(values)).astype(np.uint8)
    write_photo(root / "train" / "a_mask.png", indices)
    write_text(root / "train" / "_classes.csv", "Pixel Value, Class\n0, background\n1, crack\n2, seam\n")
    return root


def test_read__roboflow_semantic_masks(tmp_path):
    export = mask_folders.read_mask_folders(_roboflow(tmp_path), ReadOptions())
    assert [photo.split for photo in export.entries] == ["train"]
    assert export.used_classes() == ("crack",)
    assert (_mask(export) == square(4, 4, 20, 20)).all()
    assert export.problems == ()


def test_read__a_value_of_no_class_is_reported(tmp_path):
    export = mask_folders.read_mask_folders(_roboflow(tmp_path, (0, 9)), ReadOptions())
    assert [(problem.kind, problem.file) for problem in export.problems] == [("wrong id", "train/a_mask.png")]


@pytest.mark.parametrize("palette", [True, False])
def test_read__cvat_segmentation_masks(tmp_path, palette):
    write_text(
        tmp_path / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncrack:250,50,83::\n"
    )
    write_photo(tmp_path / "JPEGImages" / "a.jpg", 1)
    write_text(tmp_path / "ImageSets" / "Segmentation" / "train.txt", "a\n")
    colours = np.zeros((64, 64, 3), np.uint8)
    colours[square(4, 4, 20, 20)] = (250, 50, 83)
    image = Image.fromarray(colours)
    (tmp_path / "SegmentationClass").mkdir()
    (image.quantize(4) if palette else image).save(tmp_path / "SegmentationClass" / "a.png")
    export = mask_folders.read_mask_folders(tmp_path, ReadOptions())
    assert [photo.split for photo in export.entries] == ["train"]
    assert (_mask(export) == square(4, 4, 20, 20)).all()
    assert export.problems == ()


def test_read__plain_masks_in_folders_of_their_class(tmp_path):
    write_photo(tmp_path / "images" / "train" / "a.jpg", 1)
    grey = square(4, 4, 20, 20).astype(np.uint8) * 255
    write_photo(tmp_path / "masks" / "train" / "crack" / "a.png", grey)
    write_photo(tmp_path / "masks" / "seam" / "train" / "a.png", np.zeros((64, 64), np.uint8))
    export = mask_folders.read_mask_folders(tmp_path, ReadOptions())
    assert export.declared_classes == ("crack", "seam")
    assert export.used_classes() == ("crack",)
    assert {(entry.split, *entry.declared) for entry in export.entries} == {
        ("train", "crack"),
        ("train", "seam"),
    }
    marked = next(entry for entry in export.entries if entry.shapes)
    assert (rasterise(marked.shapes[0].geometry, 64, 64) == square(4, 4, 20, 20)).all()


def test_read__plain_masks_of_one_class(tmp_path):
    write_photo(tmp_path / "valid" / "images" / "a.jpg", 1)
    write_photo(tmp_path / "valid" / "masks" / "a_mask.png", square(4, 4, 20, 20).astype(np.uint8))
    export = mask_folders.read_mask_folders(tmp_path, ReadOptions())
    assert export.used_classes() == (ONLY_CLASS,)
    assert [photo.split for photo in export.entries] == ["val"]
    assert (_mask(export) == square(4, 4, 20, 20)).all()


def test_read__photos_and_masks_without_each_other_are_reported(tmp_path):
    write_photo(tmp_path / "images" / "a.jpg", 1)
    write_photo(tmp_path / "masks" / "b.png", np.zeros((64, 64), np.uint8))
    export = read_export(tmp_path)
    found = {(problem.kind, problem.file) for problem in export.problems}
    assert found == {("missing labels", "images/a.jpg"), ("missing photo", "masks/b.png")}
    assert [(entry.path.name, entry.source) for entry in export.entries] == [("a.jpg", "")]


def test_read__a_damaged_mask_means_unknown(tmp_path):
    _roboflow(tmp_path)
    (tmp_path / "train" / "a_mask.png").write_bytes(b"no picture")
    export = mask_folders.read_mask_folders(tmp_path, ReadOptions())
    assert export.problems[0].kind == "unreadable"
    assert export.entries[0].lost


@pytest.mark.parametrize(("name", "text"), [("_classes.csv", "a\nb\n"), ("labelmap.txt", "crack\n")])
def test_read__a_damaged_table_is_refused_by_name(tmp_path, name, text):
    write_text(tmp_path / name, text)
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        mask_folders.read_mask_folders(tmp_path, ReadOptions())
