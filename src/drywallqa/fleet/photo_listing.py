"""Find photos on disks or in an object store, and assign the names of their results."""

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
    """A photo to segment on a Ray worker.

    Attributes:
        source: Path or address of the photo for messages.
        path: Path of the photo in its file system.
        folder: Subfolder for the results of the photo; "" if there is none.
        image_id: Name of the photo in the results.
        size: File size in bytes.
        modified: Modification time in nanoseconds since the start of 1970.
    """

    source: str
    path: str
    folder: str
    image_id: str
    size: int
    modified: int


Found = tuple[Location, tuple[FleetPhoto, ...], tuple[PhotoOutcome, ...]]


def find_fleet_photos(paths: Sequence[str | os.PathLike[str]], out: Location, *, recursive: bool) -> Found:
    """Find the photos at the given paths. All photos must be on disks, or all in one object store.

    Args:
        paths: Photos, folders and patterns on disks, or photos and folders in one store.
        out: Location of the results. The search skips the files in it.
        recursive: Whether to search subfolders.

    Returns:
        The location from which to read the photos, the photos, and a failed outcome for each unusable path.

    Raises:
        ConfigError: Some paths are on disks and others in a store, or the paths are in several stores.
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
            str(path).encode()  # Ray can only send valid UTF-8 to workers
            state = path.stat()
        except OSError as error:  # the photo was deleted after the search
            problems.append(PhotoError(path, f"it cannot be read ({reason_of(error)})", "check the path"))
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
        # The folder of the results may be inside the folder of the photos.
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
    """Return the photos of a location as `pyarrow.fs.FileInfo`, and the folder that contains all of them."""
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
