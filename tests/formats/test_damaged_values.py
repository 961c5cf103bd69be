"""Any value of an annotation file may be of any type: readers report it or refuse the file by name."""

from __future__ import annotations

import copy
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drywallqa.datasets.photo_labels import label_photo, unite_entries
from drywallqa.errors import DataError
from drywallqa.formats.annotations import ReadOptions
from drywallqa.formats.exports import FORMATS
from tiny_exports import SIDE, roboflow_coco
from tool_exports import CLEAN

STRANGE = (None, True, -1, 0, 7.5, float("nan"), 1e400, 10**12, "", "x", "7", [], [1], [[1]], {}, {"id": []})
TOOLS = {**CLEAN, "coco": roboflow_coco}


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container and key of a JSON value, but only the first numbers of a long list."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    for key in list(keys)[:20]:
        yield value, key
        yield from places(value[key])


def change_json(path: Path, where: int, strange: object) -> None:
    data = json.loads(path.read_text())
    found = list(places(data))
    container, key = found[where % len(found)]
    container[key] = copy.deepcopy(strange)
    path.write_text(json.dumps(data))


def change_xml(path: Path, where: int, strange: object) -> None:
    text = path.read_text()
    found = list(re.finditer(r'(?<==")[^"<]*(?=")|(?<=>)[^<>\s][^<>]*(?=<)', text))
    match = found[where % len(found)]
    path.write_text(text[: match.start()] + re.sub(r"[<&\"]", "", str(strange)) + text[match.end() :])


@pytest.mark.parametrize("tool", TOOLS)
def test_read__no_value_ends_in_a_traceback(tool):
    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 500), st.sampled_from(STRANGE), st.integers(0, 1))
    def check(where: int, strange: object, which: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = TOOLS[tool](Path(folder))
            layout = tool.split()[0]
            files = sorted(path for path in root.rglob("*") if path.suffix in {".json", ".xml"})
            path = files[which % len(files)]
            (change_json if path.suffix == ".json" else change_xml)(path, where, strange)
            try:
                export = FORMATS[layout].read(root, ReadOptions())
            except DataError as error:
                assert path.name in str(error)  # noqa: PT017
                return
            for photo in unite_entries(export)[0]:
                label_photo(photo, SIDE, SIDE)

    check()
