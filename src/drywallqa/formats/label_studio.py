"""Read Label Studio exports: JSON (tasks with their annotations) and JSON-MIN."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, urlsplit

from drywallqa.errors import DataError
from drywallqa.formats import problems
from drywallqa.formats.annotations import (
    UNKNOWN_CLASS,
    Export,
    PhotoEntry,
    ReadOptions,
    relative_name,
    split_of,
    split_word,
)
from drywallqa.formats.label_studio_regions import Regions, read_regions
from drywallqa.formats.photo_index import PhotoIndex, PhotoName, spelling_key
from drywallqa.formats.problems import Problem
from drywallqa.formats.text_files import list_of, load_json, mapping_of, read_heads
from drywallqa.formats.values import class_name, identifier, is_true
from drywallqa.imaging.photos import SUFFIXES

_REMEDY = "export the project again as JSON"
_MARKS = re.compile(
    rb'"(annotations|completions|predictions|annotation_id|annotator|result|[a-z]+labels)"|"format":\s*"rle"'
)
_UPLOAD = re.compile(r"(?:.*/)?data/upload/(?:\d+/)?([^/]+)$")
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-(?=.)")


def find_label_studio_files(root: Path) -> list[Path]:
    """List the Label Studio files of an export. Each file is a JSON list of tasks."""
    return [
        path
        for path, head in read_heads(root, ".json")
        if re.match(rb"\[\s*\{", head) and _MARKS.search(head) and b'"coordinates"' not in head
    ]


def read_label_studio(root: Path, options: ReadOptions) -> Export:
    """Read all Label Studio files of an export.

    An export does not contain the project's list of labels, although all annotators choose from it. Each
    finished annotation therefore declares all labels that are used in its file.

    Args:
        root: The export's folder.
        options: The options. With `fully_labelled`, finished annotations declare the labels of all files.

    Raises:
        DataError: A file is damaged or is not a list of tasks.
    """
    index = PhotoIndex(root, options.photos)
    files = [_LabelStudioFile(root, path, index.photos) for path in find_label_studio_files(root)]
    paths = iter(index.find([task.photo for file in files for task in file.tasks]))
    used = frozenset().union(*(file.used for file in files))
    entries = [
        entry
        for file in files
        for task in file.tasks
        for entry in file.entries(task, next(paths), used if options.fully_labelled else file.used)
    ]
    found = [problem for file in files for problem in file.problems]
    return Export(
        root,
        "label-studio",
        tuple(entries),
        (*found, *index.problems),
        tuple(sorted(used)),
        frozenset(file.path for file in files),
    )


@dataclass
class _Task:
    """The photo of a task, with the position and content of each finished annotation."""

    photo: PhotoName
    annotations: list[tuple[str, Regions]]


class _LabelStudioFile:
    """One file of tasks.

    Attributes:
        path: The file.
        problems: Problems found so far.
        tasks: The tasks that name a photo.
        used: Labels that the file's annotations use.
    """

    def __init__(self, root: Path, path: Path, photos: Iterable[Path]) -> None:
        self.root = root
        self.path = path
        self.name = relative_name(path, root)
        self.problems: list[Problem] = []
        self.used: frozenset[str] = frozenset()
        self._known = {spelling_key(photo.name) for photo in photos}
        self._unassigned: set[str] = set()  # labels of annotations without a known photo
        self._others: Counter[str] = Counter()
        data = load_json(path, _REMEDY)
        if not isinstance(data, list):
            raise DataError(f"{path}: not a list of Label Studio tasks; {_REMEDY}")
        self._originals = _originals(photo_name(_image_of(mapping_of(task)) or "") for task in data)
        self.tasks: list[_Task] = []
        for position, task in enumerate(data, 1):
            self._read_task(position, mapping_of(task))
        if passed := +self._others:
            listed = ", ".join(f"{count} {kind}" for kind, count in passed.most_common())
            self._report(problems.PASSED_OVER, "", f"{listed} do not label regions")

    def entries(self, task: _Task, path: Path | None, used: frozenset[str]) -> list[PhotoEntry]:
        """Return an entry for each finished annotation of a task, or one without a source if there is none.

        Args:
            task: The task.
            path: Path of the task's photo, or None if the photo was not found.
            used: The labels that the annotators could choose.
        """
        if path is None:
            return []
        declared = frozenset() if UNKNOWN_CLASS in self._unassigned else used - self._unassigned
        split = split_of(self.path, self.root) or split_word(self.path.stem) or split_of(path, self.root)
        if not task.annotations:
            text = f"{task.photo.name} has no finished annotation; it counts as unlabelled"
            self._report(problems.MISSING_LABELS, task.photo.where, text)
            return [PhotoEntry(path, split)]
        for where, regions in task.annotations:
            regions.choices &= used - _names(regions)
            for name in sorted(regions.choices):
                self.problems.append(problems.only_named(name, "choice", self.name, where))
        return [
            PhotoEntry(
                path,
                split,
                tuple(regions.shapes),
                declared - regions.choices,
                frozenset(regions.lost),
                regions.size,
                f"{self.name}, {where}",
                author=regions.author,
                changed=regions.changed,
            )
            for where, regions in task.annotations
        ]

    def _report(self, kind: str, where: str, text: str) -> None:
        self.problems.append(Problem(kind, self.name, where, text))

    def _read_task(self, position: int, task: Mapping[str, Any]) -> None:
        key = identifier(task.get("id"))
        where = f"task no. {position}" if key is None else f"task id {key}"
        annotations = [
            (place, _read_annotation(annotation, self.name, place))
            for place, annotation in self._annotations(task, where)
        ]
        for _, regions in annotations:
            self.problems += regions.problems
            self._others.update(regions.others)
            self.used |= _names(regions) - {UNKNOWN_CLASS}
        image = _image_of(task)
        if image is not None:
            folders = (base / inner for base in (self.path.parent, self.root) for inner in ("", "images"))
            photo = PhotoName(self._photo_name(image), tuple(dict.fromkeys(folders)), self.name, where)
            self.tasks.append(_Task(photo, annotations))
            return
        self._unassigned |= set().union(*(_names(regions) for _, regions in annotations))
        self._unassigned |= set() if task else {UNKNOWN_CLASS}
        count = sum(len(regions.shapes) for _, regions in annotations)
        self._report(
            problems.MALFORMED, where, f"does not name exactly one photo; its {count} labels are dropped"
        )

    def _photo_name(self, image: str) -> str:
        """Return the photo's name. Remove the upload prefix if the export has only the original file."""
        name = photo_name(image)
        stripped = self._originals.get(name)
        return stripped if stripped and spelling_key(PurePosixPath(name).name) not in self._known else name

    def _annotations(self, task: Mapping[str, Any], where: str) -> Iterable[tuple[str, object]]:
        """Yield the position and content of each finished annotation, and count all other entries."""
        if not isinstance(task.get("data"), dict):  # JSON-MIN: a task with one annotation
            yield f"{where}, annotation id {task.get('annotation_id', '?')}", task
            return
        for kind in ("predictions", "drafts"):
            self._others.update({kind: len(list_of(task.get(kind)))})
        for key in ("annotations", "completions"):
            for position, annotation in enumerate(list_of(task.get(key)), 1):
                content = mapping_of(annotation)
                if is_true(content.get("was_cancelled")) or is_true(content.get("skipped")):
                    self._others["cancelled annotations"] += 1
                    continue
                yield f"{where}, annotation id {content.get('id', f'no. {position}')}", annotation


