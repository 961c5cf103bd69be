"""Find the photos of a fleet run on disks or in an object store, and assign their output names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from drywallqa.errors import ConfigError, PhotoError, reason_of
from drywallqa.fleet.locations import Location, is_address, open_location
from drywallqa.imaging.photo_search import FoundFiles, absolute_path, common_folder, search_photos
from drywallqa.imaging.photos import SUFFIXES
from drywallqa.inference.manifest import made_in
from drywallqa.inference.plan import PhotoOutcome, place_photos


@dataclass(frozen=True)
class FleetPhoto:
    """One photo of a run.

    Attributes:
        source: The path or address in the form that a user would type.
        path: The path in the file system.
        folder: The photo's folder below the results; "" if the photo has no subfolder.
        image_id: The photo's name in the results.
        size: Size in bytes.
        modified: Modification time in nanoseconds since 1970.
    """

    source: str
    path: str
    folder: str
    image_id: str
    size: int
    modified: int


Found = tuple[Location, tuple[FleetPhoto, ...], tuple[PhotoOutcome, ...]]


def find_fleet_photos(paths: Sequence[str | os.PathLike[str]], out: Location, *, recursive: bool) -> Found:
    """Find the photos of the given paths, either all on disks or all in one store.

    Args:
        paths: Files, folders and patterns on disks, or files and folders in a store.
        out: The location of the results. Files in it are not treated as photos.
        recursive: Whether to search subfolders as well.

    Returns:
        The location for reading the photos, the photos, and outcomes of paths that failed.

    Raises:
        ConfigError: Some paths are on disks and others in a store, or in two stores.
    """
    texts = [os.fspath(path) for path in paths]
    places = [open_location(text) for text in texts if is_address(text)]
    if not places:
        return _on_disks(texts, out, recursive)
    if len(places) < len(texts) or any(one.filesystem != places[0].filesystem for one in places):
        raise ConfigError(
            "the photos of one run must be all on disks or all in one store; use a separate run for each"
        )
    return _in_store(places, out, recursive)


def _on_disks(paths: list[str], out: Location, recursive: bool) -> Found:
    kept_out = [Path(out.path)] if out.is_local else []
    found = search_photos(paths, recursive=recursive, leave_out=kept_out, made_in=made_in)
    items, refused = place_photos(found, recursive)
    photos, problems = [], []
    for item in items:
        path = item.path
        try:
            str(path).encode()  # only valid UTF-8 can be sent to workers
            state = path.stat()
        except OSError as error:  # deleted since the search
            problems.append(PhotoError(path, f"it cannot be reached ({reason_of(error)})", "check the path"))
        except UnicodeEncodeError:
            remedy = "rename it, or use --engine local"
            problems.append(PhotoError(path, "its name is not UTF-8 text", remedy))
        else:
            where = str(absolute_path(path)), item.folder, item.image_id
            photos.append(FleetPhoto(str(path), *where, state.st_size, state.st_mtime_ns))
    unreachable = (PhotoOutcome("failed", problem.source, (), str(problem)) for problem in problems)
    return open_location("."), tuple(photos), (*refused, *unreachable)


def _in_store(places: list[Location], out: Location, recursive: bool) -> Found:
    entries: dict[str, Any] = {}
    problems: list[PhotoError] = []
    bases: list[str] = []
    for place in places:
        try:
            listed, base = _listed(place, recursive)
        except OSError as error:
            problems.append(place.unreadable(place.path, error))
            continue
        # The results may be in a folder inside the photos' folder.
        within = f"{out.path.rstrip('/')}/" if out.filesystem == place.filesystem else None
        listed = [one for one in listed if within is None or not one.path.startswith(within)]
        bases.append(base)
        entries |= {one.path: one for one in listed}
        if not listed:
            problems.append(PhotoError(place.shown, "no photos found here", "check the address"))
    common = absolute_path(common_folder([PurePosixPath("/", one) for one in bases or ("",)]))
    found = FoundFiles(tuple(Path(f"/{path}") for path in entries), common, tuple(problems))
    items, refused = place_photos(found, recursive)
    photos = []
    for item in items:
        entry = entries[item.path.as_posix().removeprefix("/")]
        where = entry.path, item.folder, item.image_id
        photos.append(FleetPhoto(places[0].name(entry.path), *where, entry.size, entry.mtime_ns or 0))
    return places[0], tuple(photos), refused


def _listed(place: Location, recursive: bool) -> tuple[list[Any], str]:
    """List the photos of a location as `pyarrow.fs.FileInfo`, and return the folder they are relative to."""
    from pyarrow.fs import FileType

    info = place.filesystem.get_file_info(place.path)
    if info.type == FileType.File:  # an explicitly named file may have any suffix
        return [info], str(Path(info.path).parent)
    photos = []
    for entry in place.entries(recursive=recursive):
        inner = Path(entry.path.removeprefix(place.path).lstrip("/"))
        if inner.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in inner.parts):
            photos.append(entry)
    return photos, place.path.rstrip("/")
