import json

import numpy as np
import pytest

from drywallqa.curation.ranking import rank_photos, ranking_lines
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.datasets.set_files import write_mask
from drywallqa.errors import ConfigError, DataError, PhotoError, UnknownPromptError
from drywallqa.inference.segmenter import Segmenter
from fakes import FakeBundle, wall
from tiny_exports import write_photo


def textured(seed, *, red=0):
    """A wall with a random texture, and a bar that is `red` of 255 towards a sure crack."""
    photo = np.random.default_rng(seed).integers(60, 200, (8, 8, 1), np.uint8).repeat(8, 0).repeat(8, 1)
    photo = photo.repeat(3, 2)
    if red:
        photo[16:32, 8:56] = (100 + red // 2, 100 - red // 3, 100 - red // 3)
    return photo


def data_set(folder, photos, labelled=(), splits=None, sources=None):
    """A data set of photos by name; the labelled ones show no crack."""
    samples = []
    for name, photo in photos.items():
        write_photo(folder / "photos" / "x" / f"{name}.png", photo)
        labels = {"crack": None} if name in labelled else {}
        split, source = (splits or {}).get(name, "train"), (sources or {}).get(name, name)
        size = photo.shape[:2]
        samples.append(Sample(name, f"photos/x/{name}.png", "x", source, *size, labels, split))
    return Dataset(folder, tuple(samples), {"crack": ("segment crack",)})


def names(ranking):
    return [photo.photo.rsplit("/", 1)[-1].split(".")[0] for photo in ranking.photos]


@pytest.fixture
def segmenter():
    return Segmenter(FakeBundle())


def test_rank__a_doubtful_photo_comes_before_a_sure_one(tmp_path, segmenter):
    photos = {"known": textured(0), "plain": textured(1), "doubt": textured(2, red=150)}
    found = rank_photos(data_set(tmp_path, photos, ["known"]), "crack", segmenter)
    assert names(found) == ["doubt", "plain"]
    assert found.photos[0].uncertainty > found.photos[1].uncertainty
    assert (found.unlabelled, found.labelled) == (2, 1)


def test_rank__the_score_is_the_mean_of_the_three_ranks(tmp_path, segmenter):
    photos = {str(seed): textured(seed, red=40 * seed) for seed in range(5)}
    found = rank_photos(data_set(tmp_path, photos, ["0"]), "crack", segmenter)
    scores = {photo.photo: photo.score for photo in found.photos}
    for photo in found.photos:
        ranks = []
        for signal in ("uncertainty", "disagreement", "distance"):
            values = [getattr(each, signal) for each in found.photos]
            own = getattr(photo, signal)
            below, same = sum(v < own for v in values), sum(v == own for v in values)
            ranks.append((below + (same - 1) / 2) / 3)
        assert scores[photo.photo] == pytest.approx(np.mean(ranks), abs=1e-5)
    assert list(scores.values()) == sorted(scores.values(), reverse=True)


def test_rank__copies_by_name_and_by_picture_come_last(tmp_path, segmenter):
    doubt, known = textured(2, red=150), textured(0)
    photos = {
        "known": known, "plain": textured(1), "doubt": doubt, "again": textured(9, red=150),
        "mirrored": doubt[:, ::-1].copy(), "known2": known[:, ::-1].copy(),
    }  # fmt: skip
    found = rank_photos(
        data_set(tmp_path, photos, ["known"], sources={"again": "shot", "doubt": "shot"}), "crack", segmenter
    )
    copies = {name: photo.copy_of for name, photo in zip(names(found), found.photos, strict=True)}
    assert set(names(found)[2:]) == {name for name, other in copies.items() if other}
    assert copies["plain"] is None
    assert copies["known2"].endswith("known.png")
    assert sum(copies[name] is None for name in ("doubt", "again", "mirrored")) == 1


def test_rank__val_test_and_other_splits_are_neither_ranked_nor_known(tmp_path, segmenter):
    photos = {name: textured(seed) for seed, name in enumerate(["a", "b", "c", "d", "e"])}
    splits = {"b": "val", "c": "test", "d": "dropped", "e": None}
    found = rank_photos(data_set(tmp_path, photos, ["b"], splits), "crack", segmenter)
    assert sorted(names(found)) == ["a", "e"]
    assert found.labelled == 0
    assert [photo.distance for photo in found.photos] == [None, None]


def test_rank__a_folder_of_photos_against_the_labelled_photos(tmp_path, segmenter):
    known = data_set(tmp_path / "set", {"known": textured(0), "left": textured(5)}, ["known"])
    write_photo(tmp_path / "new" / "a.png", textured(1))
    write_photo(tmp_path / "new" / "inner" / "b.png", textured(2))
    (tmp_path / "new" / "broken.jpg").write_bytes(b"nothing")
    found = rank_photos(known, "crack", segmenter, tmp_path / "new")
    assert names(found) == ["a"]
    assert len(found.failed) == 1
    assert "broken.jpg" in found.failed[0]
    deep = rank_photos(known, "crack", segmenter, tmp_path / "new", recursive=True)
    assert sorted(names(deep)) == ["a", "b"]


def test_rank__errors_name_what_is_wrong(tmp_path, segmenter):
    known = data_set(tmp_path / "set", {"known": wall(), "val": wall()}, ["known"], {"val": "val"})
    with pytest.raises(UnknownPromptError, match="does not know the concept 'stain'; it knows 'crack'"):
        rank_photos(known, "stain", segmenter)
    with pytest.raises(DataError, match="there are 1 in other splits"):
        rank_photos(known, "crack", segmenter)
    with pytest.raises(PhotoError, match="gone"):
        rank_photos(known, "crack", segmenter, tmp_path / "gone")
    (tmp_path / "set" / "dataset.json").write_text("{}")
    with pytest.raises(ConfigError, match="is a data set"):
        rank_photos(known, "crack", segmenter, tmp_path / "set")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"no unlabelled photo could be read; the first: .*a\.jpg"):
        rank_photos(known, "crack", segmenter, tmp_path / "bad")


def test_rank__a_photo_that_shows_the_concept_is_labelled_too(tmp_path, segmenter):
    known = data_set(tmp_path, {"shown": textured(0, red=200), "new": textured(1)})
    write_mask(tmp_path / "m.png", np.ones((64, 64), bool))
    shown, new = known.samples
    labelled = Sample(**{**shown.__dict__, "labels": {"crack": "m.png"}})
    found = rank_photos(known.with_samples([labelled, new]), "crack", segmenter)
    assert (names(found), found.labelled) == (["new"], 1)


def test_ranking__text_json_and_csv_have_the_same_photos(tmp_path, segmenter):
    photos = {str(seed): textured(seed, red=30 * seed) for seed in range(4)}
    found = rank_photos(data_set(tmp_path, photos, ["0"]), "crack", segmenter).first(2)
    assert len(json.loads(json.dumps(found.to_json()))["photos"]) == 2
    rows = found.to_csv().splitlines()
    assert rows[0].startswith("rank,photo,score,uncertainty")
    assert [row.split(",")[1] for row in rows[1:]] == [photo.photo for photo in found.photos]
    lines = list(ranking_lines(found, 1))
    assert found.photos[0].photo in lines[1]
    assert lines[2] == "... and 2 more"
    assert "3 photos have no label for 'crack'" in lines[3]
