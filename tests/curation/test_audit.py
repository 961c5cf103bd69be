import json

import numpy as np
import pytest

from drywallqa.curation.audit import audit_source
from drywallqa.datasets.importing import ImportOptions, import_export
from drywallqa.errors import DataError
from drywallqa.reports.findings_text import audit_lines
from drywallqa.visualization import audit_sheet
from tiny_exports import (
    photo,
    real_data,
    roboflow_coco,
    roboflow_yolo,
    square,
    write_coco,
    write_photo,
    write_text,
)


def _leaking(root):
    """An export with a photograph on two sides, and a turned copy under another name."""
    for place, pixels in (
        ("train/a_jpg.rf.1.jpg", photo(1)),
        ("train/b_jpg.rf.1.jpg", photo(2)),
        ("valid/a_jpg.rf.2.jpg", photo(1)[::-1]),
        ("valid/c_jpg.rf.1.jpg", np.rot90(photo(2))),
        ("valid/d_jpg.rf.1.jpg", photo(4)),
    ):
        part, name = place.split("/")
        write_photo(root / part / "images" / name, np.ascontiguousarray(pixels))
        label = "0 0.1 0.1 0.9 0.1 0.9 0.5"
        write_text(root / part / "labels" / name.replace(".jpg", ".txt"), label)
    write_text(root / "data.yaml", "names: ['crack']\n")
    return root


def test_audited__finds_a_photograph_on_two_sides(tmp_path):
    with audit_source(_leaking(tmp_path)) as report:
        (leak,) = report.leaks
        assert (leak.split, leak.other, len(leak.photos), leak.of) == ("val", "train", 1, 3)
        assert leak.photographs == ("a_jpg",)
        assert report.found_something


def test_audited__finds_a_turned_copy_under_another_name(tmp_path):
    with audit_source(_leaking(tmp_path)) as report:
        (pair,) = report.near_duplicates
        assert {pair.first.photograph, pair.second.photograph} == {"b_jpg", "c_jpg"}
        assert pair.across


@pytest.mark.parametrize(("by", "leaks", "pairs"), [("source", 1, 0), ("hash", 0, 1), ("both", 1, 1)])
def test_audited__by_names_or_by_pictures(tmp_path, by, leaks, pairs):
    with audit_source(_leaking(tmp_path), by=by) as report:
        assert (len(report.leaks), len(report.near_duplicates)) == (leaks, pairs)


def test_audited__an_imported_data_set_gives_the_same(tmp_path):
    import_export(_leaking(tmp_path / "x"), tmp_path / "out", ImportOptions(["crack=crack"]))
    with audit_source(tmp_path / "out") as report:
        assert (len(report.leaks), len(report.near_duplicates)) == (1, 1)


def test_audited__a_clean_export_is_clean(tmp_path):
    with audit_source(roboflow_coco(tmp_path)) as report:
        assert not report.found_something
        assert list(audit_lines(report))[-1] == "no problems found"


def test_audited__degenerate_box_like_and_frame_filling(tmp_path):
    write_photo(tmp_path / "a.jpg", 1)
    write_photo(tmp_path / "b.jpg", 2)
    ring = {"segmentation": [[2, 2, 40, 9, 60, 60]]}
    rectangle = {"segmentation": [[5, 5, 30, 5, 30, 20, 5, 20]]}
    frame = {"segmentation": [[0, 0, 64, 0, 64, 63, 0, 63]]}
    slip = {"bbox": [5, 5, 0.3, 0.9]}
    write_coco(tmp_path / "result.json", ["a.jpg", "b.jpg"], [ring, ring, ring, ring, rectangle, frame, slip])
    with audit_source(tmp_path) as report:
        assert [problem.kind for problem in report.inventory.problems] == ["degenerate"]
        assert sorted((remark.kind, remark.where) for remark in report.findings) == [
            ("box-like", "result.json, annotation id 5"),
            ("frame-filling", "result.json, annotation id 6"),
        ]
        text = "\n".join(audit_lines(report))
        assert "without annotation: 1" in text


def test_audited__boxes_are_no_finding_where_most_are_boxes(tmp_path):
    write_photo(tmp_path / "a.jpg", 1)
    write_coco(tmp_path / "result.json", ["a.jpg"], [{"bbox": [8, 8, 16, 16]}, {"bbox": [4, 30, 16, 16]}])
    with audit_source(tmp_path) as report:
        assert report.findings == ()
        assert not report.found_something


def test_audited__what_boxes_are_by_design_goes_by_class(tmp_path):
    write_photo(tmp_path / "a.jpg", 1)
    ring, box = {"segmentation": [[2, 2, 40, 9, 60, 60]]}, {"bbox": [8, 8, 16, 16]}
    seams = [{"category_id": 2} | box] * 4
    write_coco(tmp_path / "result.json", ["a.jpg"], [ring, ring, ring, box, *seams], ("crack", "seam"))
    with audit_source(tmp_path) as report:
        assert [(remark.kind, remark.group) for remark in report.findings] == [("box-like", "crack")]
        text = "\n".join(audit_lines(report))
        assert "box-like: 4 (not a problem: most annotations of 'seam' are boxes)" in text


