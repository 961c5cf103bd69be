"""`drywallqa speed`: which cases, what is written, what is compared. No test minds a time."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drywallqa import cli
from drywallqa.bundle.bundle import DEFAULT, HEAD, load_bundle
from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.evaluation import speed_cases, speed_parts
from drywallqa.inference.segmenter import Segmenter
from fakes import FakeBundle, wall

needs_bundle = pytest.mark.skipif(
    not (DEFAULT / HEAD).is_file(), reason="the package has no trained bundle yet"
)
SMALL = ("--side", "64", "--window", "64", "--seconds", "0", "--threads", "1", "--no-clipseg")


def speed(*arguments: object) -> int:
    return cli.main(["speed", *SMALL, *map(str, arguments)])


def test_cases__in_full_and_one_by_one() -> None:
    found = speed_cases.speed_cases(
        load_bundle(), ("a", "b"), ("fp32", "int8"), (320, 448), (1, 5), (1, 4), (1, 2)
    )
    assert len(found) == len(set(found))
    full = [case for case in found if case.batch == 1 and case.threads == speed_cases.available_threads()]
    assert len({(c.backend, c.precision, c.window, c.prompts) for c in full}) == 16
    assert {case.batch for case in found} == {1, 4}
    assert {1, 2} <= {case.threads for case in found}


@needs_bundle
def test_speed__report_plot_and_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = {"loaded_s": 1.0, "first_mask_s": 2.0, "process_s": 3.0, "peak_mb": 100.0}
    monkeypatch.setattr(speed_parts, "cold_start", lambda folder: start)
    assert speed("--out", tmp_path, "--backend", "onnxruntime", "--backend", "abacus", "--prompts", 2) == 0
    shown = capsys.readouterr().out
    assert "unknown backend 'abacus'" in shown
    assert "not measured" in shown, "the quality of another window is not that of the bundle's own"
    report = json.loads((tmp_path / "bench.json").read_text("utf-8"))
    good = [row for row in report["rows"] if row["problem"] is None]
    assert {row["batch"] for row in good if row["bundle"] == "compact"} == {1, 4}
    for row in good:
        assert row["prompts"] == 2
        assert row["p95_ms"] >= row["median_ms"] > 0
        assert row["cpu_ms"] > 0
        assert row["photos_per_second"] == pytest.approx(1e3 / row["median_ms"])
    bad = [row for row in report["rows"] if row["problem"]]
    assert {(row["bundle"], row["median_ms"]) for row in bad} == {("compact", None), ("swift", None)}
    assert {row["bundle"] for row in good} == {"compact", "swift"}
    assert set(report["stages_ms"]) >= {
        "encode",
        "decode under a prompt",
        "resize, normalise, upscale",
        "write the mask",
    }
    assert report["ceiling"]["copy_gb_s"] > 0
    assert report["start"] == start
    with Image.open(tmp_path / "bench.png") as plot:
        assert plot.size[0] > 400
    assert speed("--against", tmp_path / "bench.json", "--prompts", 2, "--batch", 1) == 0
    assert "of the earlier time" in capsys.readouterr().out


@needs_bundle
def test_cold_start__in_a_fresh_process() -> None:
    found = speed_parts.cold_start(None, repeats=1)
    assert 0 < found["loaded_s"] <= found["first_mask_s"] <= found["process_s"]
    assert 20 < found["peak_mb"] < 4000


@pytest.mark.parametrize("content", [None, "{", "[]", '{"rows": []}'])
def test_speed__unusable_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    if content is not None:
        (tmp_path / "old.json").write_text(content)
    assert speed("--against", tmp_path / "old.json") == 2
    assert "cannot compare with" in capsys.readouterr().err


def test_speed__impossible_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert speed("--prompts", 6) == 2
    assert "from 1 to 5" in capsys.readouterr().err
    assert speed("--batch", 0) == 2
    assert cli.main(["bench", "--prompts", "6"]) == 2
    assert "note: 'drywallqa bench' is now 'drywallqa speed'" in capsys.readouterr().err


def test_quality__one_copy_of_each_photograph(tmp_path: Path) -> None:
    """Of two copies the first counts; a photo without the concept does not."""
    samples = []
    for name, source, right in (("a", "one", True), ("b", "one", False), ("c", "two", True)):
        photo = wall()
        truth = (photo[..., 0] > 220) & (photo[..., 1] < 50) if right else np.ones((48, 64), bool)
        Image.fromarray(photo).save(tmp_path / f"{name}.png")
        Image.fromarray(truth.astype(np.uint8) * 255).save(tmp_path / f"{name}-mask.png")
        samples.append(Sample(name, f"{name}.png", "set", source, 48, 64, {"crack": f"{name}-mask.png"}))
    samples.append(Sample("d", "a.png", "set", "three", 48, 64, {"crack": None}))
    found = speed_cases.mean_iou_of(Segmenter(FakeBundle()), Dataset(tmp_path, tuple(samples)), "crack", 10)
    assert found > 0.8
