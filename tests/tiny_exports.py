"""Exports of a few 64 px photos, in the folder layouts that people download."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIDE = 64


def photo(seed: int, side: int = SIDE) -> np.ndarray:
    """A photo [side,side,3] unlike that of any other seed: soft blotches and fine grain."""
    generator = np.random.default_rng(seed)
    blotches = Image.fromarray(generator.integers(40, 215, (8, 8, 3), np.uint8))
    soft = np.asarray(blotches.resize((side, side), Image.Resampling.BICUBIC), np.int16)
    grain = generator.integers(-15, 16, (side, side, 1))
    return np.clip(soft + grain, 0, 255).astype(np.uint8)


def write_photo(path: Path, pixels: np.ndarray | int) -> Path:
    """Write pixels, or the photo of a seed, as the format that the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(photo(pixels) if isinstance(pixels, int) else pixels)
    if path.suffix.lower() in {".jpg", ".jpeg"}:
        image.save(path, quality=95)
    else:
        image.save(path)
    return path


def write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def square(left: int, top: int, right: int, bottom: int, side: int = SIDE) -> np.ndarray:
    """A mask that is one upright rectangle."""
    mask = np.zeros((side, side), bool)
    mask[top:bottom, left:right] = True
    return mask


def write_coco(
    path: Path, names: list[str], annotations: list[dict], classes: tuple[str, ...] = ("crack",)
) -> Path:
    """Write a COCO file; images and classes are numbered from 1, annotations are completed."""
    data = {
        "images": [
            {"id": number, "file_name": name, "height": SIDE, "width": SIDE}
            for number, name in enumerate(names, 1)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes, 1)],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": 1, "iscrowd": 0} | annotation
            for number, annotation in enumerate(annotations, 1)
        ],
    }
    return write_text(path, json.dumps(data))


def roboflow_coco(root: Path) -> Path:
    """Two photos to train on, one of them empty, and one to validate on, all with a box or a polygon."""
    write_photo(root / "train" / "a_jpg.rf.1.jpg", 1)
    write_photo(root / "train" / "b_jpg.rf.1.jpg", 2)
    write_photo(root / "valid" / "c_jpg.rf.1.jpg", 3)
    box = {"bbox": [8, 8, 16, 24], "segmentation": []}
    write_coco(root / "train" / "_annotations.coco.json", ["a_jpg.rf.1.jpg", "b_jpg.rf.1.jpg"], [box])
    ring = {"segmentation": [[10, 10, 50, 10, 50, 30, 10, 30]], "bbox": [10, 10, 40, 20]}
    write_coco(root / "valid" / "_annotations.coco.json", ["c_jpg.rf.1.jpg"], [ring])
    return root


def roboflow_yolo(root: Path, names: str = "names: ['crack']") -> Path:
    """One photo a part: a polygon in train, a box in valid, nothing in test."""
    write_text(root / "data.yaml", f"train: ../train/images\nval: ../valid/images\nnc: 1\n{names}\n")
    for number, (part, label) in enumerate(
        (("train", "0 0.1 0.1 0.9 0.1 0.9 0.5"), ("valid", "0 0.5 0.5 0.25 0.25"), ("test", ""))
    ):
        write_photo(root / part / "images" / f"p{number}_jpg.rf.1.jpg", 10 + number)
        write_text(root / part / "labels" / f"p{number}_jpg.rf.1.txt", label)
    return root


def real_data() -> Path:
    """Return the folder of the real data sets, or skip the test."""
    default = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("DRYWALLQA_DATA", default))
    if not (folder / "cracks.yolov8").is_dir():
        pytest.skip("the real data sets are not here; set DRYWALLQA_DATA to their folder")
    return folder
