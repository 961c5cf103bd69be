import numpy as np
import pytest
from PIL import Image

from drywallqa.datasets.photo_labels import label_photo, unite_entries
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


def _plain(root, *masks, photo="images/a.jpg"):
    write_photo(root / photo, 1)
    for name in masks:
        write_photo(root / name, square(4, 4, 20, 20).astype(np.uint8) * 255)
    return read_export(root)


def test_read__only_the_class_of_a_folder_is_declared(tmp_path):
    export = _plain(tmp_path, "masks/crack/a.png")
    write_photo(tmp_path / "masks" / "seam" / "b.png", np.zeros((64, 64), np.uint8))
    assert [set(entry.declared) for entry in export.entries] == [{"crack"}]


@pytest.mark.parametrize("others", [["images/a.png"], ["images/A.PNG", "images/b.jpg"]])
def test_read__a_mask_that_fits_two_photos_belongs_to_neither(tmp_path, others):
    for other in others:
        write_photo(tmp_path / other, 2)
    export = _plain(tmp_path, "masks/crack/a.png")
    conflicts = [problem for problem in export.problems if problem.kind == "contradiction"]
    if others[0] == "images/A.PNG":  # the exact spelling wins
        assert not conflicts
        return
    assert "may belong to images/a.jpg and images/a.png" in conflicts[0].text
    assert all(not entry.declared and not entry.shapes for entry in export.entries)
    assert [entry.lost for entry in export.entries] == [{"crack"}, {"crack"}]


def test_read__a_mask_named_after_the_whole_file_name_fits_one_photo(tmp_path):
    write_photo(tmp_path / "images" / "a.png", 2)
    export = _plain(tmp_path, "masks/a.jpg.png", "masks/a.png_mask.png")
    assert {entry.path.name: entry.source for entry in export.entries} == {
        "a.jpg": "masks/a.jpg.png", "a.png": "masks/a.png_mask.png",
    }  # fmt: skip
    assert export.problems == ()


def test_read__two_masks_of_one_photo_and_class_are_two_entries(tmp_path):
    export = _plain(tmp_path, "masks/crack/a.png", "masks/crack/a_mask.png")
    assert sorted(entry.source for entry in export.entries) == ["masks/crack/a.png", "masks/crack/a_mask.png"]
    assert {entry.path.name for entry in export.entries} == {"a.jpg"}


@pytest.mark.parametrize(
    ("photo", "mask", "told"),
    [
        ("images/Wall 1.jpg", "masks/wall%201.png", True),
        ("images/Wa\u0308nd.jpg", "masks/W\u00e4nd.png", False),
        ("images/Wall 1.jpg", "masks/Wall%201.png", False),
    ],
)
def test_read__other_spellings_of_a_name(tmp_path, photo, mask, told):
    export = _plain(tmp_path, mask, photo=photo)
    assert [entry.source for entry in export.entries] == [mask]
    assert [problem.kind for problem in export.problems] == ["similar name"] * told


def test_read__a_mask_without_folder_finds_the_only_photo_of_its_name(tmp_path):
    export = _plain(tmp_path, "masks/crack/a.png", photo="images/train/a.jpg")
    assert [(entry.path.name, entry.split) for entry in export.entries] == [("a.jpg", "train")]
    write_photo(tmp_path / "images" / "val" / "a.jpg", 2)
    export = read_export(tmp_path)
    assert [problem.kind for problem in export.problems] == ["contradiction"]
    assert not any(entry.shapes for entry in export.entries)


def test_read__a_path_that_fits_with_and_without_its_folder_belongs_to_neither(tmp_path):
    write_photo(tmp_path / "images" / "crack" / "a.jpg", 2)
    export = _plain(tmp_path, "masks/crack/a.png")
    assert "images/a.jpg and images/crack/a.jpg" in export.problems[0].text
    assert not any(entry.shapes for entry in export.entries)


