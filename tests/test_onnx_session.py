"""A graph that was begun ahead is the one that is opened."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from drywallqa import onnx_session
from drywallqa.bundle.bundle import load_bundle
from drywallqa.errors import BackendError
from drywallqa.onnx_session import DEFAULT, IMAGE_ENCODER, RuntimeOptions, open_session, prefetch_session

ENCODER = DEFAULT / IMAGE_ENCODER
needs_bundle = pytest.mark.skipif(not ENCODER.is_file(), reason="the package has no trained bundle yet")


@needs_bundle
def test_open_graph__takes_what_was_begun_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    real = onnx_session._session

    def counted(*arguments: object) -> object:
        opened.append(arguments[0])
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(onnx_session, "_session", counted)
    monkeypatch.setattr(onnx_session, "_prefetched", {})
    prefetch_session(ENCODER, threads=1)
    prefetch_session(ENCODER, threads=1)
    backend = load_bundle().open_backend(RuntimeOptions(threads=1))
    assert opened.count(ENCODER) == 1
    assert backend.encode_image(np.zeros((1, 3, 64, 64), np.float32))[0].shape[0] == 1
    assert not onnx_session._prefetched
    open_session(ENCODER, threads=1)
    assert opened.count(ENCODER) == 2


def test_open_graph__tells_what_went_wrong_ahead(tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").write_bytes(b"no graph")
    prefetch_session(tmp_path / "graph.onnx", "abacus")
    with pytest.raises(BackendError, match="unknown device 'abacus'"):
        open_session(tmp_path / "graph.onnx", "abacus")


def test_graphs__can_be_had_without_the_rest() -> None:
    code = "import sys, drywallqa.onnx_session; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "drywallqa.onnx_session" in loaded
    assert not {"numpy", "onnxruntime", "drywallqa.bundle.bundle"} & set(loaded)
