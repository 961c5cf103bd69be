"""Recognise formats of other tools that this package cannot read, and explain how to convert them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from drywallqa.errors import DataError
from drywallqa.formats.annotations import Export, ReadOptions, list_files
from drywallqa.formats.text_files import head_of

_BY_DATUMARO = (
    "convert it with Datumaro in a separate environment (pip install 'datumaro[cli]'; "
    "datum convert -i FOLDER -if {} -f coco_instances -o OUT -- --save-media), and import OUT"
)


@dataclass(frozen=True)
class ForeignFormat:
    """A format that this package recognises but cannot read.

    Attributes:
        title: The format's name in messages.
        pattern: Regular expression for the path of an annotation file.
        marks: Regular expressions that all match in the first 64 KiB of an annotation file.
        remedy: How to convert the format.
    """

    title: str
    pattern: str
    marks: tuple[str, ...]
    remedy: str

    def find(self, root: Path) -> list[Path]:
        """List the format's annotation files below a folder."""
        pattern = re.compile(self.pattern, re.IGNORECASE)
        marks = [re.compile(mark.encode()) for mark in self.marks]
        paths = [path for path in list_files(root) if pattern.search(path.relative_to(root).as_posix())]
        return [path for path in paths if not marks or _has(head_of(path), marks)]

    def read(self, root: Path, options: ReadOptions) -> Export:
        """Refuse the format.

        Raises:
            DataError: Always. The message explains how to convert the export.
        """
        raise DataError(f"{root}: this is a {self.title}, which is not read directly; {self.remedy}")


def _has(head: bytes, marks: list[re.Pattern[bytes]]) -> bool:
    return all(mark.search(head) for mark in marks)


FOREIGN: Mapping[str, ForeignFormat] = {
    "labelbox": ForeignFormat(
        "Labelbox export",
        r"\.(nd)?json$",
        (r'"data_row"|"Labeled Data"|"DataRow ID"',),
        "convert it to COCO with the Python package labelbox, and import the result",
    ),
    "via": ForeignFormat(
        "VGG Image Annotator (VIA) project",
        r"\.(json|csv)$",
        (r'"_via_img_metadata"|"shape_attributes"|region_shape_attributes',),
        "open it in VIA, choose Annotation > Export Annotations (COCO format), and import the result",
    ),
    "darwin": ForeignFormat(
        "V7 Darwin export",
        r"\.json$",
        (r'"schema_ref".*darwin|"bounding_box"', r'"(item|dataset)"'),
        "convert it with `darwin convert coco` (package darwin-py), and import the result",
    ),
    "superannotate": ForeignFormat(
        "SuperAnnotate export",
        r"\.json$",
        (r'"metadata"', r'"instances"', r'"className"'),
        "convert it with superannotate's export_annotation (COCO), and import the result",
    ),
    "createml": ForeignFormat(
        "Create ML file",
        r"\.json$",
        (r'"coordinates"\s*:\s*\{', r'"image"|"imagefilename"'),
        "export the data set again as COCO or YOLO",
    ),
    "datumaro": ForeignFormat(
        "Datumaro data set",
        r"\.json$",
        (r'"items"', r'"categories"|"dm_format_version"'),
        _BY_DATUMARO.format("datumaro"),
    ),
    "cityscapes": ForeignFormat(
        "Cityscapes data set", r"_polygons\.json$", (r'"imgHeight"',), _BY_DATUMARO.format("cityscapes")
    ),
    "vott": ForeignFormat(
        "VoTT export", r"\.json$", (r'"assets?"', r'"regions"'), _BY_DATUMARO.format("vott_json")
    ),
    "openimages": ForeignFormat(
        "Open Images data set", r"\.csv$", (r"^ImageID,",), _BY_DATUMARO.format("open_images")
    ),
    "tfrecord": ForeignFormat(
        "set of TFRecord files", r"\.tfrecords?$", (), "export the data set again as COCO or YOLO"
    ),
}