def test_read__masks_beside_their_photos(tmp_path):
    write_photo(tmp_path / "b.jpg", 3)
    export = _plain(tmp_path, "a_mask.png", photo="a.jpg")
    assert [(entry.path.name, entry.source) for entry in export.entries] == [
        ("a.jpg", "a_mask.png"),
        ("b.jpg", ""),
    ]
    assert (_mask(export) == square(4, 4, 20, 20)).all()


def test_read__photos_above_a_folder_of_masks(tmp_path):
    export = _plain(tmp_path, "masks/a.png", photo="a.jpg")
    assert [(entry.path.name, entry.source) for entry in export.entries] == [("a.jpg", "masks/a.png")]


@pytest.mark.parametrize(
    ("photos", "masks"),
    [("train", "train_masks"), ("crack_images", "crack-masks"), ("images", "masks_png"), ("IMG", "GT")],
)
def test_read__other_names_of_the_two_folders(tmp_path, photos, masks):
    export = _plain(tmp_path, f"{masks}/a.png", photo=f"{photos}/a.jpg")
    assert [(entry.path.name, entry.source) for entry in export.entries] == [("a.jpg", f"{masks}/a.png")]
    assert export.problems == ()


def test_read__masks_of_unknown_photos_are_no_photos(tmp_path):
    write_photo(tmp_path / "crack_masks" / "b.png", np.zeros((64, 64), np.uint8))
    export = _plain(tmp_path, "masks/a.png")
    assert {entry.path.name for entry in export.entries} == {"a.jpg"}
    assert [(problem.kind, problem.file) for problem in export.problems] == [
        ("missing photo", "crack_masks/b.png")
    ]


def test_read__voc_masks_without_a_table(tmp_path):
    write_photo(tmp_path / "SegmentationObject" / "a.png", 3)
    export = _plain(tmp_path, "SegmentationClass/a.png", photo="JPEGImages/a.jpg")
    assert [(entry.path.name, entry.source) for entry in export.entries] == [
        ("a.jpg", "SegmentationClass/a.png")
    ]
    assert export.problems == ()


def test_read__a_table_declares_its_classes_and_takes_any_way_to_write_a_number(tmp_path):
    _roboflow(tmp_path)
    table = 'Pixel Value, Class\n0.0, background\n"1", crack\n 2.0 , seam\n'
    write_text(tmp_path / "train" / "_classes.csv", table)
    export = mask_folders.read_mask_folders(tmp_path, ReadOptions())
    assert export.declared_classes == ("crack", "seam")
    assert [set(entry.declared) for entry in export.entries] == [{"crack", "seam"}]
    assert (_mask(export) == square(4, 4, 20, 20)).all()
    assert export.problems == ()


def test_read__a_table_that_names_its_background(tmp_path):
    _roboflow(tmp_path, (1, 0))
    write_text(tmp_path / "train" / "_classes.csv", "Pixel Value, Class\n1, background\n0, crack\n")
    export = mask_folders.read_mask_folders(tmp_path, ReadOptions())
    assert (_mask(export) == square(4, 4, 20, 20)).all()
    assert export.problems == ()


def test_read__a_stray_value_of_a_table_can_be_mapped(tmp_path):
    _roboflow(tmp_path, (0, 9))
    export = mask_folders.read_mask_folders(tmp_path, ReadOptions.parse(["9=stain"], None))
    assert [shape.class_name for shape in export.entries[0].shapes] == ["stain"]
    assert export.problems == ()


def test_read__a_table_with_two_classes_of_one_value_is_refused(tmp_path):
    _roboflow(tmp_path)
    write_text(tmp_path / "train" / "_classes.csv", "Pixel Value, Class\n1, crack\n1, seam\n")
    with pytest.raises(DataError, match="'seam' and 'crack' have conflicting values"):
        mask_folders.read_mask_folders(tmp_path, ReadOptions())


