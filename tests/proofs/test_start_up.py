"""The work before the first photo is encoded stays within twice a bare import of what it stands on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from drywallqa.bundle.bundle import DEFAULT, HEAD

pytestmark = pytest.mark.prove


def test_start_up__at_most_twice_the_bare_import(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (DEFAULT / HEAD).is_file():
        pytest.skip("the package holds no trained model yet, so nothing comes to a first encoding")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "tools"))
    from bench_start_up import measure

    measured = measure(repeats=11, python=sys.executable)
    print(measured.describe())
    assert measured.ratio <= 2
