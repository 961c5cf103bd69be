import zipfile
from pathlib import Path

import numpy as np
import pytest

from drywallqa.errors import ConfigError, DataError
from drywallqa.formats import exports
from drywallqa.formats.annotations import ReadOptions
from tiny_exports import roboflow_coco, roboflow_yolo, square, write_photo, write_text
from tool_exports import CLEAN


def zipped(folder: Path, archive: Path, top: str = "") -> Path:
    """Zip a folder as a download would be, perhaps below a folder of its own."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                opened.write(path, f"{top}{path.relative_to(folder).as_posix()}")
    return archive


@pytest.mark.parametrize("top", ["", "my export/"])
def test_opened__a_zip_reads_like_its_folder(tmp_path, top):
    archive = zipped(roboflow_coco(tmp_path / "x"), tmp_path / "x.zip", top)
    with exports.opened_export(archive) as export:
        assert export.layout == "coco"
        assert len(export.entries) == 3
        assert all(photo.path.is_file() for photo in export.entries)
        unpacked = export.root
    assert not unpacked.exists()


def test_opened__a_damaged_zip_is_refused(tmp_path):
    archive = zipped(roboflow_coco(tmp_path / "x"), tmp_path / "x.zip")
    content = bytearray(archive.read_bytes())
    content[60:200] = bytes(140)
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.zip.*damaged"), exports.opened_export(archive):
        pass


@pytest.mark.parametrize(("make", "layout"), [(roboflow_coco, "coco"), (roboflow_yolo, "yolo")])
def test_read__finds_out_the_layout(tmp_path, make, layout):
    assert exports.read_export(make(tmp_path)).layout == layout


def test_read__mask_folders_are_found_out_too(tmp_path):
    write_photo(tmp_path / "images" / "a.png", 1)
    write_photo(tmp_path / "masks" / "a.png", square(4, 4, 20, 20).astype(np.uint8) * 255)
    assert exports.read_export(tmp_path).layout == "masks"


def test_read__no_export_is_refused_with_what_was_looked_for(tmp_path):
    write_photo(tmp_path / "a.jpg", 1)
    with pytest.raises(DataError, match=r"COCO.*YOLO.*mask"):
        exports.read_export(tmp_path)


@pytest.mark.parametrize("name", ["gone", "text.zip"])
def test_opened__what_is_neither_folder_nor_zip_is_refused(tmp_path, name):
    write_text(tmp_path / "text.zip", "no zip")
    with pytest.raises(DataError, match=name), exports.opened_export(tmp_path / name):
        pass


def test_opened__a_problem_within_a_zip_names_the_zip(tmp_path):
    write_text(tmp_path / "x" / "readme.md", "nothing")
    archive = zipped(tmp_path / "x", tmp_path / "x.zip")
    with pytest.raises(DataError, match=r"^.*x\.zip: cannot detect"), exports.opened_export(archive):
        pass


def test_opened__an_unknown_layout_is_refused(tmp_path):
    with pytest.raises(DataError, match="auto, coco, yolo, masks"), exports.opened_export(tmp_path, "kitti"):
        pass


@pytest.mark.parametrize("tool", CLEAN)
def test_read__clean_exports_of_every_tool_have_no_problems(tmp_path, tool):
    export = exports.read_export(CLEAN[tool](tmp_path))
    assert export.layout == tool.split()[0]
    assert export.problems == ()
    assert len(export.entries) == 2
    assert all(entry.source for entry in export.entries)


@pytest.mark.parametrize("tool", CLEAN)
def test_read__clean_exports_in_a_zip(tmp_path, tool):
    archive = zipped(CLEAN[tool](tmp_path / "x"), tmp_path / "x.zip", "walls/")
    with exports.opened_export(archive) as export:
        assert export.problems == ()
        assert sum(len(entry.shapes) for entry in export.entries) >= 2


def test_read__options_of_mask_files_are_refused_for_other_formats(tmp_path):
    root = roboflow_coco(tmp_path)
    for options in (ReadOptions.parse(["1=crack"], None), ReadOptions.parse([], "no")):
        with pytest.raises(ConfigError, match="mask files only"):
            exports.read_export(root, "auto", options)


def test_read_export__a_chosen_format_without_files_is_refused(tmp_path):
    roboflow_coco(tmp_path)
    with pytest.raises(DataError, match="no labels in the format YOLO"):
        exports.read_export(tmp_path, "yolo")
