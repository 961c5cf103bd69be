"""How a run of the command line ends, mostly seen from outside, as a shell or a script sees it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from drywallqa import cli, errors

RUN = "import runpy, sys; sys.argv = ['drywallqa', *sys.argv[1:]]; "
MODULE = "runpy.run_module('drywallqa', run_name='__main__')"


@pytest.fixture(autouse=True)
def kept_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracebacks are kept below the test's own folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def drywallqa(*arguments: object, before: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m drywallqa` in a process of its own, after a few lines that bend something."""
    command = [sys.executable, "-c", RUN + before + "\n" + MODULE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, env=os.environ | environment, check=False)


def wall(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(150, 200, (96, 128, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    import drywallqa.bundle.bundle

    def fail(folder: object = None) -> None:
        raise error

    monkeypatch.setattr(drywallqa.bundle.bundle, "load_bundle", fail)
    return cli.main(["segment", "a.jpg", "--prompt", "crack", "--out", "out"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("odd"), 70),
        (MemoryError(), 70),
        (OSError(13, "Permission denied", "x"), 70),
        (BrokenPipeError(32, "Broken pipe"), 70),  # of a worker, say: our own output is open
        (ModuleNotFoundError("No module named 'drywallqa.gone'", name="drywallqa.gone"), 70),
        (SystemExit(1), 70),
        (SystemExit("told on the way out"), 70),
        (typer.Exit(1), 1),
        (KeyboardInterrupt(), 130),
        (typer.Abort(), 130),
        (EOFError(), 130),
        (errors.StoppedError("stopped, and saved"), 130),
        (typer.BadParameter("bad"), 2),
    ],
)
def test_main__exit_codes(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert failing(monkeypatch, error) == code


def test_main__unforeseen_error_is_one_line_and_its_traceback_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(monkeypatch, ValueError("two\nlines")) == cli.UNFORESEEN
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: unexpected ValueError: two lines; this is a bug in drywallqa")
    kept = Path(line.partition("the traceback in ")[2].partition(" (set DRYWALLQA_TRACEBACK=1")[0])
    assert "in fail" in kept.read_text("utf-8")


def test_main__unforeseen_error_shows_its_traceback_where_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DRYWALLQA_TRACEBACK", "1")
    assert failing(monkeypatch, ValueError("odd")) == cli.UNFORESEEN
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.splitlines()[-1].startswith("error: unexpected ValueError: odd")


def test_module__unforeseen_error() -> None:
    bend = "import drywallqa.cli.verbs as v; v.command = None"
    ended = drywallqa("segment", before=bend, DRYWALLQA_TRACEBACK="1")
    assert ended.returncode == 70
    assert b"Traceback" in ended.stderr


@pytest.mark.skipif(os.name == "nt", reason="pipes of Windows break otherwise")
@pytest.mark.parametrize("arguments", [["--help"], ["segment", "{site}", "-p", "crack", "--json"]])
def test_module__closed_pipe_ends_quietly(tmp_path: Path, arguments: list[str]) -> None:
    wall(tmp_path / "site" / "a.jpg")
    wall(tmp_path / "site" / "b.jpg")
    asked = [text.format(site=tmp_path / "site") for text in arguments]
    asked += ["--out", str(tmp_path / "out")] if "segment" in arguments else []
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing) as nobody:
        ended = subprocess.run(
            [sys.executable, "-m", "drywallqa", *asked],
            stdout=nobody,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert ended.returncode == 141
    assert not ended.stderr
    if "segment" in arguments:  # what was done is kept, and the next run goes on from there
        assert list((tmp_path / "out").glob("a__crack.png"))
        assert cli.main([*asked, "--quiet"]) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_module__output_that_cannot_be_written() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        command = [sys.executable, "-m", "drywallqa", "--version"]
        how = os.environ | {"PYTHONUNBUFFERED": ""}
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, env=how)
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"error: cannot write to standard output (no space left")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize("options", [["-v"], ["--json"]])
def test_segment__output_that_lacks_a_character(tmp_path: Path, encoding: str, options: list[str]) -> None:
    photo = wall(tmp_path / "壁.jpg")
    (tmp_path / "broken_壁.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    ended = drywallqa(
        "segment", photo, tmp_path / "broken_壁.jpg", "-p", "crack", "--out", tmp_path / "out_壁", *options,
        PYTHONIOENCODING=encoding,
    )  # fmt: skip
    assert ended.returncode == 3, ended.stderr
    assert b"out_\\u58c1" in ended.stdout + ended.stderr
    assert b"broken_\\u58c1.jpg: the photo is damaged" in ended.stderr
    assert (ended.stdout + ended.stderr).isascii()
    assert (tmp_path / "out_壁" / "壁__crack.png").is_file()


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_demo__output_that_lacks_a_character(tmp_path: Path, encoding: str) -> None:
    ended = drywallqa("demo", "--out", tmp_path / "壁", PYTHONIOENCODING=encoding)
    assert ended.returncode == 0, ended.stderr
    assert b"\\u58c1" in ended.stdout


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_data__output_that_lacks_a_character(tmp_path: Path, encoding: str) -> None:
    export, data = tmp_path / "export", tmp_path / "壁"
    for name in ("壁_1", "b"):
        wall(export / "test" / "images" / f"{name}.jpg")
        (export / "test" / "labels").mkdir(exist_ok=True)
        (export / "test" / "labels" / f"{name}.txt").write_text("0 .5 .5 .3 .3\n0 .5 .5 .001 .001\n", "utf-8")
    (export / "data.yaml").write_text("names: [crack]\n", "utf-8")
    how = {"PYTHONIOENCODING": encoding}
    done = drywallqa("data", "import", export, "--out", data, "--concept", "crack=crack", **how)
    assert done.returncode == 3, done.stderr  # shapes that are too small were lost
    audit = drywallqa("data", "audit", export, "--json", tmp_path / "壁.json", **how)
    assert audit.returncode == 1, audit.stderr  # near-duplicates, and shapes that are too small
    assert b"\\u58c1" in audit.stdout
    told = drywallqa("evaluate", "--data", data, "--out", tmp_path / "e_壁", **how)
    assert told.returncode == 0, told.stderr
    assert b"\\u58c1" in told.stdout


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_usage__output_that_lacks_a_character(encoding: str) -> None:
    assert drywallqa("--help", PYTHONIOENCODING=encoding).returncode == 0
    wrong = drywallqa("segment", "--壁", PYTHONIOENCODING=encoding)
    assert wrong.returncode == 2
    assert b"Traceback" not in wrong.stderr


def test_every_verb__large_photos_bring_no_warning(tmp_path: Path) -> None:
    large = "from PIL import Image; Image.MAX_IMAGE_PIXELS = 10000"  # the photos have 12288
    for name in ("one", "other"):
        wall(tmp_path / "export" / "images" / f"{name}.png")
        mask = Image.new("L", (128, 96))
        mask.paste(255, (20, 20, 60, 60))
        (tmp_path / "export" / "masks").mkdir(exist_ok=True)
        mask.save(tmp_path / "export" / "masks" / f"{name}.png")
    export, data = tmp_path / "export", tmp_path / "data"
    asked = {
        "segment": [export / "images", "-p", "crack", "--out", tmp_path / "out", "--overlay"],
        "data": ["import", export, "--out", data, "--concept", "mask=crack"],
    }
    for verb, arguments in asked.items():
        ended = drywallqa(verb, *arguments, before=large)
        assert b"Warning" not in ended.stderr
        assert ended.returncode == 0, ended.stderr
