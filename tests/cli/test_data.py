import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import drywallqa
from drywallqa.cli import main
from drywallqa.datasets.dataset import load_dataset
from drywallqa.formats import exports, recognised
from drywallqa.imaging.photos import SUFFIXES
from tiny_exports import photo, roboflow_coco, roboflow_yolo, write_photo, write_text
from tool_exports import CLEAN, MARKED, clean_labelme


def _import(tmp_path, *more):
    export = roboflow_coco(tmp_path / "x")
    return main(
        ["data", "import", str(export), "--out", str(tmp_path / "out"), "--concept", "crack=crack", *more]
    )


def test_import__says_what_it_did(tmp_path, capsys):
    assert _import(tmp_path, "--absent", "taping area", "--set", "walls") == 0
    assert "3 photos (train 2, val 1)" in capsys.readouterr().out
    assert {sample.set_name for sample in load_dataset(tmp_path / "out")} == {"walls"}


def test_import__an_unmapped_class_is_one_line_and_wrong_usage(tmp_path, capsys):
    export = roboflow_coco(tmp_path / "x")
    assert main(["data", "import", str(export), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the export has the classes 'crack'")
    assert '--concept "crack=CONCEPT"' in error
    assert error.count("\n") == 1


def test_import__problems_are_listed_with_file_and_line_and_counted(tmp_path, capsys):
    export = roboflow_yolo(tmp_path / "x")
    write_text(export / "valid" / "labels" / "p1_jpg.rf.1.txt", "0 0.5 0.5 0.25 0.25\n0 nan 0.5 0.25 0.25\n")
    arguments = ["data", "import", str(export), "--out", str(tmp_path / "out"), "--concept", "crack=crack"]
    assert main(arguments) == 3
    printed = capsys.readouterr()
    assert "valid/labels/p1_jpg.rf.1.txt, line 2: not a number" in printed.err
    assert "1 problem (not a number 1)" in printed.out
    assert main([*arguments, "--replace", "--strict"]) == 3
    assert "line 2: not a number" in capsys.readouterr().err
    assert len(load_dataset(tmp_path / "out")) == 3


def test_import__photos_that_cannot_be_read_give_exit_code_3(tmp_path):
    export = roboflow_coco(tmp_path / "x")
    (export / "train" / "a_jpg.rf.1.jpg").write_bytes(b"")
    arguments = ["data", "import", str(export), "--out", str(tmp_path / "out"), "--concept", "crack=crack"]
    assert main(arguments) == 3
    assert len(load_dataset(tmp_path / "out")) == 2


@pytest.mark.parametrize("tool", CLEAN)
def test_import__clean_exports_of_other_tools_need_no_question(tmp_path, capsys, tool):
    """Each marks the same 40×20 px in the first photo."""
    export, out = CLEAN[tool](tmp_path / "x"), tmp_path / "out"
    concepts = [] if tool == "voc" else ["--concept", "seam=seam"]
    arguments = ["data", "import", str(export), "--out", str(out), "--concept", "crack=crack", *concepts]
    assert main([*arguments, "--strict"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "problem" not in printed.out
    mask = load_dataset(out).samples[0].labels["crack"]
    with Image.open(out / mask) as image:
        assert (np.asarray(image) > 0).sum() == MARKED.sum()


def test_import__classes_that_no_file_declares_are_absent_only_if_stated(tmp_path, capsys):
    export = clean_labelme(tmp_path / "x")
    (export / "labels.txt").unlink()
    arguments = ["data", "import", str(export), "--out", str(tmp_path / "out"), "--concept", "crack=crack"]
    assert main([*arguments, "--concept", "seam=seam"]) == 0
    assert "'crack': 1 marked, 0 absent, 1 unknown" in capsys.readouterr().out
    assert main([*arguments, "--concept", "seam=seam", "--replace", "--fully-labelled"]) == 0
    assert "'crack': 1 marked, 1 absent, 0 unknown" in capsys.readouterr().out


def test_import__a_missing_export_is_named(tmp_path, capsys):
    assert main(["data", "import", str(tmp_path / "gone"), "--out", str(tmp_path / "out")]) == 3
    assert "gone" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_split__by_ratios_and_by_csv(tmp_path, capsys):
    _import(tmp_path)
    assert main(["data", "split", str(tmp_path / "out"), "--ratios", "1/1/1", "--seed", "4", "--blocks"]) == 0
    assert {sample.split for sample in load_dataset(tmp_path / "out")} == {"train", "val", "test"}
    rows = write_text(tmp_path / "s.csv", "file,split\na_jpg.rf.1.jpg,train\nz.jpg,test\n")
    assert main(["data", "split", str(tmp_path / "out"), "--by-csv", str(rows)]) == 0
    assert [sample.split for sample in load_dataset(tmp_path / "out")] == ["train", None, None]
    printed = capsys.readouterr().err
    assert "2 photos are not listed in" in printed
    assert "1 rows of" in printed


@pytest.mark.parametrize(
    "arguments",
    [["--ratios", "1/2"], ["--group", "colour"], ["--by-csv", "gone.csv"]],
    ids=lambda words: words[0],
)
def test_split__wrong_usage_leaves_the_data_set_alone(tmp_path, arguments):
    _import(tmp_path)
    before = (tmp_path / "out" / "manifest.jsonl").read_bytes()
    assert main(["data", "split", str(tmp_path / "out"), *arguments]) in {2, 3}
    assert (tmp_path / "out" / "manifest.jsonl").read_bytes() == before


def test_audit__clean_gives_0_and_a_leak_gives_1(tmp_path, capsys):
    export = roboflow_coco(tmp_path / "x")
    assert main(["data", "audit", str(export)]) == 0
    assert "no problems found" in capsys.readouterr().out
    write_photo(export / "valid" / "c_jpg.rf.1.jpg", photo(1))
    sheet, report = tmp_path / "s" / "sheet.png", tmp_path / "report.json"
    assert main(["data", "audit", str(export), "--json", str(report), "--sheet", str(sheet)]) == 1
    assert "near-duplicates with different names: 1 pair of" in capsys.readouterr().out
    assert json.loads(report.read_text())["near_duplicates"][0]["photographs"] == ["a_jpg", "c_jpg"]
    with Image.open(sheet) as image:
        assert image.width > 1000


def test_audit__a_sheet_that_is_no_png_is_refused_before_the_work(tmp_path, capsys):
    assert main(["data", "audit", str(tmp_path / "gone"), "--sheet", str(tmp_path / "s.txt")]) == 2
    assert "FILE.png" in capsys.readouterr().err


def test_stats__prints_and_writes_json(tmp_path, capsys):
    _import(tmp_path)
    assert main(["data", "stats", str(tmp_path / "out"), "--json", str(tmp_path / "s.json")]) == 0
    assert "crack: shown 2, absent 1" in capsys.readouterr().out
    assert json.loads((tmp_path / "s.json").read_text())["photos"] == 3


def test_stats__of_no_data_set_is_one_line(tmp_path, capsys):
    assert main(["data", "stats", str(tmp_path)]) == 3
    assert "drywallqa data import" in capsys.readouterr().err


def test_import__a_name_that_is_no_text(tmp_path, capsys):
    export = roboflow_yolo(tmp_path / "x")
    name = b"K\xfcche".decode("utf-8", "surrogateescape")  # as a share of an old system leaves it
    try:
        write_photo(export / "train" / "images" / f"{name}.jpg", photo(7))
    except (OSError, UnicodeError):
        pytest.skip("this system's names are always text")
    arguments = ["data", "import", str(export), "--out", str(tmp_path / "out"), "--concept", "crack=crack"]
    assert main(arguments) == 0
    assert main([*arguments, "--replace"]) == 0
    assert "K\\udcfcche" in capsys.readouterr().err  # its label file is missing
    named = [sample for sample in load_dataset(tmp_path / "out") if sample.image_id.startswith("K_che-")]
    assert [(tmp_path / "out" / sample.photo).is_file() for sample in named] == [True]
    assert main(["data", "audit", str(export), "--json", str(tmp_path / "audit.json")]) in (0, 1)
    json.loads((tmp_path / "audit.json").read_text("utf-8"))


def test_import__phrasings_that_are_refused_cost_no_old_set(tmp_path):
    assert _import(tmp_path) == 0
    before = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
    phrasings = write_text(tmp_path / "phrasings.txt", "[dog]\na dog\n")
    assert _import(tmp_path, "--replace", "--phrasings", str(phrasings)) == 2
    assert sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file()) == before


@pytest.mark.parametrize("suffix", sorted(SUFFIXES - {".heic", ".heif", ".hif"}))
def test_import__takes_every_suffix_that_segment_takes(tmp_path, suffix):
    kind = {".mpo": "JPEG", ".jfif": "JPEG", ".jpe": "JPEG", ".dib": "BMP"}.get(suffix)
    for part in ("images", "labels"):
        (tmp_path / "x" / part).mkdir(parents=True)
    Image.fromarray(photo(1)).save(tmp_path / "x" / "images" / f"a{suffix.upper()}", kind)
    write_text(tmp_path / "x" / "labels" / "a.txt", "0 0.5 0.5 0.25 0.25\n")
    write_text(tmp_path / "x" / "data.yaml", "names: ['crack']\n")
    arguments = ["data", "import", str(tmp_path / "x"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--concept", "crack=crack"]) == 0
    (sample,) = load_dataset(tmp_path / "out")
    assert sample.labels["crack"] is not None


def test_sources__one_list_of_suffixes():
    source = Path(drywallqa.__file__).parent
    own = {"photos.py", "photo_formats.py"}
    listing = re.compile(r"\bjpeg\b.*\bpng\b.*\b(webp|bmp|tiff?)\b", re.I)
    found = [
        (path.name, line)
        for path in source.rglob("*.py")
        if path.name not in own
        for line in path.read_text("utf-8").splitlines()
        if listing.search(line) and '"' in line
    ]
    assert not found, "use photos.SUFFIXES"


def test_import__the_help_lists_every_format_that_can_be_read(capsys):
    assert main(["data", "import", "--help"]) == 0
    shown = " ".join(re.sub(r"[^a-z-]", " ", capsys.readouterr().out).split())
    readable = [name for name in exports.LAYOUTS if name not in recognised.FOREIGN]
    assert set(readable) <= set(shown.split())
