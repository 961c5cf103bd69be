"""Open an export, which is a folder or a zip file in any supported format."""

from __future__ import annotations

import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from drywallqa.errors import ConfigError, DataError
from drywallqa.formats import (
    coco,
    cvat_xml,
    label_studio,
    labelme,
    mask_folders,
    mask_layouts,
    problems,
    recognised,
    supervisely,
    voc,
    yolo,
)
from drywallqa.formats.annotations import (
    Export,
    MaskedPhoto,
    PhotoEntry,
    ReadOptions,
    WriteResult,
    list_files,
    list_unread,
    relative_name,
    split_of,
)
from drywallqa.formats.coco_writer import write_coco
from drywallqa.formats.cvat_xml_writer import write_cvat_xml
from drywallqa.formats.label_studio_writer import write_label_studio
from drywallqa.formats.mask_writer import write_mask_folders
from drywallqa.formats.problems import Problem
from drywallqa.formats.yolo_writer import write_yolo
from drywallqa.formats.zip_files import extract_zip
from drywallqa.imaging.photos import SUFFIXES


@dataclass(frozen=True)
class Format:
    """An annotation format.

    Attributes:
        title: The format's name in messages.
        find: Lists the files of the format below a folder, except photos. The list is empty if there are
            none.
        read: Reads an export of the format.
        write: Writes photos and their masks with the given classes into a new folder. None if drywallqa
            cannot write the format.
    """

    title: str
    find: Callable[[Path], Collection[Path]]
    read: Callable[[Path, ReadOptions], Export]
    write: Callable[[Path, Iterable[MaskedPhoto], Sequence[str]], WriteResult] | None = None


FORMATS: Mapping[str, Format] = {
    "coco": Format("COCO", coco.find_coco_files, coco.read_coco, write_coco),
    "yolo": Format("YOLO", yolo.find_yolo_files, yolo.read_yolo, write_yolo),
    "masks": Format(
        "mask files", mask_folders.find_mask_files, mask_folders.read_mask_folders, write_mask_folders
    ),
    "cvat": Format("CVAT XML", cvat_xml.find_cvat_files, cvat_xml.read_cvat_xml, write_cvat_xml),
    "label-studio": Format(
        "Label Studio",
        label_studio.find_label_studio_files,
        label_studio.read_label_studio,
        write_label_studio,
    ),
    "labelme": Format("LabelMe", labelme.find_labelme_files, labelme.read_labelme),
    "voc": Format("Pascal VOC", voc.find_voc_files, voc.read_voc),
    "supervisely": Format("Supervisely", supervisely.find_supervisely_files, supervisely.read_supervisely),
    **{name: Format(each.title, each.find, each.read) for name, each in recognised.FOREIGN.items()},
}
"""All formats. Some are only recognised. Reading them raises an error that explains how to convert them."""
LAYOUTS = ("auto", *FORMATS)

