"""`segment --engine ray` through the command line, with everything that Ray does done in this process."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pyarrow", reason="the fleet extra is not installed")

import pyarrow
from pyarrow import fs, parquet

from drywallqa import cli
from drywallqa.files import read_json_lines
from drywallqa.fleet import fleet_run, photo_listing
from drywallqa.fleet.locations import Location, open_location
from drywallqa.fleet.results_table import FolderResults, without_empty_columns
from fakes import FakeBundle, wall
from inline_ray import InlineRay, install

BOTH = ("--prompt", "segment crack", "--prompt", "segment taping area")
RAY = ("--engine", "ray")


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> InlineRay:
    return install(monkeypatch)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_bundle: FakeBundle) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site" / "second").mkdir(parents=True)
    Image.fromarray(wall()).save("site/one.png")
    Image.fromarray(wall(seam=True)).save("site/two.jpg", quality=95)
    Image.fromarray(wall(crack=False, seam=True)).save("site/second/one.png")
    return tmp_path


def run(*arguments: object) -> int:
    return cli.main(["segment", *map(str, arguments)])


def rows(out: str | Path = "out") -> list[dict[str, Any]]:
    return parquet.read_table(Path(out) / "results.parquet").to_pylist()


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


def errors(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]


def test_fleet__gives_the_masks_and_figures_of_a_plain_run(
    site: Path, ray: InlineRay, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("site", "-r", *BOTH, "--out", "plain", "--no-index", "--overlay") == 0
    assert run("site", "-r", *BOTH, "--out", "out", *RAY, "--overlay") == 0
    assert pictures(site / "plain") == pictures(site / "out") != {}
    assert len(list((site / "out").rglob("*.overlay.jpg"))) == 6
    assert f"6 masks in out; see {Path('out', 'results.parquet')}" in capsys.readouterr().out
    plain = {line["mask"]: line for _, line in read_json_lines("plain/manifest.jsonl") if line is not None}
    table = {row["mask"]: row for row in rows()}
    assert plain.keys() == table.keys()
    for mask, line in plain.items():
        row = table[mask]
        assert {"presence", "area", "threshold", "settings", "overlay", "quality", "mask_sha256"} <= set(line)
        assert {name: row[name] for name in line} == line
        assert row["error"] is None
        assert min(row["read_ms"], row["segment_ms"], row["write_ms"]) > 0
    assert not list((site / "out").rglob("*.part*"))


def test_fleet__a_photo_that_could_not_show_a_crack(
    site: Path, ray: InlineRay, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(wall(320, 400) // 40).save("site/one.png")
    Image.fromarray(wall(320, 400)[:, :, 1].astype(np.uint16) * 16).save("site/two.png")
    assert run("site/one.png", "site/two.png", *BOTH[:2], "--out", "out", *RAY) == 0
    said = capsys.readouterr().err
    assert "one.png: nearly black" in said
    assert "two.png: 12-bit samples in a wider type" in said
    assert all(len(row["quality"]) == 1 for row in rows())


def test_fleet__a_table_from_before_photos_were_examined(site: Path, ray: InlineRay) -> None:
    assert run("site", *BOTH, "--out", "out", *RAY) == 0
    table = parquet.read_table("out/results.parquet")
    parquet.write_table(table.drop_columns(["quality"]), "out/results.parquet")
    assert run("site", "-r", *BOTH, "--out", "out", *RAY) == 0
    assert len(rows()) == 6


def test_fleet__rerun_reaches_no_cluster(site: Path, ray: InlineRay, fake_bundle: FakeBundle) -> None:
    assert run("site", *BOTH, "--out", "out", *RAY) == 0
    before, encoded = rows(), fake_bundle.backend.encoded
    assert run("site", *BOTH, "--out", "out", *RAY) == 0
    assert (ray.starts, fake_bundle.backend.encoded) == (1, encoded)
    assert rows() == before


@pytest.mark.parametrize("first", ["--lines", "--overlay", "--probability", ""])
def test_fleet__rerun_with_other_outputs(
    site: Path, ray: InlineRay, fake_bundle: FakeBundle, first: str
) -> None:
    assert run("site", *BOTH, "--out", "out", *RAY, *filter(None, [first])) == 0
    before, encoded = rows(), fake_bundle.backend.encoded
    assert run("site", *BOTH, "--out", "out", *RAY, *filter(None, [first])) == 0
    assert (rows(), fake_bundle.backend.encoded) == (before, encoded)
    assert run("site", *BOTH, "--out", "out", *RAY, "--lines", "--overlay") == 0
    assert fake_bundle.backend.encoded == encoded + 2
    for row in rows():
        assert (site / "out" / row["lines"]).is_file()
        assert (site / "out" / row["overlay"]).is_file()
    assert len(rows()) == 4


def test_fleet__rerun_in_another_runtime_does_all_again(site: Path, ray: InlineRay) -> None:
    assert run("site", *BOTH, "--out", "out", *RAY) == 0
    before = {row["settings"] for row in rows()}
    # Here it comes to the same masks; others would be refused without --overwrite.
    assert run("site", *BOTH, "--out", "out", *RAY, "--backend", "openvino") == 0
    assert not before & {row["settings"] for row in rows()}


def test_fleet__prompts_and_paths_that_fail_are_rows_until_they_work(site: Path, ray: InlineRay) -> None:
    (site / "dog").mkdir()
    asked = ("site", "dog", *BOTH, "-p", "dog", "--out", "out", *RAY)
    for _ in range(2):
        assert run(*asked) == 3
        failed = [(row["source"], row["prompt"]) for row in rows() if row["error"] is not None]
        assert sorted(failed, key=str) == [("dog", None), (None, "dog")]
    shutil.copy("site/one.png", "dog/three.png")
    assert run(*asked, "--allow-unknown") == 0
    assert [row["error"] for row in rows()] == [None] * 9


def test_fleet__two_runs_at_once_lose_no_row(site: Path, ray: InlineRay) -> None:
    (site / "out").mkdir()
    place = open_location(str(site / "out"))
    one, other = (FolderResults(place) for _ in range(2))
    for results, name in ((one, "a"), (other, "b")):
        results.add({"source": f"{name}.jpg", "mask": f"{name}.png"})
    other.add_table(
        pyarrow.Table.from_pylist([{"source": "c.jpg", "mask": "c.png", "lines": "c.lines.json"}])
    )
    one.close()
    assert len(rows()) == 3
    other.add({"source": "d.jpg", "error": "damaged"})
    other.close()
    assert [(row["mask"], row["lines"], row["error"]) for row in rows()] == [
        ("a.png", None, None), ("b.png", None, None), ("c.png", "c.lines.json", None), (None, None, "damaged")
    ]  # fmt: skip


def test_fleet__and_plain_runs_keep_one_record(
    site: Path, ray: InlineRay, fake_bundle: FakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    def lines() -> dict[str, Any]:
        return {line["mask"]: line for _, line in read_json_lines("out/manifest.jsonl") if line is not None}

    assert run("site/one.png", *BOTH, "--out", "out", *RAY) == 0
    before, encoded = lines(), fake_bundle.backend.encoded
    assert run("site/one.png", *BOTH, "--out", "out", "--no-index") == 0
    assert (lines(), fake_bundle.backend.encoded) == (before, encoded)
    assert run("site", *BOTH, "--out", "out", "--no-index") == 0
    assert run("site", *BOTH, "--out", "out", *RAY) == 0
    assert (ray.starts, fake_bundle.backend.encoded) == (1, encoded + 1)
    assert {row["mask"]: without_empty_columns(row) for row in rows()} == lines()
    assert len(lines()) == 4


def test_fleet__results_inside_the_photos_folder_are_no_photos(site: Path, ray: InlineRay) -> None:
    for _ in range(2):
        assert run("site", *BOTH, "--out", "site", *RAY, "--overlay") == 0
    assert run("site", *BOTH, "--out", "elsewhere", "--no-index") == 0
    assert len(rows("site")) == len(pictures(site / "elsewhere")) == 4


def test_fleet__a_photo_whose_name_is_no_text_costs_one_line(
    site: Path, ray: InlineRay, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        shutil.copy("site/one.png", os.fsdecode(b"site/bad\xe4.png"))
    except OSError:
        pytest.skip("this system allows no such name")
    assert run("site", *BOTH, "--out", "out") == 0
    capsys.readouterr()
    assert run("site", *BOTH, "--out", "out", *RAY) == 3
    (line,) = errors(capsys)
    assert "its name is not UTF-8 text" in line
    assert sum(row["mask"] is not None for row in rows()) == 6
    assert [row["source"] for row in rows() if row["error"]] == [str(Path("site", r"bad\udce4.png"))]


def test_fleet__a_table_of_something_else_is_left_alone(
    site: Path, ray: InlineRay, capsys: pytest.CaptureFixture[str]
) -> None:
    (site / "out").mkdir()
    parquet.write_table(pyarrow.table({"price": [3]}), "out/results.parquet")
    before = Path("out/results.parquet").read_bytes()
    assert run("site", *BOTH, "--out", "out", *RAY) == 2
    assert "is not a table of results" in errors(capsys)[0]
    assert Path("out/results.parquet").read_bytes() == before


@pytest.mark.parametrize("change", ["photo", "mask gone", "new photo", "new prompt"])
def test_fleet__rerun_does_what_is_new(
    site: Path, ray: InlineRay, fake_bundle: FakeBundle, change: str
) -> None:
    first = BOTH[:2] if change == "new prompt" else BOTH
    assert run("site", *first, "--out", "out", *RAY) == 0
    encoded = fake_bundle.backend.encoded
    if change == "photo":
        Image.fromarray(wall(60, 60)).save("site/one.png")
    if change == "mask gone":
        Path("out/one__segment_crack.png").unlink()
    if change == "new photo":
        shutil.copy("site/one.png", "site/three.png")
    assert run("site", *BOTH, "--out", "out", *RAY, "--overwrite") == 0
    assert fake_bundle.backend.encoded - encoded == (2 if change == "new prompt" else 1)
    keys = [row["mask"] for row in rows()]
    assert len(keys) == len(set(keys)) == (6 if change == "new photo" else 4)
    assert all((site / "out" / key).is_file() for key in keys)


def test_fleet__refuses_other_content_without_overwrite(
    site: Path, ray: InlineRay, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("site/one.png", *BOTH[:2], "--out", "out", *RAY) == 0
    before = pictures(site / "out")
    Image.fromarray(wall(60, 60)).save("site/one.png")
    assert run("site/one.png", *BOTH[:2], "--out", "out", *RAY) == 3
    (line,) = errors(capsys)
    assert "--overwrite" in line
    assert pictures(site / "out") == before
    assert run("site/one.png", *BOTH[:2], "--out", "out", *RAY, "--overwrite") == 0
    assert pictures(site / "out") != before
    assert [row["error"] for row in rows()] == [None]


def test_fleet__a_bad_photo_costs_one_line_and_is_forgotten_once_mended(
    site: Path, ray: InlineRay, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Path("site/two.jpg").read_bytes()
    Path("site/two.jpg").write_bytes(whole[: len(whole) // 2])
    Path("site/zero.jpg").touch()
    assert run("site", *BOTH, "--out", "out", *RAY) == 3
    lines = errors(capsys)
    assert len(lines) == 2
    assert any("two.jpg: the photo is damaged or cut short" in line for line in lines)
    assert any("zero.jpg: the file is empty" in line for line in lines)
    failed = {row["source"]: row for row in rows() if row["error"] is not None}
    assert set(failed) == {str(Path("site/two.jpg")), str(Path("site/zero.jpg"))}
    assert all(row["prompt"] is None and row["mask"] is None for row in failed.values())
    assert sum(row["mask"] is not None for row in rows()) == 2
    Path("site/two.jpg").write_bytes(whole)
    Path("site/zero.jpg").unlink()
    assert run("site", *BOTH, "--out", "out", *RAY) == 0
    assert [row["source"] for row in rows() if row["error"] is not None] == [str(Path("site/zero.jpg"))]


def test_fleet__a_model_that_fails_on_one_photo_fails_that_photo_alone(
    site: Path, ray: InlineRay, fake_bundle: FakeBundle, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    white = np.full((48, 64, 3), 255, np.uint8)
    Image.fromarray(white).save("site/white.png")
    usual, bright = (fake_bundle.window.fit(photo)[0].mean() for photo in (wall(seam=True), white))
    original = fake_bundle.backend.encode_image

    def encode(images: np.ndarray) -> tuple:
        if images.mean() > (usual + bright) / 2:
            raise MemoryError("no room")
        return original(images)

    monkeypatch.setattr(fake_bundle.backend, "encode_image", encode)
    assert run("site", *BOTH, "--out", "out", *RAY) == 3
    (line,) = errors(capsys)
    assert "white.png: it could not be segmented (MemoryError: no room)" in line
    assert sum(row["mask"] is not None for row in rows()) == 4


def test_fleet__what_is_done_is_kept_when_all_workers_fail(
    site: Path, ray: InlineRay, fake_bundle: FakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    ray.fails_after = 1
    assert run("site", *BOTH, "--out", "out", *RAY) == 2
    assert "all workers are gone" in errors(capsys)[0]
    assert len(rows()) == 2
    ray.fails_after = None
    assert run("site", *BOTH, "--out", "out", *RAY) == 0
    assert fake_bundle.backend.encoded == 2
    assert len(rows()) == 4


def test_fleet__a_run_that_was_killed_is_gone_on_with(
    site: Path, ray: InlineRay, fake_bundle: FakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("drywallqa.fleet.results_table.FolderResults.close", lambda self: None)
        assert run("site/one.png", *BOTH, "--out", "out", *RAY) == 0
    assert not Path("out/results.parquet").exists()
    assert run("site", *BOTH, "--out", "out", *RAY) == 0
    assert fake_bundle.backend.encoded == 2
    assert len(rows()) == 4


def test_fleet__json_lines(site: Path, ray: InlineRay, capsys: pytest.CaptureFixture[str]) -> None:
    for status in ("done", "skipped"):
        assert run("site/one.png", *BOTH, "--out", "out", *RAY, "--json") == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [(line["prompt"], line["status"]) for line in lines] == [
            ("segment crack", status),
            ("segment taping area", status),
        ]
        assert "error" not in lines[0]


# Object stores.


@pytest.fixture
def store(site: Path, monkeypatch: pytest.MonkeyPatch) -> fs.FileSystem:
    """A store in memory that answers to `mock://`, with the site's photos in `bucket/photos`."""
    memory = fs._MockFileSystem()
    for path in sorted(site.rglob("site/**/*.*")):
        inner = f"bucket/photos/{path.relative_to(site / 'site').as_posix()}"
        memory.create_dir(inner.rpartition("/")[0])
        with memory.open_output_stream(inner) as stream:
            stream.write(path.read_bytes())

    def opened(text: str) -> Location:
        return Location(memory, text[7:], text) if text.startswith("mock://") else open_location(text)

    for module in (photo_listing, fleet_run):
        monkeypatch.setattr(module, "open_location", opened)
    return memory


