"""Write an export in one of the annotation formats. If this fails, no file remains."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from drywallqa.errors import ConfigError, DataError, reason_of
from drywallqa.files import json_bytes, whole_folder
from drywallqa.formats import problems
from drywallqa.formats.annotations import MaskedPhoto, WriteResult
from drywallqa.formats.coco_writer import write_coco
from drywallqa.formats.exports import FORMATS
from drywallqa.formats.problems import Problem

Writer = Callable[[Path, Iterable[MaskedPhoto], Sequence[str]], WriteResult]

WRITERS: Mapping[str, Writer] = {
    **{name: each.write for name, each in FORMATS.items() if each.write},
    "coco-rle": partial(write_coco, rle=True),
}
"""Format name → function that writes the format into a new folder."""

PROBLEMS_FILE = "problems.jsonl"


def check_writable_format(name: str) -> None:
    """Check that a format can be written.

    Raises:
        ConfigError: The name is unknown.
    """
    if name not in WRITERS:
        raise ConfigError(f"--format {name} cannot be written; use one of {', '.join(WRITERS)}")


def write_export(
    folder: str | os.PathLike[str],
    name: str,
    items: Iterable[MaskedPhoto | Problem],
    classes: Sequence[str],
    *,
    replace: bool = False,
) -> WriteResult:
    """Write photos and their masks in an annotation format. The folder appears only when it is complete.

    If there are problems, `problems.jsonl` in the folder lists them.

    Args:
        folder: The folder to write, which must be new or empty unless `replace` is True.
        name: A key of `WRITERS`.
        items: The photos, and a problem for each photo that could not be read. The items are consumed one at
            a time.
        classes: The classes to write.
        replace: Whether to replace the content of the folder.

    Raises:
        ConfigError: The format is unknown, or it cannot store a class name.
        DataError: No photo could be written.
        OutputError: The folder has content, or it cannot be written.
    """
    check_writable_format(name)
    target, requested, found = Path(folder), set[str](), list[Problem]()

    def photos() -> Iterator[MaskedPhoto]:
        for item in items:
            problem = item if isinstance(item, Problem) else _check_readable(item)
            if problem:
                found.append(problem)
            elif isinstance(item, MaskedPhoto):
                requested.add(item.name)
                yield item

    with whole_folder(target, replace=replace) as new:
        written = WRITERS[name](new, photos(), classes)
        found += written.problems
        count = len(requested - {problem.file for problem in found if problem.is_loss})
        if not count:
            raise DataError(
                f"no photo could be exported as {name}; {found[0] if found else 'there are no photos'}"
            )
        if found:
            lines = b"".join(json_bytes(problem.to_json(), None) for problem in found)
            (new / PROBLEMS_FILE).write_bytes(lines)
    files = tuple(target / path.relative_to(new) for path in written.files)
    return WriteResult(files, tuple(found), count)


def _check_readable(photo: MaskedPhoto) -> Problem | None:
    """Return a problem if a photo must be copied but cannot be read."""
    if photo.path is None:
        return None
    try:
        with photo.path.open("rb"):
            return None
    except OSError as error:
        text = f"{photo.path} cannot be read ({reason_of(error)}); the photo is left out"
        return Problem(problems.UNREADABLE, photo.name, "", text)
