import json
from pathlib import Path

import pytest

from drywallqa.datasets.concepts import ConceptMap, read_phrasings
from drywallqa.datasets.dataset import load_dataset
from drywallqa.datasets.importing import ImportOptions, import_export
from drywallqa.errors import ConfigError, DataError
from drywallqa.evaluation.measured_model import MeasuredModel, choose_prompts
from drywallqa.formats.annotations import Export, PhotoEntry, Shape
from drywallqa.formats.geometry import Box
from drywallqa.inference.segmenter import Segmenter
from fakes import FakeBundle
from tiny_exports import roboflow_yolo, write_text


def _export(*names: str) -> Export:
    shapes = tuple(Shape(name, Box(0, 0, 9, 9), "f", "1") for name in names)
    return Export(Path(), "coco", (PhotoEntry(Path("a.jpg"), None, shapes),), (), (*names, "unused"))


def test_parse__several_classes_may_mean_one_concept_and_one_be_dropped():
    concepts = ConceptMap.parse(
        ["A=Crack", "b = crack", "c=ignore"], ["Taping  Area"], _export("A", "b", "c")
    )
    assert concepts.mapped() == ("crack",)
    assert concepts.by_class["b"] == "crack"
    assert concepts.by_class["c"] is None
    assert concepts.absent == ("taping area",)


def test_parse__a_class_name_may_hold_an_equals_sign():
    assert ConceptMap.parse(["a=b=crack"], [], _export("a=b")).by_class["a=b"] == "crack"


def test_parse__a_class_without_concept_lists_the_classes_and_what_to_write():
    with pytest.raises(ConfigError, match=r"'A', 'b'.*--concept \"b=CONCEPT\".*ignore"):
        ConceptMap.parse(["A=crack"], [], _export("A", "b"))


@pytest.mark.parametrize(
    ("options", "absent", "words"),
    [
        (["crack"], [], "CLASS=CONCEPT"),
        (["=crack"], [], "CLASS=CONCEPT"),
        (["A=crack", "nothing=crack"], [], "no class 'nothing'"),
        (["A=crack", "A=seam"], [], "two concepts"),
        (["A=crack"], ["crack"], "both in --concept and in --absent"),
        (["A=  "], [], "not a valid concept name"),
        (["A=!!"], [], "not a valid concept name"),
        (["A=butt joint"], ["butt/joint"], "the same folder name"),
    ],
)
def test_parse__bad_options_are_refused(options, absent, words):
    with pytest.raises(ConfigError, match=words):
        ConceptMap.parse(options, absent, _export("A"))


def test_read_phrasings__by_concept(tmp_path):
    path = write_text(
        tmp_path / "p.txt", "loose one\n# remark\n\n[Crack]\nhairline  fissure\nhairline fissure\n"
    )
    assert read_phrasings(path) == {None: ("loose one",), "crack": ("hairline fissure",)}


def test_read_phrasings__a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.txt"):
        read_phrasings(tmp_path / "gone.txt")


def test_read_phrasings__a_template_is_no_heading(tmp_path):
    path = write_text(tmp_path / "p.txt", "[Seam line]\n[thin|exact] line of the [seam|joint]\n[fine|dark]\n")
    assert read_phrasings(path) == {"seam line": ("[thin|exact] line of the [seam|joint]", "[fine|dark]")}


def test_phrasings__templates_are_written_out_before_anybody_asks_them(tmp_path):
    export = roboflow_yolo(tmp_path / "x")
    told = "[crack]\n[hairline|thin] crack\nfissure\n"
    options = ImportOptions(["crack=crack"], phrasings=write_text(tmp_path / "p.txt", told))
    made = import_export(export, tmp_path / "out", options).dataset
    expected = ("hairline crack", "thin crack", "fissure")
    assert made.concepts["crack"] == load_dataset(tmp_path / "out").concepts["crack"] == expected
    prompts, _ = choose_prompts(MeasuredModel("one", Segmenter(FakeBundle())), made)
    assert prompts == {"hairline crack": "crack"}


def test_phrasings__of_an_older_data_set_are_written_out(tmp_path):
    head = {"format_version": 1, "concepts": {"crack": ["[fine|thin] crack [here|]"]}}
    write_text(tmp_path / "dataset.json", json.dumps(head))
    write_text(tmp_path / "manifest.jsonl", "")
    known = load_dataset(tmp_path).concepts["crack"]
    assert known == ("fine crack here", "fine crack", "thin crack here", "thin crack")
