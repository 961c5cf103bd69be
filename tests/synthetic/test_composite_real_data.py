import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from drywallqa.synthetic.composite import composites

DATA = Path(os.environ.get("DRYWALLQA_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(
        not (DATA / "cracks.yolov8").is_dir(),
        reason="the real data sets are missing; set DRYWALLQA_DATA to their folder",
    ),
]


def read_cracks(count):
    samples = []
    for path in sorted((DATA / "cracks.yolov8" / "train" / "images").glob("*.jpg"))[:: 1650 // count][:count]:
        photo = Image.open(path).convert("RGB")
        mask = Image.new("L", photo.size)
        label = path.parent.parent / "labels" / f"{path.stem}.txt"
        for line in label.read_text().splitlines():
            numbers = [float(value) for value in line.split()[1:]]
            if len(numbers) >= 6:
                points = [
                    (x * photo.width, y * photo.height)
                    for x, y in zip(numbers[::2], numbers[1::2], strict=True)
                ]
                ImageDraw.Draw(mask).polygon(points, fill=255)
        if mask.getbbox():
            samples.append((np.asarray(photo), np.asarray(mask) > 0))
    return samples


def read_boards(count):
    folder = DATA / "drywall-join-detect.coco" / "train"
    export = json.loads((folder / "_annotations.coco.json").read_text())
    samples = []
    for image in export["images"][:: len(export["images"]) // count][:count]:
        photo = np.asarray(Image.open(folder / image["file_name"]).convert("RGB"))
        taping = np.zeros(photo.shape[:2], np.bool_)
        for item in export["annotations"]:
            if item["image_id"] == image["id"]:
                x, y, width, height = (round(float(value)) for value in item["bbox"])
                taping[y : y + height, x : x + width] = True
        samples.append((photo, taping))
    return samples


def test_composites__real_photos__cracks_show_and_boards_stay_as_they_are():
    cracks, boards = read_cracks(20), read_boards(10)
    visible = []
    for item in composites(cracks, boards, count=30, seed=1):
        board = boards[item.board_index][0].astype(np.float32)
        change = np.abs(item.photo - board).mean(-1) / np.maximum(board.mean(-1), 20)
        visible.append(np.percentile(change[item.crack], 98) > 0.15)
        assert (change > 0.02).mean() < 3 * item.crack.mean() + 0.02
    assert np.mean(visible) >= 0.9
