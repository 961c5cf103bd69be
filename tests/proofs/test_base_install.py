"""The base install, alone in a fresh environment: no torch, yet the product runs and its tests pass."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from drywallqa.bundle.bundle import DEFAULT, HEAD

pytestmark = pytest.mark.prove

ROOT = Path(__file__).parent.parent.parent
NOT_THERE = ("torch", "lightning", "cv2", "scipy", "skimage", "onnx", "transformers")
TEST_TOOLS = ("pytest", "hypothesis")
ABOUT_THE_REPOSITORY = {"test_package.py", "test_architecture.py"}


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False, timeout=900
    )


def make_environment(folder: Path, *packages: str) -> Path:
    """Install packages and this one, as a wheel, into a new environment; return its python."""
    source = folder / "source"
    for name in ("pyproject.toml", "README.md", "LICENSE", "src"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        (source).mkdir(exist_ok=True)
        copy(ROOT / name, source / name)
    made = run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    assert made.returncode == 0, made.stderr
    python = folder / "venv" / "bin" / "python"
    installed = run(python, "-m", "pip", "install", "--quiet", source, *packages, cwd=folder)
    assert installed.returncode == 0, installed.stderr
    return python


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_environment(tmp_path_factory.mktemp("base"), *TEST_TOOLS)


@pytest.fixture(scope="module")
def lowest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lowest versions that the package says it runs with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    floors = [re.sub(r">=\s*([\w.]+).*", r"==\1.*", dependency) for dependency in project["dependencies"]]
    assert len(floors) == 5
    return make_environment(tmp_path_factory.mktemp("lowest"), *TEST_TOOLS, *floors)


def product_tests() -> list[Path]:
    """Tests of the files beside the folders, of the base folders, and of the verb that needs nothing else."""
    tests = ROOT / "tests"
    ground = [path for path in tests.glob("test_*.py") if path.name not in ABOUT_THE_REPOSITORY]
    folders = [tests / name for name in ("imaging", "text", "bundle", "inference", "cli/test_segment.py")]
    return sorted(ground) + [path for path in folders if path.exists()]


def check_product_tests(python: Path, folder: Path) -> None:
    report = folder / "report.xml"
    done = run(
        python, "-m", "pytest", "-c", ROOT / "pyproject.toml", "--rootdir", ROOT, "-p", "no:cacheprovider",
        "-m", "not prove and not data", f"--junitxml={report}", "-rs", *product_tests(), cwd=folder,
    )  # fmt: skip
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    suite = ElementTree.parse(report).getroot()[0]
    ran = int(suite.attrib["tests"]) - int(suite.attrib["skipped"])
    assert ran > 200, f"only {ran} tests ran"


def need_bundle() -> None:
    if not (DEFAULT / HEAD).is_file():
        pytest.skip("the package holds no trained model yet, so there is nothing to segment with")


@pytest.mark.parametrize("name", NOT_THERE)
def test_base_install__lacks_what_only_training_needs(base: Path, tmp_path: Path, name: str) -> None:
    assert run(base, "-c", f"import {name}", cwd=tmp_path).returncode != 0


def test_base_install__is_not_the_source_tree(base: Path, tmp_path: Path) -> None:
    where = run(base, "-c", "import drywallqa; print(drywallqa.__file__)", cwd=tmp_path).stdout
    assert "site-packages" in where


def test_base_install__tests_of_ground_and_inference_pass(base: Path, tmp_path: Path) -> None:
    check_product_tests(base, tmp_path)


def test_base_install__segments_a_rendered_photo(base: Path, tmp_path: Path) -> None:
    need_bundle()
    drywallqa = base.with_name("drywallqa")
    shown = run(drywallqa, "demo", "--out", "demo", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    print(shown.stdout)
    photo = next((tmp_path / "demo" / "photos").glob("*.png"))
    done = run(drywallqa, "segment", photo, "--prompt", "hairline fissure", "--out", "masks", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "masks").glob("*__hairline_fissure.png"))) == 1


def test_base_install__training_says_what_it_lacks(base: Path, tmp_path: Path) -> None:
    done = run(base.with_name("drywallqa"), "train", "--data", "d", "--out", "r", cwd=tmp_path)
    assert done.returncode == 2
    assert "drywallqa[train]" in done.stderr
    assert done.stderr.count("\n") == 1


def test_lowest_versions__tests_of_ground_and_inference_pass(lowest: Path, tmp_path: Path) -> None:
    check_product_tests(lowest, tmp_path)


def test_lowest_versions__command_line_and_model_run(lowest: Path, tmp_path: Path) -> None:
    drywallqa = lowest.with_name("drywallqa")
    for verb in ([], ["segment"], ["data"], ["data", "import"]):
        assert run(drywallqa, *verb, "--help", cwd=tmp_path).returncode == 0
    need_bundle()
    assert run(drywallqa, "demo", "--out", "demo", cwd=tmp_path).returncode == 0
