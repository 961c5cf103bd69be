import dataclasses
import json

import numpy as np
import pytest

from drywallqa.cli import main
from drywallqa.datasets import merging
from drywallqa.datasets.dataset import load_dataset, save_dataset
from drywallqa.datasets.importing import ImportOptions, import_export
from drywallqa.datasets.merging import merge_export
from drywallqa.errors import DataError
from tiny_exports import square, write_coco, write_photo

CRACK = ImportOptions(["crack=crack"])
FIRST, BETTER = ({"bbox": [left, 8, 16, 24]} for left in (8, 40))


@pytest.fixture
def dataset(tmp_path):
    """Two photos with crack labels, in train and val."""
    for number, name in enumerate("ab"):
        write_photo(tmp_path / "x" / f"{name}.jpg", number)
    write_coco(tmp_path / "x" / "result.json", ["a.jpg", "b.jpg"], [FIRST, FIRST | {"image_id": 2}])
    known = import_export(tmp_path / "x", tmp_path / "out", ImportOptions(["crack=crack"], ["seam"])).dataset
    split = dict(zip("ab", ("train", "val"), strict=True))
    save_dataset(known.with_samples(dataclasses.replace(s, split=split[s.image_id]) for s in known))
    return tmp_path / "out"


def correction(tmp_path, names, annotations, photos=()):
    for number, name in photos:
        write_photo(tmp_path / "corrected" / name, number)
    write_coco(tmp_path / "corrected" / "val" / "result.json", names, annotations)
    return tmp_path / "corrected"


def test_merge__corrected_labels_win_and_the_rest_stays(tmp_path, dataset):
    export = correction(tmp_path, ["a.jpg"], [BETTER])
    result = merge_export(export, dataset, CRACK, by="Ada")
    first, second = load_dataset(dataset).samples
    mask = result.dataset.read_mask(first, "crack")
    assert (mask == square(40, 8, 56, 32)).all()
    assert [(each.concept, each.by) for each in first.corrections] == [("crack", "Ada")]
    assert first.corrections[0].source == "val/result.json, image id 1"
    assert first.corrections[0].at.startswith("20")
    assert (first.labels["seam"], second.corrections) == (None, ())
    assert (result.dataset.read_mask(second, "crack") == square(8, 8, 24, 32)).all()


def test_merge__a_photo_never_changes_its_split(tmp_path, dataset):
    result = merge_export(correction(tmp_path, ["a.jpg"], [BETTER]), dataset, CRACK)
    assert [sample.split for sample in load_dataset(dataset)] == ["train", "val"]
    assert [(problem.kind, problem.file) for problem in result.problems] == [("two splits", "a.jpg")]


def test_merge__a_label_that_was_deleted_is_absent_now(tmp_path, dataset):
    merge_export(correction(tmp_path, ["b.jpg"], []), dataset, CRACK)
    known = load_dataset(dataset)
    assert known.samples[1].labels["crack"] is None
    assert not known.read_mask(known.samples[1], "crack").any()


def test_merge__photos_are_found_by_content_whatever_their_name(tmp_path, dataset):
    export = correction(tmp_path, ["../renamed.jpg"], [BETTER], photos=[(1, "renamed.jpg")])
    merge_export(export, dataset, CRACK)
    corrected = [sample.image_id for sample in load_dataset(dataset) if sample.corrections]
    assert corrected == ["b"]


def test_merge__a_photo_of_another_data_set_is_named_and_skipped(tmp_path, dataset):
    export = correction(
        tmp_path, ["a.jpg", "../other.jpg"], [BETTER, BETTER | {"image_id": 2}], photos=[(7, "other.jpg")]
    )
    result = merge_export(export, dataset, CRACK)
    assert [sample.image_id for sample in result.added] == ["a"]
    assert ("missing photo", "other.jpg") in {(problem.kind, problem.file) for problem in result.problems}
    assert len(load_dataset(dataset)) == 2


def test_merge__contradictory_labels_leave_the_old_ones(tmp_path, dataset):
    export = correction(tmp_path, ["a.jpg"], [BETTER])
    write_coco(export / "again.json", ["a.jpg"], [FIRST])
    result = merge_export(export, dataset, CRACK)
    known = load_dataset(dataset)
    assert (known.read_mask(known.samples[0], "crack") == square(8, 8, 24, 32)).all()
    assert known.samples[0].corrections == ()
    assert "contradiction" in [problem.kind for problem in result.problems]


