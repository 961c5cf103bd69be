"""Find photos: expand files, folders and patterns into a list of distinct photos."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TypeVar

from drywallqa.errors import PhotoError, reason_of
from drywallqa.imaging.photos import SUFFIXES, check_readable_file

AnyPath = TypeVar("AnyPath", bound=PurePath)

INSPECTION = "inspection.json"
"""Name of the file that every inspection has in its folder of results."""


@dataclass(frozen=True)
class FoundFiles:
    """The result of a search for photos.

    Attributes:
        photos: The paths of the photos in search order, without duplicates.
        base: The folder that contains all photos. The results folder gets the same subfolders.
        problems: One error for each given path that leads to no photo.
        inspections: Folders with the results of an inspection. Their pictures and masks are not photos.
    """

    photos: tuple[Path, ...]
    base: Path
    problems: tuple[PhotoError, ...] = ()
    inspections: tuple[Path, ...] = ()

    def folder_of(self, photo: Path) -> str:
        """Return the photo's folder relative to `base`, with forward slashes; "" for `base` itself."""
        return folder_below(absolute_path(photo.parent), self.base)


def search_photos(
    paths: Iterable[str | os.PathLike[str]],
    *,
    recursive: bool = False,
    leave_out: Iterable[str | os.PathLike[str]] = (),
    made_in: Callable[[Path], Iterable[Path]] = lambda folder: (),
) -> FoundFiles:
    """Find the photos in the given files, folders and glob patterns.

    In a folder, the search takes every file that has a photo suffix and is not hidden. A file that the caller
    names explicitly does not need a photo suffix. If several links lead to one photo, the photo is listed
    once. The list then contains the name that the caller gave, or else the real name of the file. Folders
    with the results of an inspection are skipped.

    Args:
        paths: Files, folders and patterns such as `site/*.jpg` or `site/**/*.jpg`.
        recursive: Whether to search subfolders.
        leave_out: Files and folders to skip when a folder or pattern includes them.
        made_in: Function that returns the files that earlier runs wrote into a folder and its subfolders. The
            search calls this function for each folder, and does not list these files as photos.
    """
    search = _Search(recursive, {absolute_path(path) for path in leave_out}, made_in)
    for path in paths:
        search.add_path(Path(path))
    base = common_folder(list(search.folders) or [absolute_path(".")])
    return FoundFiles(tuple(search.photos.values()), base, tuple(search.problems), tuple(search.inspections))


