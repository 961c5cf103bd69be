"""The leak check against the bundled model and the real photos that it was trained on, saved anew."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from PIL import Image

from drywallqa.bundle.bundle import load_bundle
from drywallqa.cli import main
from drywallqa.datasets.dataset import Dataset, Sample, save_dataset
from drywallqa.evaluation.leaks import LEAST_SIGNS
from drywallqa.imaging import perceptual_hash, photos
from tiny_exports import real_data

pytestmark = [pytest.mark.prove, pytest.mark.data]

SPLIT = Path(__file__).parents[2] / "benchmarks" / "split.csv"
EACH = 50
SCALES = (0.35, 0.6, 1.3)
QUALITY = 60


def rows(split: str, dataset: str) -> list[dict[str, str]]:
    """About `EACH` photos of one part of one set, spread over all of it."""
    with SPLIT.open(encoding="utf-8", newline="") as stream:
        found = [row for row in csv.DictReader(stream) if (row["split"], row["dataset"]) == (split, dataset)]
    return found[:: max(1, len(found) // EACH)][:EACH]


def saved_anew(folder: Path, chosen: list[dict[str, str]]) -> tuple[Dataset, int]:
    """Save photos under new names, smaller or larger, at JPEG 60; count those whose hash tells anything."""
    root, samples, telling = real_data(), [], 0
    (folder / "photos").mkdir(parents=True)
    for place, row in enumerate(chosen):
        photo = photos.read_photo(root / row["file"])
        signs = perceptual_hash.perceptual_hash(photo).bit_count()
        telling += LEAST_SIGNS <= signs <= 63 - LEAST_SIGNS
        scale = SCALES[place % len(SCALES)]
        size = (round(photo.shape[1] * scale), round(photo.shape[0] * scale))
        name = f"photos/new-{place}.jpg"
        image = Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS)
        image.save(folder / name, quality=QUALITY)
        labels = {"crack": None, "taping area": None}
        samples.append(Sample(f"new-{place}", name, "new", f"new-{place}", size[1], size[0], labels, "test"))
    dataset = Dataset(folder, tuple(samples), {c: (f"segment {c}",) for c in ("crack", "taping area")})
    save_dataset(dataset)
    return dataset, telling


def test_leaks__training_photos_of_the_bundled_model_are_found_and_others_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = [*rows("train", "cracks"), *rows("train", "taping")]
    dataset, telling = saved_anew(tmp_path / "trained", trained)
    assert telling > 0.95 * len(dataset)
    assert load_bundle().training_hashes
    assert main(["evaluate", "--data", str(dataset.folder), "-q"]) == 1
    error = capsys.readouterr().err
    found = re.search(rf"(\d+) of {len(dataset)} photos are copies of photos that .* was trained on", error)
    assert found, error
    # a nearly even board at a third of its size may lose more signs than the check forgives
    assert int(found[1]) >= 0.97 * telling

    others, _ = saved_anew(tmp_path / "others", rows("val", "cracks"))
    assert main(["evaluate", "--data", str(others.folder), "-q"]) == 0
    assert "LEAK" not in capsys.readouterr().out
