"""Large photos keep within bounds of memory, measured in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from drywallqa.synthetic.walls import render_wall

BUNDLE = Path(__file__).parents[2] / "src" / "drywallqa" / "bundles" / "compact" / "bundle.json"
STATM = Path("/proc/self/statm")

pytestmark = [
    pytest.mark.prove,
    pytest.mark.skipif(not BUNDLE.exists(), reason="the package has no trained bundle yet"),
    pytest.mark.skipif(not STATM.exists(), reason="the memory of a process is read from /proc"),
]

SCRIPT = """
import json, resource, sys
from pathlib import Path
import numpy as np
import drywallqa

prompts = ["segment crack", "segment taping area"]
segmenter = drywallqa.load()
segmenter.segment(np.zeros((64, 64, 3), np.uint8), prompts)
photo = np.load(sys.argv[1])
times = int(sys.argv[2])
if times > 1:
    small, photo = photo, np.empty((photo.shape[0] * times, photo.shape[1] * times, 3), np.uint8)
    for row in range(photo.shape[0]):
        photo[row] = np.tile(small[row % small.shape[0]], (times, 1))
before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
options = drywallqa.SegmentOptions(scale="native", mask=sys.argv[3])
answers = segmenter.segment(photo, prompts, keep_probability=False, options=options)
# the high-water mark of this program's memory alone: ru_maxrss also counts what the test's process held
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
rise = peak - before
print(json.dumps({"rise": rise, "shape": photo.shape, "masks": [answer.mask.shape for answer in answers]}))
"""


def rise(photo: np.ndarray, folder: Path, times: int, mask: str = "outline") -> tuple[float, tuple[int, ...]]:
    """MB by which the peak rises above the loaded process with its photo, and the photo's size."""
    np.save(folder / "photo.npy", photo)
    command = [sys.executable, "-c", SCRIPT, str(folder / "photo.npy"), str(times), mask]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert all(shape == told["shape"][:2] for shape in told["masks"])
    return told["rise"] / 2**20, tuple(told["shape"])


@pytest.mark.parametrize(("mask", "most"), [("outline", 450), ("auto", 750)])
def test_memory__twelve_megapixels(mask: str, most: int, tmp_path: Path) -> None:
    wall = render_wall(1, (3024, 4032), "both")
    megabytes, shape = rise(wall.photo, tmp_path, 1, mask)
    print(f"{shape[1]}×{shape[0]} px, two prompts, {mask}: {megabytes:.0f} MB")
    assert megabytes <= most


def test_memory__a_hundred_megapixels(tmp_path: Path) -> None:
    wall = render_wall(2, (1440, 1925), "both")
    megabytes, shape = rise(wall.photo, tmp_path, 6)
    print(f"{shape[1]}×{shape[0]} px, two prompts: {megabytes:.0f} MB")
    assert shape[0] * shape[1] > 99e6
    assert megabytes <= 600