def test_store__photos_and_masks(
    store: fs.FileSystem, ray: InlineRay, fake_bundle: FakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("mock://bucket/photos", *BOTH, "--out", "mock://bucket/masks", *RAY)
    assert run(*arguments) == 0
    assert (
        "4 masks in mock://bucket/masks; see mock://bucket/masks/results.parquet" in capsys.readouterr().out
    )
    table = parquet.read_table("bucket/masks/results.parquet", filesystem=store).to_pylist()
    assert {row["source"] for row in table} == {
        "mock://bucket/photos/one.png",
        "mock://bucket/photos/two.jpg",
    }
    with store.open_input_file("bucket/masks/one__segment_crack.png") as stream:
        assert stream.read(4) == b"\x89PNG"
    encoded = fake_bundle.backend.encoded
    assert run(*arguments) == 0
    assert (ray.starts, fake_bundle.backend.encoded) == (1, encoded)


def test_store__results_inside_the_photos_are_no_photos(store: fs.FileSystem, ray: InlineRay) -> None:
    for _ in range(2):
        arguments = ("mock://bucket/photos", "-r", *BOTH, "--out", "mock://bucket/photos/masks", *RAY)
        assert run(*arguments) == 0
    table = parquet.read_table("bucket/photos/masks/results.parquet", filesystem=store).to_pylist()
    assert sorted(row["mask"] for row in table if row["prompt"] == "segment crack") == [
        "one__segment_crack.png",
        "second/one__segment_crack.png",
        "two__segment_crack.png",
    ]


def test_store__a_run_that_was_killed_leaves_parts_that_the_next_takes_in(
    store: fs.FileSystem, ray: InlineRay, fake_bundle: FakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("drywallqa.fleet.results_table._ROWS_OF_A_PART", 1)
        patch.setattr("drywallqa.fleet.results_table.StoreResults.close", lambda self: None)
        assert run("mock://bucket/photos/one.png", *BOTH, "--out", "mock://bucket/masks", *RAY) == 0
    assert in_store(store, "masks/results.parts") != []
    assert run("mock://bucket/photos", *BOTH, "--out", "mock://bucket/masks", *RAY) == 0
    assert fake_bundle.backend.encoded == 2
    table = parquet.read_table("bucket/masks/results.parquet", filesystem=store).to_pylist()
    assert len(table) == 4
    assert in_store(store, "masks/results.parts") == []


def in_store(store: fs.FileSystem, folder: str) -> list[str]:
    found = store.get_file_info(fs.FileSelector(f"bucket/{folder}", allow_not_found=True))
    return [one.path for one in found]


def test_store__prompts_and_paths_that_fail_are_rows_until_they_work(
    store: fs.FileSystem, ray: InlineRay
) -> None:
    asked = ("mock://bucket/photos/dog", "-p", "dog", *BOTH, "--out", "mock://bucket/masks", *RAY, "--lines")
    for _ in range(2):
        assert run("mock://bucket/photos", *asked) == 3
        table = parquet.read_table("bucket/masks/results.parquet", filesystem=store).to_pylist()
        failed = [(row["source"], row["prompt"]) for row in table if row["error"] is not None]
        assert sorted(failed, key=str) == [("mock://bucket/photos/dog", None), (None, "dog")]
    store.copy_file("bucket/photos/one.png", "bucket/photos/dog")
    assert run(*asked, "--allow-unknown") == 0
    table = parquet.read_table("bucket/masks/results.parquet", filesystem=store).to_pylist()
    assert [row["error"] for row in table] == [None] * 7
    assert all(row["lines"] for row in table)


def test_store__missing_and_mixed(
    store: fs.FileSystem, ray: InlineRay, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("mock://bucket/nothing", *BOTH, "--out", "out", *RAY) == 3
    assert "mock://bucket/nothing: no photos found here" in errors(capsys)[0]
    assert run("mock://bucket/photos", "site", *BOTH, "--out", "out", *RAY) == 2
    assert "all on disks or all in one store" in errors(capsys)[0]
    assert ray.starts == 0


# Bad input.


def test_refused__an_address_that_does_not_answer(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert run("site", *BOTH, "--out", "out", *RAY, "--address", f"127.0.0.1:{port}") == 2
    (line,) = errors(capsys)
    assert f"no Ray cluster answers at 127.0.0.1:{port}" in line
    assert run("site", *BOTH, "--out", "out", *RAY, "--address", "nowhere") == 2
    assert "HOST:PORT" in errors(capsys)[0]


def test_refused__ray_is_not_installed(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name == "ray" or name.startswith("ray.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run("site", *BOTH, "--out", "out", *RAY) == 2
    assert "pip install 'drywallqa[fleet]'" in errors(capsys)[0]


def test_refused__an_s3_path_without_credentials(
    site: Path, ray: InlineRay, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(site / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(site / "none"))
    address = "s3://bucket/photos?scheme=http&endpoint_override=127.0.0.1:9&region=us-east-1"
    assert run(address, *BOTH, "--out", "out", *RAY) == 3
    (line,) = errors(capsys)
    assert "bucket/photos: it cannot be read" in line
    assert "set AWS_ACCESS_KEY_ID" in line
    assert run("site", *BOTH, "--out", address, *RAY) == 2
    assert "cannot write results to" in errors(capsys)[0]
    assert ray.starts == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--engine", "spark"), "choose local or ray"),
        (("--workers", "2"), "require --engine ray"),
        (("--address", "auto"), "require --engine ray"),
        ((*RAY, "--workers", "99"), "room for 2"),
    ],
)
def test_refused__usage(
    site: Path, ray: InlineRay, arguments: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("site", *BOTH, "--out", "out", *arguments) == 2
    assert sentence in errors(capsys)[0]


def test_refused__an_unknown_scheme(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ftp://host/photos", *BOTH, "--out", "out", *RAY) == 2
    assert "cannot use the address" in errors(capsys)[0]


def test_labels__are_refused_before_the_run(
    site: Path, ray: InlineRay, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("site", *BOTH, *RAY, "--out", "out", "--format", "coco") == 2
    assert "only with --engine local" in capsys.readouterr().err
    assert not (site / "out").exists()
