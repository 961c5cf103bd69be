import json
import shutil
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drywallqa import cli
from drywallqa.files import read_json_lines
from drywallqa.imaging import mask_files
from drywallqa.inference import manifest as record_of_results
from drywallqa.inference import segmenter
from drywallqa.inference.prediction import Prediction
from fakes import FakeBundle, wall

pytestmark = pytest.mark.usefixtures("fake_bundle")
CRACK = ("--prompt", "segment crack")
BOTH = (*CRACK, "--prompt", "segment taping area")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three photos in `site` and its folder `site/second`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site" / "second").mkdir(parents=True)
    save(Path("site/one.png"), wall())
    save(Path("site/two.jpg"), wall(seam=True))
    save(Path("site/second/one.png"), wall(crack=False, seam=True))
    return tmp_path


def save(path: Path, photo: np.ndarray) -> None:
    Image.fromarray(photo).save(path, quality=95)


def run(*arguments: object) -> int:
    return cli.main(["segment", *map(str, arguments)])


def files(folder: Path, pattern: str = "*.png") -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(pattern))


def manifest(folder: Path) -> list[dict]:
    return [line for _, line in read_json_lines(folder / "manifest.jsonl") if line is not None]


def errors(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]


def test_segment__folder(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("site", *BOTH, "--out", "out") == 0
    assert files(site / "out") == [
        "one__segment_crack.png",
        "one__segment_taping_area.png",
        "two__segment_crack.png",
        "two__segment_taping_area.png",
    ]
    with Image.open(site / "out" / "two__segment_crack.png") as image:
        assert (image.mode, image.size) == ("L", (64, 48))
        assert set(np.unique(np.asarray(image))) == {0, 255}
    assert not mask_files.read_mask(site / "out" / "one__segment_taping_area.png").any()
    captured = capsys.readouterr()
    assert "2 photos segmented" in captured.out
    assert "4 masks in out" in captured.out
    assert captured.err == ""


def test_segment__manifest_holds_the_figures(site: Path) -> None:
    assert (
        run("site/two.jpg", "--prompt", "where is the fissure/crack?", "--out", "out", "--threshold", 0.9)
        == 0
    )
    (line,) = manifest(site / "out")
    assert line["prompt"] == "where is the fissure/crack?"
    assert line["source"] == str(Path("site/two.jpg"))
    assert (line["image_id"], line["concept"], line["height"], line["width"]) == ("two", "crack", 48, 64)
    assert line["threshold"] == 0.9
    mask = mask_files.read_mask(site / "out" / line["mask"])
    assert line["area"] == pytest.approx(mask.mean())
    assert 0.5 < line["presence"] <= 1


def test_segment__a_photo_that_could_not_show_a_crack(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(Path("site/one.png"), wall(320, 400) // 40)
    save(Path("site/two.jpg"), wall(320, 400))
    assert run("site", *BOTH, "--out", "out") == 0
    captured = capsys.readouterr()
    note = "nearly black: 100% of its pixels are below 8 of 255; take it again with more light"
    assert captured.err == f"note: {Path('site/one.png')}: {note}\n"
    lines = {(line["image_id"], line["prompt"]): line.get("quality") for line in manifest(site / "out")}
    assert [lines["one", prompt] for prompt in BOTH[1::2]] == [[note]] * 2
    assert [lines["two", prompt] for prompt in BOTH[1::2]] == [[]] * 2
    page = (site / "out" / "index.html").read_text("utf-8")
    assert page.count(f'<p class="doubt">{note}</p>') == 1
    assert run("site", *BOTH, "--out", "out", "--json") == 0
    captured = capsys.readouterr()
    told = [json.loads(line) for line in captured.out.splitlines()]
    assert [one.get("quality") for one in told] == [[note], [note], [], []]
    assert {one["status"] for one in told} == {"skipped"}
    assert run("site", *BOTH, "--out", "out", "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_segment__what_a_file_lost(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(Path("site/two.jpg"), wall(320, 400))
    whole = Path("site/two.jpg").read_bytes()
    Path("site/two.jpg").write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
    Image.fromarray(wall(320, 400)[:, :, 1].astype(np.uint16) * 4).save("site/one.png")
    assert run("site", *CRACK, "--out", "out") == 0
    ten, lost = capsys.readouterr().err.splitlines()
    assert "one.png: 10-bit samples in a wider type" in ten
    assert "two.jpg: damaged: its image data ends too early" in lost
    assert all("quality" in line for line in manifest(site / "out"))


def test_segment__recursive_mirrors_folders(site: Path) -> None:
    assert run("site", *CRACK, "--out", "out", "--recursive") == 0
    assert files(site / "out") == [
        "one__segment_crack.png",
        "second/one__segment_crack.png",
        "two__segment_crack.png",
    ]
    assert mask_files.read_mask(site / "out" / "one__segment_crack.png").any()
    assert not mask_files.read_mask(site / "out" / "second" / "one__segment_crack.png").any()


def test_segment__equal_stems_in_different_folders(site: Path) -> None:
    assert run("site/one.png", "site/second/one.png", *CRACK, "--out", "out") == 0
    assert files(site / "out") == ["one__segment_crack.png", "second/one__segment_crack.png"]


def test_segment__different_stems_lie_flat(site: Path) -> None:
    (site / "site" / "second" / "one.png").rename(site / "site" / "second" / "three.png")
    assert run("site", "site/second", *CRACK, "--out", "out") == 0
    assert files(site / "out") == [f"{name}__segment_crack.png" for name in ("one", "three", "two")]


def test_segment__pattern(site: Path) -> None:
    assert run("site/*.jpg", *CRACK, "--out", "out") == 0
    assert files(site / "out") == ["two__segment_crack.png"]


def test_segment__results_inside_the_photos_folder_are_no_photos(site: Path) -> None:
    for _ in range(2):
        assert run("site", *CRACK, "--out", "site/masks", "--recursive", "--probability") == 0
        assert run("site", *CRACK, "--out", "site") == 0
    assert len(files(site / "site" / "masks")) == 6
    assert len(files(site / "site", "*__*.png")) == 6 + 2


def test_segment__further_outputs(site: Path) -> None:
    assert run("site/two.jpg", *CRACK, "--out", "out", "--overlay", "--probability", "--lines") == 0
    (line,) = manifest(site / "out")
    lines = json.loads((site / "out" / line["lines"]).read_text("utf-8"))
    assert (lines["width"], lines["height"]) == (64, 48)
    assert all(0 < each["length"] <= 80 for each in lines["lines"])
    with Image.open(site / "out" / "two__segment_crack.overlay.jpg") as overlay:
        assert overlay.size[0] >= 64
    with Image.open(site / "out" / "two__segment_crack.probability.png") as probability:
        assert (probability.mode, probability.size) == ("L", (64, 48))
        values = np.asarray(probability)
    mask = mask_files.read_mask(site / "out" / line["mask"])
    assert (values[mask] >= 127).all()
    assert (values[~mask] <= 128).all()
    page = (site / "out" / "index.html").read_text("utf-8")
    assert f'src="{line["thumbnail"]}"' in page
    assert (site / "out" / line["thumbnail"]).is_file()


def test_segment__no_index(site: Path) -> None:
    assert run("site/one.png", *CRACK, "--out", "out", "--no-index") == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["manifest.jsonl", "one__segment_crack.png"]


def test_segment__json_lines_on_stdout_only(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("site/one.png", "missing.jpg", *CRACK, "-p", "dog", "--out", "out", "--json") == 3
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [line["status"] for line in lines] == ["failed", "failed", "done"]
    assert lines[0]["prompt"] == "dog"
    assert lines[1]["source"] == "missing.jpg"
    assert lines[2]["mask"] == "one__segment_crack.png"
    assert "1 photo segmented, 2 failed" in captured.err


def test_segment__quiet_and_verbose(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("site/one.png", *CRACK, "--out", "out", "-q") == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert run("site/one.png", *CRACK, "--out", "out", "-v") == 0
    assert "one.png: skipped: segment crack: " in capsys.readouterr().err


def test_segment__allow_unknown(site: Path) -> None:
    assert run("site/one.png", "--prompt", "segment dog", "--out", "out", "--allow-unknown") == 0
    assert manifest(site / "out")[0]["concept"] is None


def test_segment__progress_bar_on_a_terminal(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    (site / "site" / "zero.jpg").touch()
    assert run("site", *CRACK, "--out", "out") == 3
    err = capsys.readouterr().err
    assert "segmenting" in err
    assert "zero.jpg: the file is empty" in err


# Reruns.


def test_rerun__skips_what_is_done(
    site: Path, fake_bundle: FakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("site", *CRACK, "--out", "out") == 0
    before = (site / "out" / "manifest.jsonl").read_bytes()
    times = {path: (site / "out" / path).stat().st_mtime_ns for path in files(site / "out")}
    assert run("site", *CRACK, "--out", "out") == 0
    assert fake_bundle.backend.encoded == 2
    assert {path: (site / "out" / path).stat().st_mtime_ns for path in files(site / "out")} == times
    assert (site / "out" / "manifest.jsonl").read_bytes() == before
    assert "0 photos segmented, 2 already done" in capsys.readouterr().out


def test_rerun__does_only_what_is_new(site: Path, fake_bundle: FakeBundle) -> None:
    assert run("site/one.png", *CRACK, "--out", "out") == 0
    assert run("site", *BOTH, "--out", "out", "--overlay") == 0
    assert len(files(site / "out", "*__*.png")) == 4
    assert len(files(site / "out", "*.overlay.jpg")) == 4
    assert len(manifest(site / "out")) == 4


def test_rerun__makes_what_was_deleted(site: Path) -> None:
    assert run("site", *CRACK, "--out", "out") == 0
    (site / "out" / "one__segment_crack.png").unlink()
    assert run("site", *CRACK, "--out", "out") == 0
    assert mask_files.read_mask(site / "out" / "one__segment_crack.png").any()


def test_rerun__after_a_killed_run_without_manifest(site: Path) -> None:
    assert run("site", *CRACK, "--out", "out") == 0
    (site / "out" / "manifest.jsonl").unlink()
    assert run("site", *CRACK, "--out", "out") == 0
    assert len(manifest(site / "out")) == 2


@pytest.mark.parametrize("change", ["settings", "photo", "model", "backend", "by hand", "unlisted"])
def test_rerun__refuses_other_content_without_overwrite(
    site: Path, change: str, fake_bundle: FakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = site / "out" / "one__segment_crack.png"
    arguments = ["site", *CRACK, "--out", "out"]
    if change == "unlisted":
        mask_files.write_mask_file(mask, np.ones((3, 3), np.bool_))
    else:
        assert run(*arguments) == 0
    if change == "settings":
        arguments += ["--threshold", "0.97"]
    if change == "photo":
        save(Path("site/one.png"), wall(60, 60))
    if change == "model":
        fake_bundle.files = {"decoder.onnx": "fedcba9876543210"}
    if change == "backend":
        arguments += ["--backend", "openvino"]
    if change == "by hand":
        mask_files.write_mask_file(mask, np.ones((48, 64), np.bool_))
    before = mask.read_bytes()
    capsys.readouterr()
    assert run(*arguments) == 3
    assert mask.read_bytes() == before
    refused = [line for line in errors(capsys) if "one" in line]
    assert len(refused) == 1
    assert "one__segment_crack.png" in refused[0]
    assert "--overwrite" in refused[0]
    assert run(*arguments, "--overwrite") == 0
    if change not in ("model", "backend"):
        assert mask.read_bytes() != before


def test_rerun__an_error_is_forgotten_once_mended(site: Path) -> None:
    (site / "site" / "one.png").write_bytes(b"")
    assert run("site", *CRACK, "--out", "out") == 3
    assert any("error" in line for line in manifest(site / "out"))
    save(Path("site/one.png"), wall())
    assert run("site", *CRACK, "--out", "out") == 0
    assert not any("error" in line for line in manifest(site / "out"))


def page(site: Path) -> str:
    return (site / "out" / "index.html").read_text("utf-8")


def test_rerun__a_photo_mended_and_named_otherwise_is_well(site: Path) -> None:
    save(Path("two.png"), wall(seam=True))
    whole = Path("two.png").read_bytes()
    Path("two.png").write_bytes(whole[: len(whole) // 2])
    assert run("two.png", "site/one.png", *CRACK, "--out", "out") == 3
    assert "1 failure<" in page(site)
    Path("two.png").write_bytes(whole)
    assert run(site / "two.png", *CRACK, "--out", "out") == 0
    assert not any("error" in line for line in manifest(site / "out"))
    assert "failure<" not in page(site)


def test_rerun__a_prompt_that_works_now_is_well(site: Path) -> None:
    asked = ("site/one.png", *CRACK, "-p", "dog", "--out", "out")
    assert run(*asked) == 3
    assert [line["prompt"] for line in manifest(site / "out") if "error" in line] == ["dog"]
    assert "1 failure<" in page(site)
    assert run(*asked, "--allow-unknown") == 0
    assert not any("error" in line for line in manifest(site / "out"))
    assert "failure<" not in page(site)


def test_rerun__a_folder_that_was_empty_is_well(site: Path) -> None:
    (site / "empty").mkdir()
    assert run("empty/", "gone/*.png", *CRACK, "--out", "out") == 3
    (site / "gone").mkdir()
    shutil.copy("site/one.png", "empty/one.png")
    assert run("empty", "gone/*.png", *CRACK, "--out", "out") == 3
    assert [line["source"] for line in manifest(site / "out") if "error" in line] == [str(Path("gone/*.png"))]
    shutil.copy("site/two.jpg", "gone/two.png")
    assert run("empty", "gone/*.png", *CRACK, "--out", "out") == 0
    assert not any("error" in line for line in manifest(site / "out"))
    assert "failure<" not in page(site)


def test_rerun__a_photo_and_a_prompt_of_one_name_fail_apart(site: Path) -> None:
    for _ in range(2):
        assert run("dog", "site/one.png", "-p", "dog", *CRACK, "--out", "out") == 3
        failed = [line for line in manifest(site / "out") if "error" in line]
        assert sorted("prompt" if "prompt" in line else "source" for line in failed) == ["prompt", "source"]
    assert "2 failures<" in page(site)


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0c"])
def test_rerun__names_that_end_a_line_elsewhere(site: Path, fake_bundle: FakeBundle, odd: str) -> None:
    try:
        save(Path(f"site/one{odd}more.png"), wall())
    except OSError:
        pytest.skip("this system allows no such name")
    asked = (f"site/one{odd}more.png", "-p", f"segment{odd}crack", "--out", "out")
    assert run(*asked) == run(*asked) == 0
    assert fake_bundle.backend.encoded == 1
    (line,) = manifest(site / "out")
    assert line["source"] == str(Path(f"site/one{odd}more.png"))
    assert line["prompt"] == f"segment{odd}crack"


def test_rerun__overwrite_rewrites_the_manifest_once(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        save(Path(f"site/{number:02d}.png"), wall(shade=100 + number))
    assert run("site", *BOTH, "--out", "out") == 0
    rewritten: list[Path] = []
    original = record_of_results.write_whole

    def count(path: Path, content: bytes) -> None:
        rewritten.append(path)
        original(path, content)

    monkeypatch.setattr(record_of_results, "write_whole", count)
    assert run("site", *BOTH, "--out", "out", "--threshold", "0.9", "--overwrite") == 0
    assert rewritten == [Path("out/manifest.jsonl")]
    assert [line["threshold"] for line in manifest(site / "out")] == [0.9] * 44


def test_segment__quality_of_a_photo_is_recorded_and_shown(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("site/one.png", *CRACK, "--out", "out") == 0
    assert [line["quality"] for line in manifest(site / "out")] == [[]]
    original = segmenter.Segmenter.answer

    def dark(*arguments: object, **more: object) -> Iterator[Prediction]:
        for prediction in original(*arguments, **more):  # type: ignore[arg-type]
            yield replace(prediction, quality=("nearly black <", "blurred"))

    monkeypatch.setattr(segmenter.Segmenter, "answer", dark)
    assert run("site/two.jpg", *BOTH, "--out", "out") == 0
    assert [line["quality"] for line in manifest(site / "out")][1:] == [["nearly black <", "blurred"]] * 2
    assert page(site).count('<p class="doubt">nearly black &lt;</p><p class="doubt">blurred</p>') == 1


# Bad input that is handled.


@pytest.mark.parametrize(
    "prompt", ["segment joint/tape", "🔥 crack 🔥", "crack " * 200, "../../crack", "Crack\n"]
)
def test_handled__odd_prompts(site: Path, prompt: str) -> None:
    assert run("site/one.png", "--prompt", prompt, "--out", "deep/out") == 0
    (line,) = manifest(site / "deep" / "out")
    assert line["prompt"] == prompt
    assert (site / "deep" / "out" / line["mask"]).is_file()
    assert len(Path(line["mask"]).name.encode()) <= 120
    assert files(site / "deep", "*__*.png") == [f"out/{line['mask']}"]


@pytest.mark.parametrize("shape", [(1, 1), (500, 20_000)])
def test_handled__extreme_sizes(site: Path, shape: tuple[int, int]) -> None:
    save(Path("odd.png"), np.full((*shape, 3), 128, np.uint8))
    assert run("odd.png", *CRACK, "--out", "out", "--overlay") == 0
    assert mask_files.read_mask(site / "out" / "odd__segment_crack.png").shape == shape


def test_handled__exif_turned_and_cmyk(site: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(wall()).save("turned.jpg", exif=exif, quality=95)
    Image.fromarray(wall()).convert("CMYK").save("print.jpg", quality=95)
    assert run("turned.jpg", "print.jpg", *CRACK, "--out", "out") == 0
    assert mask_files.read_mask(site / "out" / "turned__segment_crack.png").shape == (64, 48)
    assert mask_files.read_mask(site / "out" / "print__segment_crack.png").any()


def test_handled__prompts_that_differ_in_case_or_spaces(site: Path) -> None:
    prompts = ["crack", "Crack", "crack ", "crack", "a  crack", "a crack"]
    assert run("site/one.png", *(part for p in prompts for part in ("-p", p)), "--out", "out") == 0
    names = [name.casefold() for name in files(site / "out")]
    assert len(names) == len(set(names)) == 5


# Bad input that is refused.


def _bomb() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99)))


def test_refused__bad_photos_cost_one_line_each(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (site / "site" / "two.jpg").read_bytes()
    (site / "site" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (site / "site" / "zero.jpg").touch()
    (site / "site" / "text.jpg").write_text("not a photo")
    (site / "site" / "bomb.png").write_bytes(_bomb())
    assert run("site", "gone.jpg", *BOTH, "--out", "out") == 3
    lines = errors(capsys)
    for name, remedy in {
        "cut.jpg": "copy it again",
        "zero.jpg": "copy it again",
        "text.jpg": "convert it",
        "bomb.png": "scale it down",
        "gone.jpg": "check the path",
    }.items():
        (line,) = [line for line in lines if name in line]
        assert remedy in line
    assert len(lines) == 5
    assert len(files(site / "out", "*__*.png")) == 4
    assert files(site / "out", "*.part") == []
    assert {line["source"] for line in manifest(site / "out") if "error" in line} == {
        "gone.jpg",
        *(str(Path("site") / name) for name in ("cut.jpg", "zero.jpg", "text.jpg", "bomb.png")),
    }


def test_refused__empty_folder(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "empty").mkdir()
    assert run("empty", "site", *CRACK, "--out", "out") == 3
    (line,) = errors(capsys)
    assert "empty: there is no photo in this folder" in line
    assert len(files(site / "out", "*__*.png")) == 2


def test_refused__two_photos_whose_masks_would_bear_one_name(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy("site/two.jpg", "site/ONE.jpg")
    assert run("site", *CRACK, "--out", "out") == 3
    (line,) = errors(capsys)
    assert "one.png" in line
    assert "ONE.jpg" in line
    assert "rename" in line
    assert files(site / "out") == ["two__segment_crack.png"]


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("\x01\x02", "only control characters"),
        ("crack" * 2001, "10,000"),
        ("segment dog", "knows"),
    ],
)
def test_refused__prompts(site: Path, prompt: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("site/one.png", "--prompt", prompt, "--out", "out") == 2
    (line,) = errors(capsys)
    assert sentence in line
    assert run("site/one.png", "--prompt", prompt, *CRACK, "--out", "out") == 3
    assert files(site / "out") == ["one__segment_crack.png"]


def test_refused__out_is_no_folder(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "out").write_text("a file")
    for out in ("out", "out/below"):
        assert run("site", *CRACK, "--out", out) == 2
        (line,) = errors(capsys)
        assert "results cannot be written" in line
    assert (site / "out").read_text() == "a file"


def test_refused__disk_full_ends_the_run(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert run("site", *CRACK, "--out", "out") == 2
    (line,) = errors(capsys)
    assert "no space left on device" in line
    assert files(site / "out", "*.p*") == []


@pytest.mark.parametrize("threshold", ["high", "1.5", "-1", "nan"])
def test_refused__threshold(site: Path, threshold: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("site", *CRACK, "--out", "out", "--threshold", threshold) == 2
    assert "auto or a number from 0 to 1" in errors(capsys)[0]


def test_refused__messages_stay_on_one_line(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        (site / "two\nlines.jpg").touch()
    except OSError:
        pytest.skip("this system allows no such name")
    assert run("two\nlines.jpg", *CRACK, "--out", "out") == 3
    (line,) = errors(capsys)
    assert "two\\nlines.jpg: the file is empty" in line


def test_usage__nothing_to_do(site: Path) -> None:
    assert cli.main(["segment", "--out", "out"]) == 2
    assert cli.main(["segment", "site", "--out", "out"]) == 2
    assert cli.main(["segmnt"]) == 2
    assert cli.main(["--version"]) == 0