_ARCHIVES = frozenset({".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".xz"})

# Files without labels that export tools add.
_COMPANIONS = (
    "readme*",
    "license*",
    "licence*",
    "*.md",
    "thumbs.db",
    "desktop.ini",
    "*.cache",
    "problems.jsonl",
    "label_config.xml",
)


@contextmanager
def opened_export(
    source: str | Path, layout: str = "auto", options: ReadOptions | None = None
) -> Iterator[Export]:
    """Open and read an export. Files unpacked from a zip exist only in the `with` block.

    Args:
        source: A folder or a zip file.
        layout: One of `LAYOUTS`.
        options: Options for information that the export's files do not contain.

    Yields:
        The parsed export.

    Raises:
        DataError: The source is not a supported export, or the zip is unsafe.
    """
    path = Path(source)
    if layout not in LAYOUTS:
        raise DataError(f"unknown format '{layout}'; choose one of {', '.join(LAYOUTS)}")
    if path.is_dir():
        yield read_export(path, layout, options)
        return
    if not path.is_file():
        raise DataError(f"{path}: no such folder or zip file; check the path of the export")
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: not a zip file; pass the export's folder, or the original zip")
    with tempfile.TemporaryDirectory(prefix="drywallqa-") as folder:
        extract_zip(path, Path(folder))
        try:
            export = read_export(Path(folder), layout, options)
        except DataError as error:  # the user knows the zip, not the temporary folder
            raise DataError(str(error).replace(folder, str(path))) from error
        yield export


def read_export(root: Path, layout: str = "auto", options: ReadOptions | None = None) -> Export:
    """Read an export's folder, and detect its format if `layout` is "auto".

    Each file in the folder is a photo with labels, a photo without labels, a file of the format, or a file
    that the reader skips.

    Raises:
        ConfigError: The options apply to mask files, but the export has another format.
        DataError: The export is damaged, or its files match no format or several formats.
    """
    found = {name: set(each.find(root)) for name, each in FORMATS.items()}
    chosen = _detect(root, found) if layout == "auto" else layout
    if not found[chosen]:
        raise DataError(
            f"{root}: has no labels in the format {FORMATS[chosen].title}; choose another --format"
        )
    options = options or ReadOptions()
    if chosen != "masks" and (options.values or options.invert is not None):
        raise ConfigError(f"--value and --invert apply to mask files only; {root} is read as {chosen}")
    export = FORMATS[chosen].read(root, options)
    others = {path: name for name, paths in found.items() if name != chosen for path in paths}
    export = _with_remaining_files(export, others)
    if not export.entries and not export.problems:
        raise DataError(f"{root}: no photos found in this export ({chosen}); export it again with its images")
    return export


def _detect(root: Path, found: Mapping[str, Collection[Path]]) -> str:
    fitting = [name for name, paths in found.items() if paths]
    readable = [name for name in fitting if name not in recognised.FOREIGN]
    if len(fitting) == 1 or (fitting and not readable):
        return fitting[0]
    if fitting:
        examples = {name: relative_name(min(found[name]), root) for name in fitting}
        listed = ", ".join(
            f"{FORMATS[name].title} ({len(found[name])} files such as {examples[name]})" for name in fitting
        )
        raise DataError(
            f"{root}: has labels in several formats: {listed}; choose one with --format {'|'.join(readable)}"
        )
    archives = (path for path in list_files(root) if path.suffix.lower() in _ARCHIVES)
    hints = [
        *(f"{relative_name(path, root)} {text}" for path, text in list_unread(root).items()),
        *(f"unpack {relative_name(path, root)} and import what it contains" for path in archives),
    ]
    if hints:
        raise DataError(f"{root}: cannot detect the layout; {hints[0]}")
    raise DataError(
        f"{root}: cannot detect the format; expected COCO (JSON with images and annotations), YOLO "
        "(data.yaml and a .txt label file for each photo), mask files (images/ and masks/), or files of "
        "CVAT, Label Studio, LabelMe, Supervisely or Pascal VOC; select the format with --format"
    )


def _with_remaining_files(export: Export, others: Mapping[Path, str]) -> Export:
    """Add the photos without labels, and report the files that the reader skipped."""
    used = {entry.path for entry in export.entries} | export.files
    used |= {path.resolve() for path in used}  # labels/ may be a link to another folder
    used |= {folder for path in export.files for folder in path.parents}
    passed = Counter(
        f"{FORMATS[name].title.removesuffix(' files')} file"
        for path, name in others.items()
        if path not in used
    )
    unlabelled = []
    unread = {path: text for path, text in list_unread(export.root).items() if path not in used}
    found = [
        Problem(problems.UNREADABLE, relative_name(path, export.root), "", text)
        for path, text in unread.items()
    ]
    for path in list_files(export.root):
        if path in used or path in others or path in unread:
            continue
        if path.suffix.lower() in SUFFIXES and not _is_mask(path, export.root):
            unlabelled.append(PhotoEntry(path, split_of(path, export.root)))
            text = "no annotation file names this photo; it counts as unlabelled"
            found.append(Problem(problems.MISSING_LABELS, relative_name(path, export.root), "", text))
        elif not any(fnmatch(path.name.lower(), pattern) for pattern in _COMPANIONS):
            passed[f"{path.suffix.lower() or 'nameless'} file"] += 1
    if passed:
        text = ", ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in passed.most_common())
        found.append(Problem(problems.PASSED_OVER, "", "", text))
    return replace(export, entries=(*export.entries, *unlabelled), problems=(*export.problems, *found))


def _is_mask(path: Path, root: Path) -> bool:
    folders = path.relative_to(root).parts[:-1]
    named = path.stem.lower().endswith(mask_layouts.MASK_SUFFIX) or "SegmentationObject" in folders
    return named or mask_layouts.mask_folder(path.parent, root) is not None
