"""Strict access to the YAML file of a rule set: each error names the file and the key."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from drywallqa.errors import RuleError, ScaleError, reason_of
from drywallqa.inspection.ledger import Unit
from drywallqa.inspection.lengths import parse_length

_MISSING = object()


def nearest(word: str, words: Collection[str]) -> str:
    """Return "; did you mean …?" with the word that is most similar, or "" if none is similar."""
    close = difflib.get_close_matches(word, words, 1)
    return f"; did you mean '{close[0]}'?" if close else ""


def read_rule_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file in which each key occurs once.

    Raises:
        RuleError: The file cannot be read, is not YAML, repeats a key or does not contain keys and values.
    """
    import yaml

    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        if node is not None:
            _check_keys(node, path)
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RuleError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise RuleError(f"{path} cannot be read as a rule set ({reason_of(error)})") from error
    if not isinstance(data, dict):
        raise RuleError(f"{path} does not contain the keys of a rule set, such as name and rules")
    return data


def _check_keys(node: Any, path: Path) -> None:
    """Check that no mapping below a YAML node repeats a key, and that keys are plain words."""
    seen: set[str] = set()
    children = node.value if isinstance(node.value, list) else []
    for child in children:
        key, value = child if isinstance(child, tuple) else (None, child)
        if key is not None:
            if not isinstance(key.value, str):
                raise RuleError(f"{path}, line {key.start_mark.line + 1}: a key must be a word")
            if key.value in seen:
                raise RuleError(f"{path}, line {key.start_mark.line + 1}: the key '{key.value}' occurs twice")
            seen.add(key.value)
        _check_keys(value, path)


class RuleFields:
    """The keys of one mapping in a rule file. `end` checks that all keys were used.

    Attributes:
        path: The file.
        where: Name of the mapping for error messages, such as "rules[0]"; "" for the whole file.
    """

    def __init__(self, path: Path, where: str, data: Any) -> None:
        self.path = path
        self.where = where
        self._used: list[str] = []
        self._data: dict[str, Any] = {}
        if not isinstance(data, dict):
            raise self.error("", f"is {data!r}, but must contain keys and values")
        self._data = data
        if isinstance(data.get("id"), str):
            self.where = f"{where} ({data['id']})"

    def error(self, key: str, problem: str) -> RuleError:
        """Return an error about a key, or about the mapping if the key is ""."""
        name = ".".join(part for part in (self.where, key) if part) or "the file"
        return RuleError(f"{self.path}: {name} {problem}")

    def has(self, key: str) -> bool:
        """Check whether the key exists."""
        return key in self._data

    def _get(self, key: str, default: Any = _MISSING) -> Any:
        self._used.append(key)
        if key in self._data:
            return self._data[key]
        if default is _MISSING:
            raise self.error(key, f"is missing{nearest(key, self._unused())}")
        return default

    def _unused(self) -> list[str]:
        return [str(key) for key in self._data if key not in self._used]

    def text(self, key: str, default: Any = _MISSING) -> str:
        """Return a text that is not empty, or the default.

        Raises:
            RuleError: The key is missing without a default, or its value is not a text.
        """
        value = self._get(key, default)
        if value is default:
            return str(value)
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, f"is {value!r}, but must be a text; use quotes if it looks like a number")
        return value.strip()

    def texts(self, key: str) -> list[str]:
        """Return a list of texts that is not empty."""
        values = self._list(key)
        for i, value in values:
            if not isinstance(value, str) or not value.strip():
                raise self.error(f"{key}[{i}]", f"is {value!r}, but must be a text")
        return [value.strip() for _, value in values]

    def whole(self, key: str) -> int:
        """Return a whole number of at least 1."""
        value = self._get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.error(key, f"is {value!r}, but must be a whole number from 1")
        return value

    def choice(self, key: str, options: Sequence[str]) -> str:
        """Return a text that is one of the options."""
        value = self.text(key)
        if value not in options:
            choices = ", ".join(options)
            raise self.error(key, f"is '{value}', but must be one of {choices}{nearest(value, options)}")
        return value

    def length(self, key: str) -> tuple[float, Unit]:
        """Return a positive length in mm or px, and its unit."""
        value = self._get(key)
        text = value if isinstance(value, str) else f"{value}"
        name = ".".join(part for part in (self.where, key) if part)
        try:
            length = parse_length(text, f"{self.path}: {name}")
        except ScaleError as error:
            raise RuleError(str(error)) from error
        return length.value, "mm" if length.unit == "mm" else "px"

    def mapping(self, key: str) -> RuleFields:
        """Return a mapping below this one."""
        return RuleFields(self.path, ".".join(filter(None, (self.where, key))), self._get(key))

    def mappings(self, key: str) -> list[RuleFields]:
        """Return a list of mappings that is not empty."""
        name = ".".join(filter(None, (self.where, key)))
        return [RuleFields(self.path, f"{name}[{i}]", value) for i, value in self._list(key)]

    def _list(self, key: str) -> list[tuple[int, Any]]:
        values = self._get(key)
        if not isinstance(values, list) or not values:
            raise self.error(key, f"is {values!r}, but must be a list with at least one item")
        return list(enumerate(values))

    def check_unique(self, key: str, name: str, values: Sequence[str]) -> None:
        """Check that the items of a list have different names.

        Raises:
            RuleError: A name occurs twice.
        """
        for value in values:
            if values.count(value) > 1:
                raise self.error(key, f"uses the {name} '{value}' more than once")

    def end(self) -> None:
        """Check that the mapping contains no key that was not used.

        Raises:
            RuleError: A key is unknown.
        """
        if unused := self._unused():
            raise self.error(unused[0], f"is not a known key{nearest(unused[0], self._used)}")
