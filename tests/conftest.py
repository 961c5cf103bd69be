"""What the tests share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fakes import FakeBundle


@pytest.fixture
def fake_bundle(monkeypatch: pytest.MonkeyPatch) -> FakeBundle:
    """A bundle without a trained model, which the command line loads as if it were the default."""
    import drywallqa.bundle.bundle

    bundle = FakeBundle()
    monkeypatch.setattr(drywallqa.bundle.bundle, "load_bundle", lambda folder=None: bundle)
    return bundle
