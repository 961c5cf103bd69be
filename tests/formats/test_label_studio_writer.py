import json
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from hypothesis import given, settings

from drywallqa.formats import problems
from drywallqa.formats.label_studio_writer import write_label_studio
from drywallqa.formats.rle import decode_brush, encode_brush
from odd_masks import odd_masks
from written_labels import large_mask, masked_photo, read_back

many = settings(max_examples=60, deadline=None)


def _write(folder, photos, classes=("crack",)):
    (folder / "out").mkdir()
    return write_label_studio(folder / "out", photos, classes)


def _tasks(folder):
    return json.loads((folder / "out/tasks.json").read_text())


@many
@given(odd_masks())
def test_label_studio__each_pixel_comes_back(mask):
    with tempfile.TemporaryDirectory() as name:
        _write(Path(name), [masked_photo(Path(name), "a.png", {"crack": mask})])
        (task,) = _tasks(Path(name))
        labels = read_back(Path(name) / "out", "label-studio")["images/default/a.png"]
    assert labels.problems == []
    assert (labels.masks.get("crack") is None) == (not mask.any())
    assert not mask.any() or (labels.masks["crack"] == mask).all()
    (annotation,) = task["annotations"]
    assert len(annotation["result"]) == mask.any()
    for result in annotation["result"]:
        assert (result["original_height"], result["original_width"]) == mask.shape
        assert (decode_brush(result["value"]["rle"], *mask.shape) == mask).all()


def test_label_studio__twelve_megapixels(tmp_path):
    mask = large_mask()
    _write(tmp_path, [masked_photo(tmp_path, "a.png", {"crack": mask})])
    (task,) = _tasks(tmp_path)
    rle = task["annotations"][0]["result"][0]["value"]["rle"]
    assert (decode_brush(rle, *mask.shape) == mask).all()


def test_label_studio__masks_of_a_model_are_predictions(tmp_path):
    spot = np.eye(8, dtype=bool)
    settings = {"model": "compact 1", "scores": {"crack": 0.75, "seam": 0.25}}
    photo = masked_photo(tmp_path, "wall 1/ä.png", {"crack": spot, "seam": None}, **settings)
    _write(tmp_path, [photo], ("crack", "seam"))
    (task,) = _tasks(tmp_path)
    assert "annotations" not in task
    (prediction,) = task["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("compact 1", 0.75)
    (result,) = prediction["result"]
    assert result["value"]["brushlabels"] == ["crack"]
    assert task["data"]["image"] == "/data/local-files/?d=images/default/wall%201/%C3%A4.png"
    config = ElementTree.parse(tmp_path / "out/label_config.xml").getroot()
    assert config.find("BrushLabels").get("name") == result["from_name"]
    assert config.find("Image").get("name") == result["to_name"]
    assert [label.get("value") for label in config.iter("Label")] == ["crack", "seam"]


def test_label_studio__what_the_tasks_cannot_state_is_told(tmp_path):
    photos = [
        masked_photo(tmp_path, "a.png", {"crack": np.eye(8, dtype=bool), "seam": None}),
        masked_photo(tmp_path, "b.png", {"seam": None}),
    ]
    result = _write(tmp_path, photos, ("crack", "seam"))
    assert [(problem.kind, problem.file) for problem in result.problems] == [
        (problems.LEFT_OUT, "b.png"),
        (problems.INEXACT, ""),
    ]
    assert "no photo shows 'seam'" in result.problems[1].text


def test_brush__twelve_megapixels_are_encoded_at_once():
    mask = large_mask()
    seconds = []
    for _ in range(5):
        start = time.process_time()
        encode_brush(mask)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.2
