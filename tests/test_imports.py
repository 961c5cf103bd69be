"""The base install runs without torch, and starts quickly: what must never be imported on the way."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HEAVY = ("torch", "lightning", "skimage", "scipy", "cv2", "transformers", "pydantic", "pandas", "matplotlib")
DEFAULT_BUNDLE = Path(__file__).parent.parent / "src" / "drywallqa" / "bundles" / "compact" / "bundle.json"

SCRIPT = """
import sys
{statement}
print(",".join(name for name in {heavy!r} if name in sys.modules))
"""


def loaded_after(statement: str, cwd: Path) -> str:
    script = SCRIPT.format(statement=statement, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=cwd, check=True)
    return done.stdout.splitlines()[-1]


def test_import__light(tmp_path: Path) -> None:
    assert loaded_after("import drywallqa", tmp_path) == ""
    assert loaded_after("import drywallqa; assert 'numpy' not in sys.modules", tmp_path) == ""


@pytest.mark.parametrize("arguments", [["--help"], ["segment", "--help"]])
def test_help__light(tmp_path: Path, arguments: list[str]) -> None:
    assert "torch" not in loaded_after(f"from drywallqa import cli; cli.main({arguments!r})", tmp_path)


def test_segment__light_up_to_the_bundle(tmp_path: Path) -> None:
    arguments = ["segment", "no.jpg", "--prompt", "crack", "--out", "out", "--model", "no-bundle"]
    statement = f"from drywallqa import cli, load, Segmenter, Prediction; assert cli.main({arguments!r}) == 2"
    assert loaded_after(statement, tmp_path) == ""


@pytest.mark.skipif(not DEFAULT_BUNDLE.exists(), reason="the package has no trained bundle yet")
def test_segment__light_up_to_the_first_mask(tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 60, 3), 180, np.uint8)).save(tmp_path / "wall.png")
    arguments = ["segment", "wall.png", "--prompt", "segment crack", "--out", "out"]
    assert loaded_after(f"from drywallqa import cli; assert cli.main({arguments!r}) == 0", tmp_path) == ""
    assert (tmp_path / "out" / "wall__segment_crack.png").exists()


def test_lazy_attributes() -> None:
    import drywallqa

    assert {"load", "Segmenter", "Prediction"} <= set(dir(drywallqa))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = drywallqa.nonsense