def test_read__files_that_are_not_read_are_passed_over(tmp_path):
    write_text(tmp_path / "masks" / "notes.doc", "")
    export = _plain(tmp_path, "masks/crack/a.png")
    assert [(problem.kind, problem.text) for problem in export.problems] == [("passed over", "1 .doc file")]


def _label(tmp_path, mask, orientation=1):
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "images").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "images" / "a.jpg", exif=exif)
    write_photo(tmp_path / "masks" / "a.png", mask.astype(np.uint8) * 255)
    photos, _ = unite_entries(read_export(tmp_path))
    height, width = (64, 48) if orientation > 4 else (48, 64)
    return label_photo(photos[0], height, width, orientation)


def test_read__a_mask_of_the_stored_pixels_is_turned_like_its_photo(tmp_path):
    mask = square(4, 4, 20, 10)[:48]
    labels = _label(tmp_path, mask, orientation=6)
    assert (labels.masks["mask"] == np.rot90(mask, -1)).all()
    assert not labels.orientation_unknown
    assert labels.problems == []


def test_read__a_mask_of_the_viewed_pixels_stays(tmp_path):
    mask = square(4, 4, 20, 10)[:, :48]
    assert (_label(tmp_path, mask, orientation=8).masks["mask"] == mask).all()


@pytest.mark.parametrize("blank", [False, True])
@pytest.mark.parametrize("shape", [(64, 64), (24, 32)])
def test_read__a_mask_of_another_size_says_nothing(tmp_path, shape, blank):
    labels = _label(tmp_path, square(4, 4, 20, 10)[: shape[0], : shape[1]] & (not blank))
    assert labels.masks == {}
    assert [problem.kind for problem in labels.problems] == ["wrong size"]


def test_read__masks_without_any_photo_are_named(tmp_path):
    write_photo(tmp_path / "masks" / "crack" / "a.png", np.zeros((64, 64), np.uint8))
    export = read_export(tmp_path)
    assert [(problem.kind, problem.file) for problem in export.problems] == [
        ("missing photo", "masks/crack/a.png")
    ]


def test_read__a_table_without_a_header_keeps_its_first_class(tmp_path):
    write_text(_roboflow(tmp_path) / "train" / "_classes.csv", "1, crack\n2, seam\n")
    export = read_export(tmp_path)
    assert [entry.declared for entry in export.entries] == [{"crack", "seam"}]
    assert (_mask(export) == square(4, 4, 20, 20)).all()
    assert export.problems == ()


def test_read__a_table_names_the_colour_of_unlabelled_pixels(tmp_path):
    table = "background:0,0,0::\ncrack:128,0,0::\nignored:224,224,192::\n"
    write_text(tmp_path / "labelmap.txt", table)
    write_photo(tmp_path / "JPEGImages" / "a.jpg", 1)
    colours = np.zeros((64, 64, 3), np.uint8)
    colours[square(4, 4, 20, 20)], colours[square(4, 2, 20, 4)] = (128, 0, 0), (224, 224, 192)
    write_photo(tmp_path / "SegmentationClass" / "a.png", colours)
    export = read_export(tmp_path)
    assert export.declared_classes == ("crack",)
    assert (rasterise(export.entries[0].ignored, 64, 64) == square(4, 2, 20, 4)).all()
    assert (_mask(export) == square(4, 4, 20, 20)).all()
    assert export.problems == ()


def test_read__a_mask_with_several_pages_leaves_its_photo_unknown(tmp_path):
    write_photo(tmp_path / "images" / "a.jpg", 1)
    first, second = (Image.fromarray(square(left, 4, 20, 20)) for left in (4, 12))
    (tmp_path / "masks").mkdir()
    first.save(tmp_path / "masks" / "a.tif", save_all=True, append_images=[second])
    export = read_export(tmp_path)
    assert [(problem.kind, problem.file) for problem in export.problems] == [("unreadable", "masks/a.tif")]
    assert [entry.shapes for entry in export.entries] == [()]