def absolute_path(path: str | os.PathLike[str]) -> Path:
    """Make a path absolute and remove `..`, without resolving links."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def common_folder(folders: Sequence[AnyPath]) -> AnyPath:
    """Return the deepest common parent of absolute folders. Folders on another drive are ignored."""
    base = folders[0]
    for folder in folders:
        if folder.drive.casefold() == base.drive.casefold():
            while not folder.is_relative_to(base):
                base = base.parent
    return base


def folder_below(folder: PurePath, base: PurePath) -> str:
    """Return the path of a folder relative to `base`, with forward slashes; "" for `base` itself.

    If the folder is outside `base`, for example on another drive, return its full path including the drive.
    """
    if folder.is_relative_to(base):
        relative = folder.relative_to(base).as_posix()
        return "" if relative == "." else relative
    parts = [*re.split(r"[\\/:?]+", folder.drive), *folder.parts[1:]]
    return "/".join(part for part in parts if part)


@dataclass
class _Search:
    recursive: bool
    leave_out: set[Path]
    made_in: Callable[[Path], Iterable[Path]]
    photos: dict[Path, Path] = field(default_factory=dict)
    folders: dict[Path, None] = field(default_factory=dict)
    problems: list[PhotoError] = field(default_factory=list)
    searched: set[Path] = field(default_factory=set)
    inspections: list[Path] = field(default_factory=list)
    real_paths: set[str] = field(default_factory=set)

    def add_path(self, path: Path) -> None:
        """Add the photos found at one path, or an error if there is none."""
        if os.path.isdir(path):  # noqa: PTH112  # returns False for invalid names (too long, zero byte)
            if not self._add_folder(path):
                inside = "" if self.recursive else ", or add --recursive to search its subfolders"
                self.problems.append(
                    PhotoError(path, "there is no photo in this folder", f"pass a folder with photos{inside}")
                )
        elif glob.has_magic(str(path)) and not os.path.exists(path):  # noqa: PTH110
            if not self._add_pattern(path):
                self.problems.append(PhotoError(path, "no photo matches this pattern", "check the path"))
        else:
            try:
                check_readable_file(path)
                self._add_photo(path, path.parent, named=True)
            except PhotoError as problem:
                self.problems.append(problem)

    def _add_pattern(self, pattern: Path) -> bool:
        """Add the photos that match a pattern, links last, and return whether any photo was found."""
        matches = set(_expand(pattern, self._refuse_folder))
        top, found = _fixed_part(pattern), False
        for match in sorted(
            matches, key=lambda path: (os.path.realpath(path) != str(absolute_path(path)), str(path))
        ):
            between = [folder for folder in match.parents if folder.is_relative_to(top)]
            for folder in between:
                self._leave_out_results(folder)
            if any(absolute_path(path) in self.leave_out for path in (match, *between) if path != top):
                continue
            if match.is_dir():
                found |= self._add_folder(match)
            elif match.suffix.lower() in SUFFIXES:
                self._add_photo(match, match.parent)
                found = True
        return found

    def _add_folder(self, folder: Path) -> bool:
        """Add the photos of a folder, links last, and return whether a photo or a problem was found."""
        before = len(self.problems)
        found: list[Path] = []
        for place, inner, names in os.walk(folder, onerror=self._refuse_folder):
            self._leave_out_results(Path(place))
            inner[:] = sorted(name for name in inner if self.recursive and self._is_wanted(Path(place, name)))
            paths = [Path(place, name) for name in sorted(names)]
            found += [path for path in paths if path.suffix.lower() in SUFFIXES and self._is_wanted(path)]
        for path in sorted(found, key=Path.is_symlink):
            self._add_photo(path, folder)
        return bool(found) or len(self.problems) > before

    def _leave_out_results(self, folder: Path) -> None:
        if (place := absolute_path(folder)) not in self.searched:
            self.searched.add(place)
            self.leave_out.update(absolute_path(path) for path in self.made_in(folder))
            if (place / INSPECTION).is_file():
                self.inspections.append(folder)
                self.leave_out.update(place.iterdir())

    def _is_wanted(self, path: Path) -> bool:
        return not path.name.startswith(".") and absolute_path(path) not in self.leave_out

    def _add_photo(self, photo: Path, folder: Path, *, named: bool = False) -> None:
        place, real = absolute_path(photo), os.path.realpath(photo)
        if place not in self.photos and (named or real not in self.real_paths):
            self.real_paths.add(real)
            self.photos[place] = photo
            self.folders.setdefault(absolute_path(folder))

    def _refuse_folder(self, error: OSError) -> None:
        self.problems.append(
            PhotoError(
                error.filename,
                f"the folder cannot be read ({reason_of(error)})",
                "change its permissions",
            )
        )


def _fixed_part(pattern: Path) -> Path:
    """Return the folder in which a pattern searches: its parts before the first wildcard."""
    return next(folder for folder in pattern.parents if not glob.has_magic(str(folder)))


def _expand(pattern: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield the paths that match a pattern; `**` matches each real folder once."""
    if "**" not in pattern.parts:
        yield from map(Path, glob.glob(str(pattern)))  # noqa: PTH207
        return
    at = pattern.parts.index("**")
    before, behind = Path(*pattern.parts[:at]), Path(*pattern.parts[at + 1 :])
    for top in _expand(before, on_error) if before.parts else (before,):
        for folder in _walk_real_folders(top, on_error):
            if behind.parts:
                yield from _expand(Path(glob.escape(str(folder)), behind), on_error)
            else:
                yield folder


def _walk_real_folders(top: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield a folder and its subfolders except hidden folders. Each real folder is yielded once, links last.

    Links to a parent of the top folder are not followed, because they lead back to it.
    """
    real_top = Path(os.path.realpath(top))
    seen: set[str] = set()
    starts = [top] if top.is_dir() else []
    for start in starts:  # grows as links are found
        real = os.path.realpath(start)
        if start != top and (real in seen or real_top.is_relative_to(real)):
            continue
        for place, inner, _ in os.walk(start, onerror=on_error):
            real = os.path.realpath(place)
            inner[:] = sorted(name for name in inner if real not in seen and not name.startswith("."))
            starts += [path for path in (Path(place, name) for name in inner) if path.is_symlink()]
            if real not in seen:
                seen.add(real)
                yield Path(place)
