import numpy as np
import pytest

from drywallqa.curation import stats
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.datasets.importing import ImportOptions, import_export
from drywallqa.datasets.set_files import write_mask
from tiny_exports import roboflow_coco, square


def test_measure__counts_photos_parts_and_concepts(tmp_path):
    options = ImportOptions(["crack=crack"], ["seam"])
    found = stats.measure_dataset(
        import_export(roboflow_coco(tmp_path / "x"), tmp_path / "out", options).dataset
    )
    assert (found["photos"], found["photographs"]) == (3, 3)
    assert [tuple(part.values()) for part in found["parts"]] == [("x", "train", 2, 2), ("x", "val", 1, 1)]
    crack, seam = found["concepts"]["crack"], found["concepts"]["seam"]
    assert (crack["shown"], crack["absent"], crack["unlabelled"]) == (2, 1, 0)
    assert (seam["shown"], seam["absent"], seam["unlabelled"]) == (0, 3, 0)
    assert crack["foreground_share"]["minimum"] == pytest.approx(16 * 24 / 64**2, abs=1e-4)
    assert crack["piece_longer_side_px"]["minimum"] == 240
    assert crack["piece_shorter_side_px"]["minimum"] == 160
    assert "crack: shown 2, absent 1, not labelled 0" in list(stats.stats_lines(found))


def test_measure__widths_and_pieces_at_640_px(tmp_path):
    mask = np.zeros((320, 320), bool)
    mask[100:106, 10:310] = True
    mask[200:204, 10:310] = True
    write_mask(tmp_path / "m.png", mask)
    sample = Sample("a", "a.png", "x", "a", 320, 320, {"crack": "m.png"})
    found = stats.measure_dataset(Dataset(tmp_path, (sample,), {"crack": ()}))["concepts"]["crack"]
    assert found["width_px"]["median"] == pytest.approx(10, rel=0.15)
    assert found["pieces"] == 2
    assert (found["piece_shorter_side_px"]["minimum"], found["piece_shorter_side_px"]["maximum"]) == (8, 12)
    assert found["piece_longer_side_px"]["minimum"] == 600


def test_measure__rectangles_have_no_width_and_an_unlabelled_photo_is_counted(tmp_path):
    write_mask(tmp_path / "m.png", square(8, 8, 24, 24))
    about = ("a.png", "x", "a", 64, 64)
    samples = (Sample("a", *about, {"crack": "m.png"}), Sample("b", *about, {}))
    found = stats.measure_dataset(Dataset(tmp_path, samples, {"crack": ()}))["concepts"]["crack"]
    assert found["width_px"] is None
    assert found["unlabelled"] == 1
