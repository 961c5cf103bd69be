"""The class names of a YOLO export, from data.yaml, obj.names or classes.txt.

PyYAML is no part of the base install, and a data.yaml needs little of it: a list or a mapping of names,
in one line or in several.
"""

from __future__ import annotations

import re
from pathlib import Path

from drywallqa.errors import DataError

_FILES = ("data.yaml", "data.yml", "dataset.yaml", "obj.names", "classes.txt")
_ITEM = re.compile(
    r"""\s*(?:(?P<key>\d+)\s*:\s*)?(?P<value>"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,]*?)\s*(?:,|$)"""
)


def read_class_names(root: Path) -> dict[int, str]:
    """Read the names of an export's classes by number.

    Raises:
        DataError: No file with names was found, or it cannot be read.
    """
    for name in _FILES:
        for path in sorted(root.rglob(name), key=lambda path: (len(path.parts), path)):
            return _read(path)
    raise DataError(f"{root}: no class names; a YOLO export has them in one of {', '.join(_FILES)}; add one")


def _read(path: Path) -> dict[int, str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: the class names cannot be read ({error}); export the data set again"
        ) from error
    names = parse_yaml_names(text) if path.suffix in {".yaml", ".yml"} else _lines(text)
    if not names:
        raise DataError(f"{path}: no class names found; write them as: names: ['crack', 'seam']")
    return names


def _lines(text: str) -> dict[int, str]:
    return dict(enumerate(line.strip() for line in text.splitlines() if line.strip()))


def parse_yaml_names(text: str) -> dict[int, str]:
    """Find `names` in the text of a data.yaml: a list or a mapping, inline or a block."""
    match = re.search(r"^names\s*:[ \t]*(.*)$", text, re.MULTILINE)
    if not match:
        return {}
    first = match.group(1)
    if first[:1] in {"[", "{"}:
        return _inline(text[match.start(1) :])
    return _block(text[match.end() :].splitlines())


def _inline(text: str) -> dict[int, str]:
    closing = "]" if text[0] == "[" else "}"
    names: dict[int, str] = {}
    position = 1
    while position < len(text):
        rest = text[position:].lstrip()
        position = len(text) - len(rest)
        if rest[:1] in {closing, ""}:
            break
        item = _ITEM.match(_until_end(rest, closing))
        if not item:
            break
        names[int(item["key"] or len(names))] = _scalar(item["value"])
        position += item.end()
    return names


def _until_end(text: str, closing: str) -> str:
    """Cut a flow sequence at its closing bracket, which may also stand within quotes."""
    quote = ""
    for position, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in {'"', "'"} and (position == 0 or text[:position].rstrip()[-1:] in {",", ":", ""}):
            quote = character
        elif character == closing:
            return text[:position]
    return text


def _block(lines: list[str]) -> dict[int, str]:
    names: dict[int, str] = {}
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        entry = re.match(r"^\s*-\s+(?P<value>.*)$", line) or re.match(
            r"^\s+(?P<key>\d+)\s*:\s*(?P<value>.*)$", line
        )
        if not entry:
            break
        key = entry.groupdict().get("key")
        names[int(key) if key is not None else len(names)] = _scalar(entry["value"])
    return names


def _scalar(text: str) -> str:
    value = text.strip()
    if value[:1] == "'" and value.rfind("'") > 0:
        return value[1 : value.rfind("'")].replace("''", "'")
    if value[:1] == '"' and value.rfind('"') > 0:
        return re.sub(r"\\(.)", r"\1", value[1 : value.rfind('"')])
    return re.sub(r"\s+#.*$", "", value)
