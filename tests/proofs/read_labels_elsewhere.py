"""Read a written export with other people's readers. Runs in an environment without drywallqa.

Usage: python read_labels_elsewhere.py READER EXPORT RESULT.npz
"""

import json
import sys
from pathlib import Path
from urllib.parse import unquote

import numpy as np


def with_supervision(dataset):
    """Return the united masks of each photo."""
    return {
        Path(path).stem: np.zeros(image.shape[:2], bool) if not len(found) else found.mask.any(axis=0)
        for path, image, found in dataset
    }


def supervision_coco(export):
    import supervision

    file = export / "annotations/instances_default.json"
    return with_supervision(supervision.DetectionDataset.from_coco(export / "images", file, force_masks=True))


def supervision_yolo(export):
    import supervision

    folders = (export / "images/default", export / "labels/default", export / "data.yaml")
    return with_supervision(supervision.DetectionDataset.from_yolo(*map(str, folders), force_masks=True))


def with_datumaro(export, name):
    import datumaro
    from datumaro.util import mask_tools

    masks = {}
    for item in datumaro.Dataset.import_from(str(export), name):
        stem = Path(item.id).name
        masks[stem] = np.zeros(item.media.size, bool)
        for each in item.annotations:
            if each.type == datumaro.AnnotationType.polygon:
                masks[stem] |= mask_tools.rles_to_mask([each.points], *item.media.size[::-1]).astype(bool)
            elif each.type == datumaro.AnnotationType.mask:  # COCO's boxes come as further annotations
                masks[stem] |= each.image.astype(bool)
    return masks


def label_studio(export):
    from label_studio_sdk.converter.brush import decode_rle

    masks = {}
    for task in json.loads((export / "tasks.json").read_text()):
        stem = unquote(Path(task["data"]["image"]).stem)
        masks[stem] = np.zeros(0, bool)
        for result in task["annotations"][0]["result"]:
            size = result["original_height"], result["original_width"]
            masks[stem] = decode_rle(result["value"]["rle"]).reshape(*size, 4)[:, :, 3] > 127
    return masks


READERS = {
    "supervision coco": supervision_coco,
    "supervision yolo": supervision_yolo,
    "datumaro coco": lambda export: with_datumaro(export, "coco"),
    "datumaro cvat": lambda export: with_datumaro(export, "cvat"),
    "label studio": label_studio,
}

if __name__ == "__main__":
    reader, source, target = sys.argv[1:]
    np.savez(target, **READERS[reader](Path(source)))