def test_audited__unreadable_photos_and_duplicate_names(tmp_path):
    root = roboflow_yolo(tmp_path)
    (root / "train" / "images" / "p0_jpg.rf.1.jpg").write_bytes(b"no photo")
    write_photo(root / "valid" / "images" / "P2_jpg.rf.1.png", 77)
    write_text(root / "valid" / "labels" / "P2_jpg.rf.1.txt", "")
    with audit_source(root) as report:
        assert [problem.kind for problem in report.inventory.problems] == ["unreadable"]
        assert report.duplicate_names == [("test/images/p2_jpg.rf.1.jpg", "valid/images/P2_jpg.rf.1.png")]


def test_audited__an_empty_run_length_mask_is_reported(tmp_path):
    write_photo(tmp_path / "a.jpg", 1)
    write_coco(tmp_path / "result.json", ["a.jpg"], [{"segmentation": {"size": [64, 64], "counts": [4096]}}])
    with audit_source(tmp_path) as report:
        assert [problem.kind for problem in report.inventory.problems] == ["empty"]


def test_audited__a_mask_that_is_a_rectangle_is_box_like(tmp_path):
    for number in range(4):
        write_photo(tmp_path / "images" / f"{number}.jpg", number)
        mask = square(8, 8, 24, 24) if number == 3 else np.tri(64, k=-8, dtype=bool)
        write_photo(tmp_path / "masks" / f"{number}.png", mask.astype(np.uint8) * 255)
    with audit_source(tmp_path) as report:
        assert [(remark.kind, remark.name) for remark in report.findings] == [("box-like", "images/3.jpg")]


def test_audited__an_unknown_way_is_refused(tmp_path):
    with pytest.raises(DataError, match="both, source, hash"), audit_source(tmp_path, by="eye"):
        pass


def test_to_json__can_be_written_and_holds_all(tmp_path):
    with audit_source(_leaking(tmp_path)) as report:
        data = json.loads(json.dumps(report.to_json()))
    assert data["leaks"][0]["photos"] == 1
    assert data["near_duplicates"][0]["across_splits"]
    assert data["splits"] == {"train": 2, "val": 3}


def test_render__shows_the_pair_turned_to_match(tmp_path):
    with audit_source(_leaking(tmp_path), by="hash") as report:
        sheet = np.asarray(audit_sheet.audit_sheet(report), float)
    left = sheet[86:266, 12:192]
    right = sheet[86:266, 192:372]
    assert np.abs(left - right).mean() < 12
    assert left.std() > 10


def test_render__of_nothing_is_a_sheet_that_says_so(tmp_path):
    with audit_source(roboflow_coco(tmp_path)) as report:
        assert audit_sheet.audit_sheet(report).size[1] < 100


@pytest.mark.data
def test_audited__taping_photos_leak_from_train_to_valid():
    with audit_source(real_data() / "drywall-join-detect.coco", by="source") as report:
        (leak,) = report.leaks
        assert (len(leak.photos), leak.of) == (182, 187)
        assert sum(problem.kind == "degenerate" for problem in report.inventory.problems) == 68


@pytest.mark.data
def test_audited__near_duplicates_of_cracks_are_those_that_the_split_drops():
    folder = real_data()
    rows = [line.split(",") for line in (folder / "benchmark.csv").read_text().splitlines()]
    dropped = {row[2] for row in rows if row[0] == "cracks" and row[-1] == "dropped"}
    with audit_source(folder / "cracks.yolov8") as report:
        across = {
            photo.photograph
            for pair in report.near_duplicates
            if pair.across
            for photo in (pair.first, pair.second)
        }
        across |= {name for leak in report.leaks for name in leak.photographs}
        assert len(dropped) == 15
        assert len(dropped & across) >= 13
        assert 60 <= len(report.near_duplicates) <= 85, (
            "the pairs were all true to the eye when there were 73"
        )


@pytest.mark.parametrize("imported", [False, True])
def test_audited__pixels_that_nobody_labelled_are_counted(tmp_path, imported):
    root = tmp_path / "x"
    write_photo(root / "images" / "a.jpg", 1)
    mask = square(8, 8, 24, 24).astype(np.uint8) + square(40, 40, 50, 50).astype(np.uint8) * 255
    write_photo(root / "masks" / "crack" / "a.png", mask)
    if imported:
        import_export(root, tmp_path / "out", ImportOptions(["crack=crack"]))
        root = tmp_path / "out"
    with audit_source(root) as report:
        assert report.to_json()["ignored_pixels"] == {"crack": 100}
        line = "'crack': nobody labelled 100 pixels; training and figures leave them out"
        assert line in list(audit_lines(report))
