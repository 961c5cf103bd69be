"""The photos of a fleet's run: found on disks or in an object store, each with its place for results."""

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
        source: Its path as a user would write it.
        path: Its path in the file system.
        folder: Its folder below the results, "" for none.
        image_id: Its name there.
        size: Bytes.
        modified: When it was last changed, in nanoseconds since 1970.
    """

    source: str
    path: str
    folder: str
    image_id: str
    size: int
    modified: int


Found = tuple[Location, tuple[FleetPhoto, ...], tuple[PhotoOutcome, ...]]


def find_fleet_photos(paths: Sequence[str | os.PathLike[str]], out: Location, *, recursive: bool) -> Found:
    """Find the photos that paths name: all on disks, or all in one store.

    Args:
        paths: Files, folders and patterns on disks; files and folders in a store.
        out: The place for the results; files in it are no photos.
        recursive: Whether to search the folders' folders too.

    Returns:
        The place through which the photos are read, the photos, and outcomes of paths that failed.

    Raises:
        ConfigError: Some paths are on disks and others in a store, or in two stores.
    """
    texts = [os.fspath(path) for path in paths]
    places = [open_location(text) for text in texts if is_address(text)]
    if not places:
        return _on_disks(texts, out, recursive)
    if len(places) < len(texts) or any(one.filesystem != places[0].filesystem for one in places):
        raise ConfigError(
            "the photos of one run must be all on disks or all in one store; make a run of each"
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
            str(path).encode()  # only text can be sent to workers
            state = path.stat()
        except OSError as error:  # vanished since it was found
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
        # The results may go to a folder inside the photos' folder.
        within = f"{out.path.rstrip('/')}/" if out.filesystem == place.filesystem else None
        listed = [one for one in listed if within is None or not one.path.startswith(within)]
        bases.append(base)
        entries |= {one.path: one for one in listed}
        if not listed:
            problems.append(PhotoError(place.shown, "there is no photo here", "check the address"))
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
    """List a place's photos, as `pyarrow.fs.FileInfo`, and name the folder that theirs are relative to."""
    from pyarrow.fs import FileType

    info = place.filesystem.get_file_info(place.path)
    if info.type == FileType.File:  # named itself: it counts whatever its suffix
        return [info], str(Path(info.path).parent)
    photos = []
    for entry in place.entries(recursive=recursive):
        inner = Path(entry.path.removeprefix(place.path).lstrip("/"))
        if inner.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in inner.parts):
            photos.append(entry)
    return photos, place.path.rstrip("/")
