"""Open a downloaded export, which can be a folder or a zip file in any supported layout."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from drywallqa.datasets import coco, mask_folders, yolo
from drywallqa.datasets.annotations import Export
from drywallqa.errors import DataError

LAYOUTS = ("auto", "coco", "yolo", "masks")

LARGEST_ZIP_BYTES = 64 << 30
LARGEST_RATIO = 200
MOST_MEMBERS = 2_000_000
_SMALL = 16 << 20


@contextmanager
def opened_export(source: str | Path, layout: str = "auto") -> Iterator[Export]:
    """Open and read an export. Files unpacked from a zip file are deleted when the context ends.

    Args:
        source: A folder or a zip file.
        layout: One of `LAYOUTS`.

    Yields:
        The parsed export.

    Raises:
        DataError: The source is not a supported export, or the zip file is unsafe.
    """
    path = Path(source)
    if layout not in LAYOUTS:
        raise DataError(f"unknown layout '{layout}'; choose one of {', '.join(LAYOUTS)}")
    if path.is_dir():
        yield read_export(path, layout)
        return
    if not path.is_file():
        raise DataError(f"{path}: no such folder or zip file; check the path of the export")
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: not a zip file; pass the export's folder, or the original zip")
    with tempfile.TemporaryDirectory(prefix="drywallqa-") as folder:
        extract_zip(path, Path(folder))
        try:
            export = read_export(Path(folder), layout)
        except DataError as error:  # the user knows the zip file, not the temporary folder
            raise DataError(str(error).replace(folder, str(path))) from error
        yield export


def read_export(root: Path, layout: str = "auto") -> Export:
    """Read the folder of an export. If `layout` is "auto", detect the layout from the files.

    Raises:
        DataError: The layout is not supported, or the export is damaged.
    """
    chosen = _detect(root) if layout == "auto" else layout
    export = {"coco": coco.read_coco, "yolo": yolo.read_yolo, "masks": mask_folders.read_mask_folders}[
        chosen
    ](root)
    if not export.photos and not export.problems:
        raise DataError(f"{root}: no photos found in this export ({chosen}); export it again with its images")
    return export


def _detect(root: Path) -> str:
    if coco.find_coco_files(root):
        return "coco"
    if mask_folders.has_mask_folders(root):
        return "masks"
    if yolo.has_yolo_labels(root):
        return "yolo"
    raise DataError(
        f"{root}: cannot detect the layout; expected COCO (JSON with images and annotations), YOLO "
        "(data.yaml and a .txt label file for each photo), or mask files (images/ and masks/); select the "
        "layout with --format"
    )


def extract_zip(archive: Path, folder: Path) -> None:
    """Unpack a zip file into a folder. Reject paths outside the folder, links, and zip bombs.

    Raises:
        DataError: The zip file is damaged or unsafe.
    """
    try:
        with zipfile.ZipFile(archive) as opened_zip:
            members = opened_zip.infolist()
            _check_amount(archive, members, folder)
            for member in members:
                _extract_member(archive, opened_zip, member, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise DataError(
            f"{archive}: the zip file is damaged or encrypted ({error}); download it again"
        ) from error


def _check_amount(archive: Path, members: list[zipfile.ZipInfo], folder: Path) -> None:
    total = sum(member.file_size for member in members)
    if len(members) > MOST_MEMBERS or total > LARGEST_ZIP_BYTES:
        raise DataError(
            f"{archive}: too large ({len(members)} files, {total >> 20} MiB); unpack it and import the folder"
        )
    packed = max(1, sum(member.compress_size for member in members))
    if total > _SMALL and total > LARGEST_RATIO * packed:
        raise DataError(
            f"{archive}: rejected as a zip bomb, because it unpacks to {total // packed} times its size"
        )
    free = shutil.disk_usage(folder).free
    if total > free:
        raise DataError(f"{archive}: needs {total >> 20} MiB, but {folder} has only {free >> 20} MiB free")


def _extract_member(
    archive: Path, opened_zip: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path
) -> None:
    name = member.filename.replace("\\", "/")
    parts = PurePosixPath(name).parts
    unsafe = name.startswith("/") or ".." in parts or PureWindowsPath(name).drive or "\0" in name
    if unsafe or stat.S_ISLNK(member.external_attr >> 16):
        raise DataError(f"{archive}: rejected; '{member.filename}' would be written outside the folder")
    if member.is_dir() or "__MACOSX" in parts or not parts:
        return
    target = folder.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    remaining = member.file_size
    with opened_zip.open(member) as source, target.open("wb") as sink:
        while block := source.read(1 << 20):
            remaining -= len(block)
            if remaining < 0:
                raise DataError(f"{archive}: rejected; the entry '{member.filename}' is larger than declared")
            sink.write(block)
