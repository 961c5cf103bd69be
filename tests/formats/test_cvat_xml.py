import numpy as np
import pytest

from drywallqa.errors import DataError
from drywallqa.formats import cvat_xml
from drywallqa.formats.annotations import Export, ReadOptions
from drywallqa.formats.geometry import Box, Outline, Runs, rasterise
from tiny_exports import SIDE, write_photo, write_text
from tool_exports import (
    MARKED,
    clean_cvat,
    cvat_image,
    cvat_labels,
    cvat_mask,
    cvat_polygon,
    cvat_shape,
)
from tool_exports import (
    cvat_xml as written,
)


def _read(root, *elements, meta=None, **options) -> Export:
    write_photo(root / "images" / "a.png", 1)
    write_text(root / "annotations.xml", written(*elements, meta=meta))
    return cvat_xml.read_cvat_xml(root, ReadOptions(**options))


def _shape(root, element):
    export = _read(root, cvat_image(0, "a.png", element))
    assert export.problems == ()
    return export.entries[0].shapes[0].geometry


def test_read__a_task_as_cvat_exports_it(tmp_path):
    export = cvat_xml.read_cvat_xml(clean_cvat(tmp_path), ReadOptions())
    first, second = export.entries
    assert [shape.class_name for shape in first.shapes] == ["crack", "seam"]
    assert isinstance(first.shapes[0].geometry, Outline)
    assert first.shapes[1].geometry == Box(2, 2, 40, 9)
    assert first.declared == {"crack", "seam"}
    assert first.declared_size == (SIDE, SIDE)
    assert isinstance(second.shapes[0].geometry, Runs)
    assert (rasterise(second.shapes[0].geometry, SIDE, SIDE) == MARKED).all()


def test_read__a_rotated_box_is_turned_clockwise_around_its_centre(tmp_path):
    geometry = _shape(tmp_path, cvat_shape("box", xtl="20", ytl="10", xbr="40", ybr="20", rotation="90.00"))
    assert isinstance(geometry, Outline)
    assert geometry.rings[0] == pytest.approx(np.array([[35, 5], [35, 25], [25, 25], [25, 5]]))


def test_read__an_ellipse_is_filled(tmp_path):
    geometry = _shape(tmp_path, cvat_shape("ellipse", cx="32", cy="32", rx="20", ry="8", rotation="90.0"))
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    wanted = ((x - 32) / 8) ** 2 + ((y - 32) / 20) ** 2 <= 1
    assert (rasterise(geometry, SIDE, SIDE) ^ wanted).sum() <= 8


@pytest.mark.parametrize(
    "meta",
    [
        f"<project>{cvat_labels('crack', 'seam')}<tasks><task><id>1</id></task></tasks></project>",
        f"<job>{cvat_labels('crack', 'seam')}</job>",
        "<task><labels><label><name>crack</name></label><label><name>seam</name><type>mask</type></label>"
        "<label><name>dark</name><type>tag</type></label>"
        "<label><name>1</name><type>points</type><parent>hand</parent></label></labels></task>",
    ],
)
def test_read__labels_of_projects_jobs_and_tasks_are_declared(tmp_path, meta):
    export = _read(tmp_path, cvat_image(0, "a.png"), meta=meta)
    assert export.entries[0].declared == {"crack", "seam"}
    assert export.declared_classes == ("crack", "seam")


def test_read__without_a_list_of_labels_nothing_is_absent_unless_stated(tmp_path):
    images = cvat_image(0, "a.png", cvat_polygon()), cvat_image(1, "a.png")
    assert _read(tmp_path, *images, meta="<task/>").entries[1].declared == frozenset()
    stated = _read(tmp_path, *images, meta="<task/>", fully_labelled=True)
    assert stated.entries[1].declared == {"crack"}


