"""What surrounds the code: metadata, the reasons beside dependency floors, and pages that tell the truth."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drywallqa import __version__, cli
from drywallqa.cli.verbs import load_verb
from fakes import FakeBundle, wall

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
EXTRAS = {"train", "serve", "fleet", "openvino", "heic", "report", "dev"}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a page in one language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def commands(program: str) -> list[tuple[str, str]]:
    """Return (page, line) for each line of a shell block that starts with a program."""
    return [
        (page.name, line)
        for page in PAGES
        for block in blocks(page, "bash")
        for line in block.replace("\\\n", " ").splitlines()
        if line.split()[:1] == [program]
    ]


def test_metadata__says_what_the_package_is() -> None:
    about = metadata.metadata("drywallqa")
    assert about["Version"] == __version__
    assert about["License-Expression"] == "Apache-2.0"
    assert about["Requires-Python"] == ">=3.11"
    assert set(about.get_all("Provides-Extra")) >= EXTRAS


def test_metadata__base_needs_five_things_and_no_torch() -> None:
    names = {re.split(r"[<>=!\[ ]", line)[0] for line in project()["dependencies"]}
    assert names == {"numpy", "onnxruntime", "pillow", "pyyaml", "typer"}


def test_floors__each_has_its_reason_beside_it() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    declared = [
        *project()["dependencies"],
        *(d for extra in project()["optional-dependencies"].values() for d in extra),
    ]
    without = []
    for dependency in declared:
        floor = re.search(r">=\s*([\w.]+)", dependency)
        line = next(line for line in text.splitlines() if line.strip().startswith(f'"{dependency}"'))
        if not floor or not re.search(rf"#.*\b{re.escape(floor[1])}: \w+", line):
            without.append(line.strip())
    assert declared
    assert not without


def test_torch__is_bounded_for_development_only() -> None:
    assert re.search(r"^torch>=2\.6,<", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert "torch>=2.6" in project()["optional-dependencies"]["train"]


def test_licence__is_the_whole_text() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_changelog__knows_this_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_pages__show_commands_at_all() -> None:
    assert {page for page, _ in commands("drywallqa")} >= {"README.md", "training.md"}
    assert commands("make")


@pytest.mark.parametrize(("page", "line"), commands("drywallqa"))
def test_pages__every_drywallqa_command_is_understood(page: str, line: str) -> None:
    verb, *arguments = shlex.split(line, comments=True)[1:]
    assert verb in cli.VERBS
    command = load_verb(verb, *cli.VERBS[verb])
    if hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
    command.make_context(verb, arguments)  # parses, and runs nothing


def test_pages__an_option_that_does_not_exist_would_be_found() -> None:
    command = load_verb("export", *cli.VERBS["export"])
    with pytest.raises(Exception, match=r"(?i)no such option"):
        command.make_context("export", ["runs/x", "--data", "d", "--out", "o", "--nonsense"])


def test_pages__every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    used = {
        word
        for page in PAGES
        for span in [*re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8"))]
        for word in [span]
    }
    used |= {line.split()[1] for _, line in commands("make")}
    used |= set(re.findall(r"^#   make ([a-z-]+)", makefile, re.MULTILINE))
    assert used
    assert used <= targets
    assert set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split()) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages__links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists():
            broken.append(target)
        elif anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            if anchor not in {
                re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings
            }:
                broken.append(target)
    assert not broken


def test_pages__files_and_folders_that_are_named_exist() -> None:
    missing = [
        (page.name, name)
        for page in PAGES
        for name in re.findall(
            r"`((?:src|docs|tests|tools|benchmarks)/[\w./-]+|constraints\.txt|\.ci/run)`",
            page.read_text(encoding="utf-8"),
        )
        if not (ROOT / name).exists() and not name.startswith("src/drywallqa/bundles/")
    ]
    assert not missing


def test_readme__python_example_runs(
    fake_bundle: FakeBundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.asarray(wall(crack=True))).save("wall.jpg", quality=95)
    (example,) = blocks(ROOT / "README.md", "python")
    names: dict[str, Any] = {}
    exec(compile(example, "README.md", "exec"), names)
    assert "wall segment crack crack" in capsys.readouterr().out
    assert names["segmenter"].understand("hairline fissure") == "crack"


def test_continuous_integration__can_be_run_as_it_lies_there() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    assert not (ROOT / "shared").exists(), "data sets are no part of the repository"


def test_repository__holds_no_picture_but_rendered_ones() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout, so there is no list of committed files")
    pictures = [
        name
        for name in listed.stdout.splitlines()
        if re.search(r"\.(jpe?g|png|webp|bmp|tiff?|heic)$", name, re.I)
    ]
    # what `make report` draws, and what `benchmark --write` puts beside a card
    ours = (
        "docs/pictures/rendered",
        "docs/report/report-pictures/",
        "docs/inspection-example/",
        "docs/page-design/",
        "src/drywallqa/bundles/",
    )
    assert [name for name in pictures if not name.startswith(ours)] == []
