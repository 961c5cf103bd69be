"""With the network cut after set-up, everything works: data, training, export, benchmark, segment, demo."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from drywallqa.bundle.bundle import DEFAULT, HEAD

pytestmark = pytest.mark.prove

# Where the system cannot take the network away, python does: every connection but a local pipe fails.
FORBID = """
import socket
def _cut(*arguments, **settings):
    raise OSError("the network is cut")
_connect = socket.socket.connect
socket.socket.connect = lambda self, address: (
    _connect(self, address) if self.family == getattr(socket, "AF_UNIX", None) else _cut()
)
socket.socket.connect_ex = lambda self, address: _cut()
socket.getaddrinfo = socket.gethostbyname = _cut
"""

TINY = (
    "data.window=64", "data.photos_per_epoch=4", "data.workers=0", "data.phrases=30",
    "data.composite_share=0", "optimisation.batch_size=2", "optimisation.epochs=1",
    "validation_window=64", "model.width=16", "threads=1",
)  # fmt: skip


class Cut:
    """Runs commands without a network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        unshare = shutil.which("unshare")
        tried = subprocess.run([unshare or "false", "-rn", "true"], capture_output=True, check=False)
        self.prefix = [unshare, "-rn"] if unshare and tried.returncode == 0 else []
        # A home of its own, so that no cache of earlier downloads helps out.
        self.environment = {**os.environ, "HOME": str(self.home), "XDG_CACHE_HOME": str(self.home / "cache")}
        if not self.prefix:
            (folder / "sitecustomize.py").write_text(FORBID)
            self.environment["PYTHONPATH"] = str(folder)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.prefix, sys.executable, *arguments], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, check=False, timeout=900,
        )  # fmt: skip

    def drywallqa(self, *arguments: str, expect: int = 0) -> str:
        done = self.python("-m", "drywallqa", *arguments)
        assert done.returncode == expect, f"{arguments}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Cut:
    return Cut(tmp_path_factory.mktemp("cut"))


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.org", 443)])
def test_network__is_really_cut(cut: Cut, address: tuple[str, int]) -> None:
    done = cut.python("-c", f"import socket; socket.create_connection({address!r}, timeout=5)")
    assert done.returncode != 0
    assert "error" in done.stderr.lower()
    assert "timed out" not in done.stderr


def test_network_cut__from_export_to_masks(cut: Cut) -> None:
    """The way that docs/training.md walks, on a tiny export."""
    from tiny_exports import write_coco, write_photo

    export = cut.folder / "export"
    names = [f"IMG_{number}.jpg" for number in range(12)]
    for seed, name in enumerate(names):
        write_photo(export / "train" / name, seed)
    box = [10, 10, 30, 12]
    marks = [{"image_id": number, "category_id": 1, "bbox": box} for number in range(1, 9)]
    write_coco(export / "train" / "_annotations.coco.json", names, marks)
    cut.drywallqa("data", "import", "export", "--out", "data", "--concept", "crack=crack", "--set", "tiny")
    cut.drywallqa("data", "split", "data")
    cut.drywallqa("data", "render", "data", "--count", "6")
    cut.drywallqa("data", "render", "data", "--count", "6", "--set", "more", "--split", "val", "--seed", "9")
    cut.drywallqa("data", "stats", "data")
    assert cut.python("-m", "drywallqa", "data", "audit", "data").returncode in {0, 1}
    settings = [part for setting in TINY for part in ("--set", setting)]
    cut.drywallqa("train", "--data", "data", "--out", "run", "-q", *settings)
    cut.drywallqa("export", "run", "--data", "data", "--out", "bundle", "--window", "64")
    cut.drywallqa(
        "segment", "export/train", "--prompt", "segment crack", "--model", "bundle", "--out", "masks"
    )
    assert len(list((cut.folder / "masks").glob("*__segment_crack.png"))) == len(names)


def test_network_cut__the_bundled_model(cut: Cut) -> None:
    if not (DEFAULT / HEAD).is_file():
        pytest.skip("the package holds no trained model yet, so there is nothing to segment with")
    assert "index.html" in cut.drywallqa("demo", "--out", "demo")
    cut.drywallqa("segment", "demo/photos", "-p", "where do two boards meet", "--out", "again")
    refused = cut.drywallqa("segment", "demo/photos", "-p", "segment dog", "--out", "dogs", expect=2)
    assert "0 photos segmented" in refused
    assert cut.python("-c", "import drywallqa; drywallqa.load()").returncode == 0