@pytest.mark.parametrize(
    ("element", "kind", "text"),
    [
        (cvat_shape("polyline", points="1,1;9,9;20,20"), "not supported", "polyline"),
        (cvat_shape("points", points="1,1"), "not supported", "points"),
        (cvat_shape("cuboid", xtl1="1"), "not supported", "cuboid"),
        (cvat_shape("polygon", points="1,1;9,9"), "too few points", "three are needed"),
        (cvat_shape("polygon", points="1,1;9,9;8"), "malformed", "not a pair"),
        (cvat_shape("polygon", points="1,1;9,x;8,8"), "not a number", "coordinate"),
        (cvat_shape("polygon", "", points="1,1;9,9;8,8"), "wrong id", "no label"),
        (cvat_shape("box", xtl="1", ytl="1", xbr="9"), "not a number", "coordinate"),
        (cvat_shape("ellipse", cx="9", cy="9", rx="0", ry="4"), "degenerate", "radius"),
        (cvat_shape("mask", rle="0, 4", left="0", top="0", width="2", height="3"), "malformed", "cover 4 px"),
        (cvat_shape("mask", rle="4", left="63", top="0", width="2", height="2"), "malformed", "leaves"),
        (cvat_shape("mask", rle="4", left="x", top="0", width="2", height="2"), "malformed", "whole numbers"),
    ],
)
def test_read__bad_shapes_are_named_with_id_and_line(tmp_path, element, kind, text):
    export = _read(tmp_path, cvat_image(7, "a.png", cvat_polygon("seam"), element))
    (problem,) = export.problems
    assert (problem.kind, problem.where) == (kind, "image id 7 (line 5), line 7")
    assert text in problem.text
    assert export.entries[0].lost == ({""} if "no label" in text else {"crack"})
    assert len(export.entries[0].shapes) == 1


def test_read__subsets_and_folders(tmp_path):
    for subset, seed in (("Train", 1), ("Validation", 2)):
        write_photo(tmp_path / "images" / subset / "a.png", seed)
    elements = [
        cvat_image(0, "a.png", cvat_polygon(), subset="Train"),
        cvat_image(1, "a.png", subset="Validation"),
    ]
    write_text(tmp_path / "annotations.xml", written(*elements))
    export = cvat_xml.read_cvat_xml(tmp_path, ReadOptions())
    found = {entry.path.parent.name: (entry.split, len(entry.shapes)) for entry in export.entries}
    assert found == {"Train": ("train", 1), "Validation": ("val", 0)}
    assert export.problems == ()


def test_read__tracks_of_a_video_are_named_and_their_labels_unknown(tmp_path):
    track = '<track id="3" label="crack"><box frame="0"/><box frame="1"/></track>'
    export = _read(tmp_path, cvat_image(0, "a.png"), track)
    (problem,) = export.problems
    assert problem.kind == "not supported"
    assert "2 frames" in problem.text
    assert "CVAT for images 1.1" in problem.text
    assert export.entries[0].declared == {"seam"}


def test_read__tags_are_counted(tmp_path):
    export = _read(tmp_path, cvat_image(0, "a.png", '<tag label="dark"/>', cvat_mask(MARKED)))
    assert [str(problem) for problem in export.problems] == [
        "annotations.xml: passed over: the tags 'dark' (1) mark no pixels"
    ]
    assert export.entries[0].lost == frozenset()


def test_read__a_document_type_is_refused(tmp_path):
    bomb = '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;">]>'
    text = written(cvat_image(0, "a.png")).replace("<annotations>", bomb + "<annotations>")
    write_text(tmp_path / "annotations.xml", text)
    with pytest.raises(DataError, match=r"annotations\.xml, line 2: has a document type"):
        cvat_xml.read_cvat_xml(tmp_path, ReadOptions())


def test_read__a_damaged_file_is_named_with_its_line(tmp_path):
    write_text(tmp_path / "annotations.xml", written(cvat_image(0, "a.png", "<polygon>")))
    with pytest.raises(DataError, match=r"annotations\.xml: cannot be read as XML \(mismatched tag: line 7"):
        cvat_xml.read_cvat_xml(tmp_path, ReadOptions())


def test_read__a_label_that_only_a_tag_states_is_unknown(tmp_path):
    export = _read(
        tmp_path, cvat_image(0, "a.png", '<tag label="seam"/><tag label="crack"/>', cvat_mask(MARKED))
    )
    assert (export.entries[0].declared, export.entries[0].lost) == ({"crack"}, set())
    assert [problem.where for problem in export.problems] == ["image id 0 (line 5)", ""]
    assert "'seam' marks no pixels; the class is unknown" in export.problems[0].text


def test_read__a_shape_outside_the_picture_is_no_label(tmp_path):
    hidden = cvat_shape("box", "seam", xtl="2", ytl="2", xbr="40", ybr="9", outside="1")
    export = _read(tmp_path, cvat_image(0, "a.png", cvat_mask(MARKED), hidden))
    assert [shape.class_name for shape in export.entries[0].shapes] == ["crack"]
    assert export.entries[0].lost == {"seam"}
    assert [problem.kind for problem in export.problems] == ["not supported"]
