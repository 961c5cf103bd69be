"""Unpack the zip file of an export, even if its source is not trusted."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath

from drywallqa.errors import DataError

LARGEST_ZIP_BYTES = 64 << 30
LARGEST_RATIO = 200
MOST_MEMBERS = 2_000_000
_SMALL = 16 << 20
_UTF8_FLAG = 0x800


def extract_zip(archive: Path, folder: Path) -> None:
    """Unpack a zip file into a folder. Reject paths outside the folder, links, and zip bombs.

    Raises:
        DataError: The zip file is damaged or unsafe.
    """
    try:
        with zipfile.ZipFile(archive) as opened_zip:
            members = opened_zip.infolist()
            _check_amount(archive, members, folder)
            _check_names(archive, members)
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


def _name_of(member: zipfile.ZipInfo) -> str:
    """Return a member's name with forward slashes. macOS writes UTF-8 without setting its flag."""
    name = member.filename.replace("\\", "/")
    if not member.flag_bits & _UTF8_FLAG:
        with suppress(UnicodeError):
            return name.encode("cp437").decode("utf-8")
    return name


def _check_names(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    contents: dict[PurePosixPath, tuple[int, int]] = {}
    for member in members:
        content = member.CRC, member.file_size
        if contents.setdefault(PurePosixPath(_name_of(member)), content) != content:
            raise DataError(
                f"{archive}: has two different files '{member.filename}'; unpack it, keep the right one, and "
                "import the folder"
            )


def _extract_member(
    archive: Path, opened_zip: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path
) -> None:
    name = _name_of(member)
    parts = PurePosixPath(name).parts
    unsafe = name.startswith("/") or ".." in parts or PureWindowsPath(name).drive or "\0" in name
    if unsafe or stat.S_ISLNK(member.external_attr >> 16):
        raise DataError(f"{archive}: rejected; '{member.filename}' would be written outside the folder")
    if name.endswith("/") or "__MACOSX" in parts or not parts:
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
