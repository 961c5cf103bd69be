from dataclasses import replace

import numpy as np
import pytest

from drywallqa.datasets.annotation_export import export_dataset
from drywallqa.datasets.dataset import Dataset, Sample, load_dataset, save_dataset
from drywallqa.datasets.importing import ImportOptions, import_export
from drywallqa.errors import ConfigError, DataError
from drywallqa.formats import problems
from drywallqa.formats.annotations import ReadOptions
from drywallqa.formats.writing import WRITERS
from drywallqa.imaging.mask_files import write_mask_file
from tiny_exports import write_photo

GENERATOR = np.random.default_rng(3)
MASKS = {name: GENERATOR.random((64, 64)) < share for name, share in (("a", 0.1), ("b", 0.5), ("c", 0.9))}


def _add(folder, name, masks, **settings):
    """Write a photo and its masks (None: absent) into a data set, and return its sample."""
    photo = write_photo(folder / "photos" / "walls" / f"{name}.png", len(name))
    labels = {}
    for concept, mask in masks.items():
        path = folder / "masks" / concept / "walls" / f"{name}.png"
        if mask is not None:
            write_mask_file(path, mask)
        labels[concept] = None if mask is None else path.relative_to(folder).as_posix()
    path = photo.relative_to(folder).as_posix()
    return Sample(name, path, "walls", name, 64, 64, labels, **settings)


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "data"
    samples = (
        _add(folder, "one", {"crack": MASKS["a"], "seam": MASKS["b"]}, split="train"),
        _add(folder, "two", {"crack": None, "seam": MASKS["c"]}, split="val"),
        _add(folder, "three", {"crack": MASKS["c"]}, split="test"),
        _add(folder, "four", {"crack": None, "seam": None}),
    )
    made = Dataset(folder, samples, {"crack": ("segment crack",), "seam": ("segment seam",)})
    save_dataset(made)
    return made


@pytest.mark.parametrize("layout", WRITERS)
def test_export__comes_in_again(dataset, tmp_path, layout):
    reader = layout.removesuffix("-rle")
    done = export_dataset(dataset, layout, tmp_path / "out")
    complete = layout in ("coco", "coco-rle", "masks")
    left_out = [problem.file for problem in done.problems if problem.is_loss]
    assert left_out == ([] if complete else ["walls/three.png"])
    assert done.photos == (4 if complete else 3)
    concepts = ["crack=crack", "seam=seam"]
    read = ReadOptions(invert=False if layout == "masks" else None)  # some masks are mostly foreground
    options = ImportOptions(concepts, layout=reader, read=read)
    result = import_export(tmp_path / "out", tmp_path / "again", options)
    assert result.problems == ()
    again = {sample.image_id: sample for sample in load_dataset(tmp_path / "again")}
    for sample in dataset:
        if sample.key + ".png" in left_out:
            assert sample.image_id not in again
            continue
        found = again[sample.image_id]
        assert found.split == sample.split
        assert {concept: found.labels[concept] is None for concept in found.labels} == {
            concept: sample.labels[concept] is None for concept in sample.labels
        }
        for concept in found.labels:
            masks = [
                each.read_mask(one, concept) for each, one in ((dataset, sample), (result.dataset, found))
            ]
            assert (masks[0] == masks[1]).all()


def test_export__only_some_concepts_and_splits(dataset, tmp_path):
    done = export_dataset(dataset, "yolo", tmp_path / "out", concepts=["Crack"], splits=["train", "test"])
    assert done.photos == 2
    assert done.losses == 0
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in done.files)
    assert names == [
        "data.yaml",
        "images/test/walls/three.png",
        "images/train/walls/one.png",
        "labels/test/walls/three.txt",
        "labels/train/walls/one.txt",
    ]


@pytest.mark.parametrize("layout", WRITERS)
def test_export__without_photos(dataset, tmp_path, layout):
    export_dataset(dataset, layout, tmp_path / "out", concepts=["crack"], copy_photos=False)
    assert not (tmp_path / "out/images").exists()


def test_export__a_damaged_mask_leaves_its_photo_out(dataset, tmp_path):
    (dataset.folder / "masks/crack/walls/one.png").write_bytes(b"no picture")
    done = export_dataset(dataset, "coco", tmp_path / "out")
    assert done.photos == 3
    assert [(problem.kind, problem.file) for problem in done.problems] == [
        (problems.UNREADABLE, "walls/one.png")
    ]


def test_export__an_incomplete_mask_is_named(dataset, tmp_path):
    folder = dataset.folder
    part = dataset.with_samples([_add(folder, "five", {"crack": MASKS["a"]}, incomplete=("crack",))])
    done = export_dataset(part, "cvat", tmp_path / "out", concepts=["crack"])
    assert [(problem.kind, problem.file) for problem in done.problems] == [
        (problems.INCOMPLETE, "walls/five.png")
    ]
    assert done.losses == 0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"concepts": ["dog"]}, "no concept 'dog'; its concepts: crack, seam"),
        ({"splits": ["holdout"]}, "no photo in holdout; its splits: no split, test, train, val"),
    ],
)
def test_export__unknown_names_are_refused(dataset, tmp_path, options, error):
    with pytest.raises(ConfigError, match=error):
        export_dataset(dataset, "coco", tmp_path / "out", **options)


def test_export__nothing_left_is_an_error(dataset, tmp_path):
    with pytest.raises(DataError, match="no photo could be exported as cvat"):
        export_dataset(dataset, "cvat", tmp_path / "out", splits=["test"])
    assert not (tmp_path / "out").exists()


def test_export__unlabelled_pixels_are_counted(dataset, tmp_path):
    write_mask_file(dataset.folder / "ignored" / "one.png", MASKS["a"])
    samples = [replace(dataset.samples[0], ignored={"crack": "ignored/one.png"}), *dataset.samples[1:]]
    done = export_dataset(dataset.with_samples(samples), "coco", tmp_path / "out")
    (problem,) = done.problems
    assert (problem.kind, problem.file) == (problems.INCOMPLETE, "walls/one.png")
    assert problem.text.startswith(f"{MASKS['a'].sum()} px that nobody labelled for 'crack'")
