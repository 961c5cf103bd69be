"""Read the first bytes of annotation files to recognise them, and read JSON, XML and text files."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from drywallqa.errors import DataError
from drywallqa.formats.annotations import list_files

_HEAD = 1 << 16


def read_heads(root: Path, suffix: str) -> Iterable[tuple[Path, bytes]]:
    """Yield the path and the first 64 KiB (without a BOM) of each file with a suffix such as ".json"."""
    for path in list_files(root):
        if path.suffix.lower() == suffix:
            yield path, head_of(path)


def head_of(path: Path) -> bytes:
    """Return a file's first 64 KiB as UTF-8 without a BOM, or no bytes if the file cannot be read."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError:
        return b""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        head = head.decode("utf-16", "ignore").encode("utf-8", "ignore")
    return head.removeprefix(codecs.BOM_UTF8).lstrip()


def load_lines(path: Path, content: str, remedy: str) -> list[str]:
    """Read the lines of a UTF-8 text file.

    Args:
        path: The file.
        content: Name of the file's content in the error message, such as "the class names".
        remedy: What the user can do if the file is damaged.

    Raises:
        DataError: The file cannot be read, or is not UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {content} cannot be read ({error}); {remedy}") from error


def load_json(path: Path, remedy: str) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        remedy: What the user can do if the file is damaged.

    Raises:
        DataError: The file cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=_object_of)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}); {remedy}") from error


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object. Reject different values for one key, of which Python would keep only the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        for key, value in pairs:
            if found[key] != value:
                raise ValueError(f"an object has two different values for '{key}'")
    return found


def load_xml(path: Path, tag: str, remedy: str) -> tuple[Element, Mapping[Element, int]]:
    """Parse an XML file, and return its root element and the line number of each element.

    Args:
        path: The file.
        tag: The tag of the root element.
        remedy: What the user can do if the file is damaged.

    Raises:
        DataError: The file is damaged, has another root element, or declares a document type. The entities
            of a document type could expand to any size.
    """
    builder, lines = TreeBuilder(), {}
    parser = expat.ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        lines[builder.start(name, attributes)] = parser.CurrentLineNumber

    def refuse(*_: object) -> None:
        line = parser.CurrentLineNumber
        raise DataError(
            f"{path}, line {line}: has a document type, which no annotation tool writes; {remedy}"
        )

    parser.StartElementHandler, parser.EndElementHandler = start, builder.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = builder.data, refuse
    try:
        parser.Parse(path.read_bytes(), True)
    except (OSError, expat.ExpatError, LookupError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as XML ({error}); {remedy}") from error
    root = builder.close()
    if root.tag != tag:
        raise DataError(f"{path}: its root element is '{root.tag}', not '{tag}'; {remedy}")
    return root, lines


def mapping_of(value: object) -> Mapping[str, Any]:
    """Return the value if it is a JSON object, or an empty object otherwise."""
    return value if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    """Return the value if it is a JSON list, or an empty list otherwise."""
    return value if isinstance(value, list) else []
