"""Exports of a few 64 px photos as CVAT, Label Studio, LabelMe, Supervisely and VOC tools write them."""

import base64
import io
import json
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from drywallqa.formats.rle import encode_box_runs, encode_brush
from tiny_exports import SIDE, square, write_photo, write_text

RING = [[10.0, 10.0], [50.0, 10.0], [50.0, 30.0], [10.0, 30.0]]
MARKED = square(10, 10, 50, 30)
"""The rectangle that each clean export marks as a crack in its first photo."""


def cvat_shape(kind: str, label: str = "crack", inner: str = "", **attributes: object) -> str:
    """A shape element as CVAT writes it."""
    given = {"label": label, "source": "manual", "occluded": "0", **attributes, "z_order": "0"}
    listed = " ".join(f'{name}="{value}"' for name, value in given.items())
    return f"<{kind} {listed}>{inner}</{kind}>"


def cvat_polygon(label: str = "crack", ring: list[list[float]] = RING) -> str:
    return cvat_shape("polygon", label, points=";".join(f"{x:.2f},{y:.2f}" for x, y in ring))


def cvat_mask(mask: np.ndarray, label: str = "crack") -> str:
    runs = encode_box_runs(mask)
    return cvat_shape(
        "mask", label, rle=runs.rle, left=runs.left, top=runs.top, width=runs.width, height=runs.height
    )


def cvat_image(number: int, name: str, *shapes: str, subset: str = "") -> str:
    chosen = f' subset="{subset}"' if subset else ""
    inner = "\n    ".join(shapes)
    return (
        f'<image id="{number}" name="{name}"{chosen} width="{SIDE}" height="{SIDE}">\n    {inner}\n  </image>'
    )


def cvat_labels(*names: str) -> str:
    labels = "".join(
        f"<label><name>{name}</name><color>#fa3253</color><type>any</type><attributes/></label>"
        for name in names
    )
    return f"<labels>{labels}</labels>"


def cvat_xml(*elements: str, meta: str | None = None) -> str:
    meta = (
        f"<task><id>1</id><name>walls</name>{cvat_labels('crack', 'seam')}</task>" if meta is None else meta
    )
    inner = "\n  ".join(elements)
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>{meta}'
        f"<dumped>2026-11-30 10:00:00.000000+00:00</dumped></meta>\n  {inner}\n</annotations>\n"
    )


def clean_cvat(root: Path) -> Path:
    """Task "CVAT for images 1.1" with its images."""
    for number, name in enumerate(("a.jpg", "b.jpg")):
        write_photo(root / "images" / name, number)
    inner = '<attribute name="width">hairline</attribute>'
    box = cvat_shape("box", "seam", inner, xtl="2.00", ytl="2.00", xbr="40.00", ybr="9.00")
    write_text(
        root / "annotations.xml",
        cvat_xml(cvat_image(0, "a.jpg", cvat_polygon(), box), cvat_image(1, "b.jpg", cvat_mask(MARKED))),
    )
    return root


def ls_region(kind: str, value: dict, labels: list[str] | None = None, **fields: object) -> dict:
    """A result of a Label Studio annotation."""
    names = {f"{kind}labels": ["crack"] if labels is None else labels}
    return {
        "id": f"r{abs(hash(json.dumps(value, sort_keys=True))) % 10**8}",
        "type": f"{kind}labels",
        "from_name": "label",
        "to_name": "image",
        "original_width": SIDE,
        "original_height": SIDE,
        "image_rotation": 0,
        "origin": "manual",
        "value": {**value, **names},
        **fields,
    }


def ls_polygon(labels: list[str] | None = None, **fields: object) -> dict:
    points = [[x * 100 / SIDE, y * 100 / SIDE] for x, y in RING]
    return ls_region("polygon", {"points": points, "closed": True}, labels, **fields)


def ls_brush(mask: np.ndarray, labels: list[str] | None = None, **fields: object) -> dict:
    return ls_region("brush", {"format": "rle", "rle": encode_brush(mask)}, labels, **fields)


def ls_task(number: int, image: str, *annotations: list[dict], **fields: object) -> dict:
    """A task with one annotation for each list of results."""
    return {
        "id": number,
        "annotations": [
            {"id": number * 10 + place, "completed_by": place, "result": results, "was_cancelled": False}
            for place, results in enumerate(annotations, 1)
        ],
        "file_upload": image.rsplit("/", 1)[-1],
        "drafts": [],
        "predictions": [],
        "data": {"image": image},
        "meta": {},
        **fields,
    }


def clean_label_studio(root: Path) -> Path:
    """JSON export next to the images of the same project."""
    for number, name in enumerate(("1a2b3c4d-a.jpg", "5e6f7a8b-b.jpg")):
        write_photo(root / "images" / name, number)
    tasks = [
        ls_task(1, "/data/upload/12/1a2b3c4d-a.jpg", [ls_polygon()]),
        ls_task(2, "/data/upload/12/5e6f7a8b-b.jpg", [ls_brush(MARKED, ["seam"])]),
    ]
    write_text(root / "project-12-at-2026-11-30-10-00-1a2b3c4d.json", json.dumps(tasks))
    return root


