import pytest

from drywallqa.errors import DataError
from drywallqa.formats import voc
from drywallqa.formats.annotations import Export, ReadOptions
from drywallqa.formats.geometry import Box, Outline
from tiny_exports import write_photo, write_text
from tool_exports import MARKED, clean_voc, png, voc_object, voc_xml


def _read(root, *objects) -> Export:
    write_photo(root / "train" / "a.png", 1)
    write_text(root / "train" / "a.xml", voc_xml("a.png", *objects))
    return voc.read_voc(root, ReadOptions())


def test_read__boxes_and_splits(tmp_path):
    export = voc.read_voc(clean_voc(tmp_path), ReadOptions())
    assert export.problems == ()
    assert [entry.split for entry in export.entries] == ["train", "val"]
    assert export.entries[0].shapes[0].geometry == Box(10, 10, 50, 30)
    assert export.entries[0].declared == frozenset()
    stated = voc.read_voc(tmp_path, ReadOptions(fully_labelled=True))
    assert stated.entries[0].declared == {"crack"}


@pytest.mark.parametrize(
    "polygon",
    [
        "<polygon><x1>10</x1><y1>10</y1><x2>50</x2><y2>10</y2><x3>50</x3><y3>30</y3></polygon>",
        "<polygon><username>me</username><pt><x>10</x><y>10</y></pt><pt><x>50</x><y>10</y></pt>"
        "<pt><x>50</x><y>30</y></pt></polygon>",
    ],
)
def test_read__polygons_of_roboflow_and_labelme_online(tmp_path, polygon):
    deleted = voc_object(inner="<deleted>1</deleted>")
    export = _read(tmp_path, voc_object(inner=polygon), deleted)
    (shape,) = export.entries[0].shapes
    assert isinstance(shape.geometry, Outline)
    assert shape.geometry.rings[0].tolist() == [[10, 10], [50, 10], [50, 30]]


@pytest.mark.parametrize(
    ("element", "kind", "lost"),
    [
        (voc_object(box=("x", 1, 9, 9)), "not a number", "crack"),
        (voc_object("").replace("<name></name>", ""), "wrong id", ""),
        ("<object>\n<name>crack</name></object>", "malformed", "crack"),
        (voc_object(inner="<polygon><x1>1</x1><y1>2</y1></polygon>"), "too few points", "crack"),
    ],
)
def test_read__bad_objects_are_named_with_their_line(tmp_path, element, kind, lost):
    export = _read(tmp_path, voc_object("seam"), element)
    assert [(problem.kind, problem.where) for problem in export.problems] == [(kind, "line 5")]
    assert export.problems[0].file == "train/a.xml"
    assert export.entries[0].lost == {lost}


def test_read__mask_files_beside_the_boxes_are_named(tmp_path):
    (clean_voc(tmp_path) / "SegmentationClass").mkdir()
    (tmp_path / "SegmentationClass" / "a.png").write_bytes(png(MARKED))
    (problem,) = voc.read_voc(tmp_path, ReadOptions()).problems
    assert problem.kind == "passed over"
    assert "labelmap.txt" in problem.text


def test_read__a_labelmap_declares_the_classes(tmp_path):
    text = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncrack:250,50,83::\nseam:1,2,3::\n"
    write_text(clean_voc(tmp_path) / "labelmap.txt", text)
    export = voc.read_voc(tmp_path, ReadOptions())
    assert {entry.declared for entry in export.entries} == {frozenset({"crack", "seam"})}
    assert tmp_path / "labelmap.txt" in export.files


def test_read__a_list_of_photos_that_is_no_text_is_refused(tmp_path):
    (clean_voc(tmp_path) / "ImageSets" / "Main" / "val.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"val\.txt: the list cannot be read"):
        voc.read_voc(tmp_path, ReadOptions())


def test_read__a_stem_in_two_lists_has_no_split(tmp_path):
    write_text(clean_voc(tmp_path) / "ImageSets" / "Main" / "test.txt", "a 1\n")
    export = voc.read_voc(tmp_path, ReadOptions())
    assert [entry.split for entry in export.entries] == [None, "val"]
    assert [problem.kind for problem in export.problems] == ["two splits"]


def test_read__files_that_labelimg_marked_as_verified(tmp_path):
    write_photo(tmp_path / "a.png", 1)
    text = voc_xml("a.png", voc_object()).replace("<annotation>", '<annotation verified="yes">')
    write_text(tmp_path / "a.xml", text)
    (entry,) = voc.read_voc(tmp_path, ReadOptions()).entries
    assert entry.shapes[0].geometry == Box(10, 10, 50, 30)