def test_merge__nothing_to_merge_is_an_error_and_changes_nothing(tmp_path, dataset):
    before = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match=r"no photo of this export .*first problem.*zzz"):
        merge_export(correction(tmp_path, ["zzz.jpg"], [BETTER]), dataset, CRACK)
    with pytest.raises(DataError, match=r"two splits.*nothing was merged"):
        merge_export(
            correction(tmp_path, ["a.jpg"], [BETTER]), dataset, ImportOptions(["crack=crack"], strict=True)
        )
    assert {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()} == before


def test_import__merge_on_the_command_line(tmp_path, dataset, capsys):
    export = correction(tmp_path, ["a.jpg"], [BETTER])
    arguments = ["data", "import", str(export), "--out", str(dataset), "--concept", "crack=crack", "--merge"]
    assert main([*arguments, "--by", "Ada"]) == 0
    assert "1 photos (train 1) relabelled in" in capsys.readouterr().out
    assert np.array_equal([len(sample.corrections) for sample in load_dataset(dataset)], [1, 0])


def test_merge__label_studio_names_photo_author_and_time_without_the_photos(tmp_path, dataset):
    region = {
        "id": "r1", "type": "rectanglelabels", "from_name": "label", "to_name": "image",
        "original_width": 64, "original_height": 64,
        "value": {"x": 50, "y": 0, "width": 25, "height": 25, "rotation": 0, "rectanglelabels": ["crack"]},
    }  # fmt: skip
    annotation = {
        "id": 5, "result": [region], "completed_by": {"email": "ada@example.org"},
        "updated_at": "2026-11-30T10:00:00Z",
    }  # fmt: skip
    task = {"id": 1, "data": {"image": "/data/upload/1/0a1b2c3d-b.jpg"}, "annotations": [annotation]}
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "project-1.json").write_text(json.dumps([task]))
    result = merge_export(tmp_path / "project", dataset, CRACK, by="somebody else")
    known = load_dataset(dataset)
    assert result.problems == ()
    assert (known.read_mask(known.samples[1], "crack") == square(32, 0, 48, 16)).all()
    (correction,) = known.samples[1].corrections
    assert (correction.by, correction.at) == ("ada@example.org", "2026-11-30T10:00:00Z")


def test_merge__copies_of_one_photo_that_contradict_each_other_leave_the_old_label(tmp_path, dataset):
    copies = [(0, "p/a.jpg"), (0, "q/a.jpg")]
    names, second = ["../p/a.jpg", "../q/a.jpg"], FIRST | {"image_id": 2}
    export = correction(tmp_path, names, [BETTER, second], photos=copies)
    result = merge_export(export, dataset, CRACK)
    assert [problem.kind for problem in result.problems if problem.is_loss] == ["contradiction"]
    known = load_dataset(dataset)
    assert (known.read_mask(known.samples[0], "crack") == square(8, 8, 24, 32)).all()
    export = correction(tmp_path, names, [BETTER, BETTER | {"image_id": 2}], photos=copies)
    assert len(merge_export(export, dataset, CRACK).added) == 1
    known = load_dataset(dataset)
    assert (known.read_mask(known.samples[0], "crack") == square(40, 8, 56, 32)).all()


def test_merge__options_of_an_import_are_refused(tmp_path, dataset, capsys):
    export = correction(tmp_path, ["a.jpg"], [BETTER])
    asked = ["data", "import", str(export), "--out", str(dataset), "--concept", "crack=crack", "--merge"]
    for option in (["--replace"], ["--set", "walls"], ["--exif", "sensor"]):
        assert main([*asked, *option]) == 2
        assert option[0] in capsys.readouterr().err
    assert main([*asked[:-1], "--by", "Ada"]) == 2
    assert "--by applies to --merge" in capsys.readouterr().err
    assert not any(sample.corrections for sample in load_dataset(dataset))


def test_merge__an_interruption_leaves_the_old_labels_in_place(tmp_path, dataset, monkeypatch):
    known = load_dataset(dataset)
    before = [known.read_mask(sample, "crack") for sample in known]

    def interrupted(dataset):
        raise KeyboardInterrupt

    export = correction(tmp_path, ["a.jpg"], [BETTER])
    with monkeypatch.context() as patch:
        patch.setattr(merging, "save_dataset", interrupted)
        with pytest.raises(KeyboardInterrupt):
            merge_export(export, dataset, CRACK)
    assert load_dataset(dataset).samples == known.samples
    assert all((known.read_mask(s, "crack") == old).all() for s, old in zip(known, before, strict=True))
    for number in (1, 2):  # each merge replaces the masks of the one before
        merge_export(export, dataset, CRACK)
        masks = sorted(path.name for path in (dataset / "masks" / "crack").rglob("*.png"))
        assert masks == [f"a.v{number + 1}.png", "b.png"]