def _read_annotation(annotation: object, file: str, where: str) -> Regions:
    """Read an annotation of a task. In JSON-MIN, the lists of regions are in the task itself."""
    content = mapping_of(annotation)
    results = content.get("result")
    if "annotation_id" in content or "annotator" in content:
        lists = [value if isinstance(value, list) else [value] for value in content.values()]
        objects = [value for values in lists for value in values if isinstance(value, dict)]
        alone = [value for value in content.values() if isinstance(value, dict)]
        results = [value for value in objects if value not in alone or _is_result(value)]
    if isinstance(results, list):
        regions = read_regions(results, file, where)
        author = content.get("completed_by", content.get("annotator"))
        email = mapping_of(author).get("email") if isinstance(author, dict) else author
        regions.author = class_name(email) or ""
        regions.changed = class_name(content.get("updated_at") or content.get("created_at")) or ""
        return regions
    text = "has no list of results; the labels of its photo are unknown"
    return Regions(lost={UNKNOWN_CLASS}, problems=[Problem(problems.MALFORMED, file, where, text)])


def _is_result(value: Mapping[str, Any]) -> bool:
    return any(key.endswith(("labels", "choices")) for key in value)


def _names(regions: Regions) -> set[str]:
    return {shape.class_name for shape in regions.shapes} | regions.lost


def _image_of(task: Mapping[str, Any]) -> str | None:
    """Return the photo that a task's data names, or None if there is no photo or several are possible."""
    data = task["data"] if isinstance(task.get("data"), dict) else task
    pictures = {
        key: value
        for key, value in data.items()
        if isinstance(value, str) and PurePosixPath(photo_name(value)).suffix.lower() in SUFFIXES
    }
    results = [
        mapping_of(result)
        for annotation in list_of(task.get("annotations"))
        for result in list_of(mapping_of(annotation).get("result"))
    ]
    targets = {str(result["to_name"]) for result in results if "to_name" in result} or {"image"}
    if len(set(pictures.values())) != 1:
        pictures = {key: value for key, value in pictures.items() if {key} == targets}
    value = next(iter(pictures.values()), data.get("image") if not pictures else None)
    return value if isinstance(value, str) and value.strip() else None


def _originals(names: Iterable[str]) -> dict[str, str]:
    """Map the names of uploaded files to their original names, if the original names are unique."""
    uploaded = {name: _UPLOAD_PREFIX.sub("", name) for name in set(names)}
    counts = Counter(uploaded.values())
    return {name: bare for name, bare in uploaded.items() if bare != name and counts[bare] == 1}


def photo_name(url: str) -> str:
    """Return the path of the file that a task's URL refers to. Other texts are returned unchanged.

    Label Studio's own URLs refer to an upload, a local file or a presigned file. Only the file name of an
    upload is returned. For other URLs, such as "s3://bucket/folder/a.jpg", the path behind the host is
    returned.
    """
    if "://" not in url and not url.startswith(("/data/", "/tasks/", "data/")):
        return url
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        if "fileuri" in query:
            return photo_name(base64.b64decode(query["fileuri"][0], validate=True).decode())
    except (ValueError, RecursionError):
        return url
    if "d" in query and parts.path.rstrip("/").endswith("local-files"):
        return query["d"][0]
    upload = _UPLOAD.search(parts.path)
    return upload[1] if upload else parts.path.lstrip("/")