def clean_label_studio_min(root: Path) -> Path:
    """JSON-MIN export next to the original photos."""
    for number, name in enumerate(("a.jpg", "b.jpg")):
        write_photo(root / name, number)
    wanted = ("original_width", "original_height")
    regions = [
        [{**region["value"], **{key: region[key] for key in wanted}}]
        for region in (ls_polygon(), ls_brush(MARKED, ["seam"]))
    ]
    tasks = [
        {
            "image": f"/data/upload/12/1a2b3c4{number}-{name}.jpg",
            "id": number,
            "label": region,
            "annotator": 1,
            "annotation_id": 10 + number,
            "created_at": "2026-11-30T10:00:00Z",
            "updated_at": "2026-11-30T10:00:00Z",
            "lead_time": 3.5,
        }
        for number, name, region in zip((1, 2), "ab", regions, strict=True)
    ]
    write_text(root / "project-12-min.json", json.dumps(tasks))
    return root


def png(mask: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(stream, "PNG")
    return stream.getvalue()


def labelme_shape(kind: str, points: list, label: str = "crack", **fields: object) -> dict:
    return {
        "label": label,
        "points": points,
        "group_id": None,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": None,
        **fields,
    }


def labelme_mask(mask: np.ndarray, label: str = "crack") -> dict:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
    part = base64.b64encode(png(mask[top : bottom + 1, left : right + 1])).decode()
    corners = [[float(left), float(top)], [float(right), float(bottom)]]
    return labelme_shape("mask", corners, label, mask=part)


def labelme_json(name: object, *shapes: object, **fields: object) -> str:
    data = {
        "version": "5.5.0",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": name,
        "imageData": None,
        "imageHeight": SIDE,
        "imageWidth": SIDE,
    }
    return json.dumps(data | fields, indent=2)


def clean_labelme(root: Path) -> Path:
    """Photos with a JSON file each, and the list of classes that LabelMe was started with."""
    for number, name in enumerate(("a", "b")):
        write_photo(root / f"{name}.jpg", number)
    write_text(root / "a.json", labelme_json("a.jpg", labelme_shape("polygon", RING)))
    write_text(root / "b.json", labelme_json("b.jpg", labelme_mask(MARKED, "seam")))
    write_text(root / "labels.txt", "__ignore__\n_background_\ncrack\nseam\n")
    return root


def sly_bitmap(mask: np.ndarray, label: str = "crack") -> dict:
    data = base64.b64encode(zlib.compress(png(mask))).decode()
    return {
        "id": 7,
        "classTitle": label,
        "geometryType": "bitmap",
        "bitmap": {"data": data, "origin": [0, 0]},
    }


def sly_polygon(label: str = "crack", holes: tuple = ()) -> dict:
    points = {"exterior": RING, "interior": list(holes)}
    return {"id": 8, "classTitle": label, "geometryType": "polygon", "points": points}


def sly_json(*objects: object) -> str:
    return json.dumps(
        {
            "description": "",
            "tags": [],
            "size": {"height": SIDE, "width": SIDE},
            "objects": list(objects),
        }
    )


def clean_supervisely(root: Path) -> Path:
    """Project in Supervisely's own format."""
    for number, name in enumerate(("a.jpg", "b.jpg")):
        write_photo(root / "ds0" / "img" / name, number)
    classes = [{"title": name, "shape": "any", "color": "#0F8A12"} for name in ("crack", "seam")]
    write_text(root / "meta.json", json.dumps({"classes": classes, "tags": [], "projectType": "images"}))
    write_text(root / "ds0" / "ann" / "a.jpg.json", sly_json(sly_polygon()))
    write_text(root / "ds0" / "ann" / "b.jpg.json", sly_json(sly_bitmap(MARKED, "seam")))
    return root


def voc_object(label: str = "crack", box: tuple = (10, 10, 50, 30), inner: str = "") -> str:
    edges = "".join(
        f"<{name}>{edge}</{name}>" for name, edge in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object>\n<name>{label}</name><difficult>0</difficult><bndbox>{edges}</bndbox>{inner}</object>"


def voc_xml(name: str, *objects: str) -> str:
    inner = "\n".join(objects)
    size = f"<size><width>{SIDE}</width><height>{SIDE}</height><depth>3</depth></size>"
    return f"<annotation>\n<folder>x</folder><filename>{name}</filename>{size}\n{inner}\n</annotation>\n"


def clean_voc(root: Path) -> Path:
    """Pascal VOC folders."""
    for number, name in enumerate(("a", "b")):
        write_photo(root / "JPEGImages" / f"{name}.jpg", number)
        write_text(root / "Annotations" / f"{name}.xml", voc_xml(f"{name}.jpg", voc_object()))
        split = ("train", "val")[number]
        write_text(root / "ImageSets" / "Main" / f"{split}.txt", f"{name}\n")
    return root


CLEAN = {
    "cvat": clean_cvat,
    "label-studio": clean_label_studio,
    "label-studio min": clean_label_studio_min,
    "labelme": clean_labelme,
    "supervisely": clean_supervisely,
    "voc": clean_voc,
}
