import tempfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings

from drywallqa.errors import ConfigError
from drywallqa.formats import problems
from drywallqa.formats.cvat_xml_writer import write_cvat_xml
from drywallqa.formats.rle import BoxRuns, decode_box_runs
from odd_masks import odd_masks
from written_labels import large_mask, masked_photo, read_back

many = settings(max_examples=60, deadline=None)


def _write(folder, photos, classes=("crack",)):
    (folder / "out").mkdir()
    return write_cvat_xml(folder / "out", photos, classes)


def _images(folder):
    return ElementTree.parse(folder / "out/default.xml").getroot().findall("image")


def _mask_of(element, height, width):
    box = (int(element.attrib[name]) for name in ("left", "top", "width", "height"))
    return decode_box_runs(BoxRuns(element.attrib["rle"], *box), height, width)


@many
@given(odd_masks())
def test_cvat__each_pixel_comes_back(mask):
    with tempfile.TemporaryDirectory() as name:
        _write(Path(name), [masked_photo(Path(name), "a.png", {"crack": mask})])
        (image,) = _images(Path(name))
        labels = read_back(Path(name) / "out", "cvat")["images/default/a.png"]
    assert labels.problems == []
    read = labels.masks["crack"]
    assert (read is None) == (not mask.any())
    assert read is None or (read == mask).all()
    assert [image.attrib[name] for name in ("height", "width")] == list(map(str, mask.shape))
    found = [_mask_of(each, *mask.shape) for each in image]
    assert len(found) == mask.any()
    assert all((each == mask).all() for each in found)


def test_cvat__twelve_megapixels(tmp_path):
    mask = large_mask()
    _write(tmp_path, [masked_photo(tmp_path, "a.png", {"crack": mask})])
    ((element,),) = _images(tmp_path)
    assert (_mask_of(element, *mask.shape) == mask).all()


def test_cvat__labels_subsets_and_sources(tmp_path):
    spot = np.eye(8, dtype=bool)
    photos = [
        masked_photo(tmp_path, "a.png", {"crack": spot, "a & b": None}, split="train"),
        masked_photo(tmp_path, "wall/b.png", {"crack": None, "a & b": spot}, model="compact 1"),
        masked_photo(tmp_path, "c.png", {"crack": spot}),
    ]
    result = _write(tmp_path, photos, ("crack", "a & b"))
    roots = [ElementTree.parse(tmp_path / "out" / name).getroot() for name in ("train.xml", "default.xml")]
    for root in roots:
        assert [label.findtext("name") for label in root.iter("label")] == ["crack", "a & b"]
    images = [image for root in roots for image in root.iter("image")]
    assert [(each.get("name"), each.get("subset"), each.get("id")) for each in images] == [
        ("a.png", "train", "0"),
        ("wall/b.png", "default", "0"),
    ]
    masks = [mask for root in roots for mask in root.iter("mask")]
    assert [(mask.get("label"), mask.get("source")) for mask in masks] == [
        ("crack", "manual"),
        ("a & b", "auto"),
    ]
    assert (tmp_path / "out/images/train/a.png").is_file()
    assert (tmp_path / "out/images/default/wall/b.png").is_file()
    assert [(problem.kind, problem.file) for problem in result.problems] == [(problems.LEFT_OUT, "c.png")]


def test_cvat__a_class_name_that_xml_cannot_contain_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="rename"):
        _write(tmp_path, [], ("crack\x01",))
