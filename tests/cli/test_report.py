"""`drywallqa report`, on walls whose cracks are red and whose seams are blue."""

from __future__ import annotations

import html
import importlib.util
import io
import json
import re
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import drywallqa.workflows.evaluate
import drywallqa.workflows.report
from drywallqa.bundle.bundle import Bundle
from drywallqa.cli import main
from measured_walls import load_json, make_bundle, make_dataset

BENCH = {
    "date": "2026-11-25T09:00:00", "machine": "a processor", "cores": 2, "photo": "640×640 px",
    "rows": [
        {"prompts": 1, "batch": 1, "threads": 2, "median_ms": 41.26, "p95_ms": 50.0,
         "photos_per_second": 24.2, "problem": None},
        {"prompts": 1, "batch": 8, "threads": 2, "median_ms": 33.3, "p95_ms": 40.0,
         "photos_per_second": 30.0, "problem": None},
    ],
    "start": {"peak_mb": 187.4, "loaded_s": 0.61, "first_mask_s": 0.9, "process_s": 1.0},
}  # fmt: skip
DIAGNOSIS = {
    "findings": [
        {"name": "threshold-stale", "symptom": "", "evidence": "IoU would be 0.71 at 0.3", "weight": 0.8,
         "cause": "thresholds were chosen for other weights", "remedy": "choose them again",
         "command": "drywallqa evaluate --choose iou"}
    ]
}  # fmt: skip


def weights(path: Path) -> None:
    """Write a tiny safetensors file by hand: two layers, and a counter that is no parameter."""
    head = {
        "encoder.weight": {"dtype": "F16", "shape": [3, 5], "data_offsets": [0, 30]},
        "decoder.weight": {"dtype": "F16", "shape": [7], "data_offsets": [30, 44]},
        "decoder.running_mean": {"dtype": "F16", "shape": [9], "data_offsets": [44, 62]},
    }
    text = json.dumps(head).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(62))


def loading(patch: pytest.MonkeyPatch, known: dict[str, Bundle]) -> None:
    """Make the command line load these bundles, by folder."""
    for module in (drywallqa.workflows.evaluate, drywallqa.workflows.report):
        patch.setattr(module, "load_bundle", lambda path=None: known[str(path)])


@pytest.fixture(scope="module")
def walls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set, a bundle, its evaluations and a report with everything that can be given."""
    folder = tmp_path_factory.mktemp("walls")
    known = make_dataset(folder / "data")
    shown = next(s for s in known.part("test") if s.labels["crack"])
    label = folder / "data" / str(shown.labels["crack"])
    with Image.open(label) as picture:  # a label that lies off, so that there is a failure to show
        shifted = np.roll(np.asarray(picture), 9, axis=0)
    Image.fromarray(shifted).save(label)
    weights(folder / "bundle" / "model.safetensors")
    for name, content in (("bench.json", BENCH), ("diagnosis.json", DIAGNOSIS)):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    given = [
        "--bench",
        str(folder / "bench.json"),
        "--diagnosis",
        str(folder / "diagnosis.json"),
        "--worst",
        "1",
    ]
    with pytest.MonkeyPatch.context() as patch:
        loading(patch, {str(folder / "bundle"): make_bundle(folder / "bundle")})
        assert report(folder / "bundle", folder / "data", folder / "out", *given) == 0
    return folder


@pytest.fixture
def data(walls: Path) -> Path:
    return walls / "data"


@pytest.fixture
def made(walls: Path) -> Path:
    return walls / "out"


@pytest.fixture
def measured(made: Path) -> tuple[str, str]:
    """Options that take an evaluation of the same model instead of making one."""
    return ("--evaluation", str(made / "evaluation" / "test"))


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    known: dict[str, Bundle] = {}
    loading(monkeypatch, known)

    def add(name: str = "bundle", **options: Any) -> Path:
        folder = tmp_path / name
        weights(folder / "model.safetensors")
        known[str(folder)] = make_bundle(folder, **options)
        return folder

    return add


def report(subject: Path, data: Path | None, out: Path | None, *more: str) -> int:
    options = [*(["--data", str(data)] if data else []), *(["--out", str(out)] if out else [])]
    return main(["report", str(subject), "-q", *options, *more])


def quick(subject: Path, data: Path | None, out: Path | None, *more: str) -> int:
    """Without what takes long or needs a real bundle."""
    return report(subject, data, out, "--no-timing", "--no-diagnose", "--worst", "1", *more)


def words(page: str) -> str:
    """The text of a page, without its tags."""
    return " ".join(html.unescape(re.sub(r"<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)).split())


def test_report__has_every_chapter_and_stands_alone(made: Path) -> None:
    page = (made / "report.html").read_text(encoding="utf-8")
    titles = [words(title) for title in re.findall(r'<h2 id="chapter-\d+">(.*?)</h2>', page)]
    assert [title.partition(" ")[2] for title in titles] == [
        "Summary", "Goal", "Approach and parameters", "Models compared", "Data sets and splits",
        "Course of training", "Results per prompt", "Comparison with earlier runs and other models",
        "Strengths and limits", "Failures", "Runtime and footprint", "Next steps", "Reproduction",
    ]  # fmt: skip
    assert not re.findall(r'(?:src|href)="(?!data:image/|#)', page)
    assert "<script" not in page
    pictures = re.findall(r'alt="([^"]*)"', page)
    assert sum("prediction, overlay" in alt for alt in pictures) >= 4, "the four-panel examples"
    assert sum("errors" in alt for alt in pictures) >= 1
    assert all(pictures)


def test_report__figures_are_those_of_the_evaluation(made: Path) -> None:
    found = load_json(made / "evaluation" / "test" / "evaluation.json")
    told = words((made / "report.html").read_text(encoding="utf-8"))
    for entry in found["slices"]:
        if entry["kind"] in ("prompt", "concept"):
            iou = entry["figures"]["IoU"]
            assert f"{iou['value']:.3f} ({iou['low']:.3f}–{iou['high']:.3f})" in told
    for text in ("41.3 ms", "in batches of 8", "30.0", "187 MB", "0.61 s", "15", "22"):
        assert text in told, text
    assert "threshold-stale : IoU would be 0.71 at 0.3. Thresholds were chosen for other weights." in told
    assert found["split"] == "test"


def test_report__every_figure_traces_to_a_file(made: Path, walls: Path) -> None:
    page = (made / "report.html").read_text(encoding="utf-8")
    sources = {
        source
        for line in re.findall(r"<em>Source: (.*?)</em>", page)
        for source in html.unescape(line).split(", ")
    }
    assert len(sources) > 8
    missing = [
        source
        for source in sources
        if not (made / source).exists()
        and not (walls / source).exists()
        and not (walls / source.rpartition("/")[2]).exists()
        and source != "the package's registry of models"
    ]
    assert not missing
    tables = re.split(r"<table[^>]*>", page)[1:]
    assert len(tables) > 10
    assert all("Source: " in re.sub(r"<h\d.*", "", table, flags=re.DOTALL) for table in tables)


def test_report__markdown_and_pdf_say_the_same(made: Path) -> None:
    pypdf = pytest.importorskip("pypdf")
    text = (made / "report.md").read_text(encoding="utf-8")
    linked = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert len(linked) > 10
    for name in linked:
        with Image.open(made / name) as picture:
            assert min(picture.size) > 20
    assert sorted(linked) == sorted(
        f"report-pictures/{path.name}" for path in (made / "report-pictures").iterdir()
    )
    pages = pypdf.PdfReader(io.BytesIO((made / "report.pdf").read_bytes())).pages
    printed = " ".join(" ".join(page.extract_text() for page in pages).split())
    value = load_json(made / "evaluation" / "test" / "evaluation.json")["slices"][0]["figures"]["IoU"][
        "value"
    ]
    for form in (text, printed):
        assert f"{value:.3f}" in form
        assert "Next steps" in form
        assert "not measured" in form


def test_report__what_was_not_measured_says_so(data, use, walls, tmp_path) -> None:
    given = ("--evaluation", str(walls / "out" / "evaluation" / "val"), "--format", "html")
    assert quick(use(), data, tmp_path / "out", *given) == 0
    told = words((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert "Time per image and peak memory: not measured" in told
    assert "Diagnosis: not measured" in told
    assert "training not measured" in told
    assert "Not measured: no evaluation of an earlier run" in told
    assert "so these metrics are slightly too good" in told, "val decides the thresholds"
    assert not (tmp_path / "out" / "report.pdf").exists()


def test_report__measures_again_only_what_changed(data, use, tmp_path) -> None:
    bundle, out = use(), tmp_path / "out"
    options = ("--split", "test", "--format", "html")
    result = out / "evaluation" / "test" / "evaluation.json"
    assert quick(bundle, data, out, *options) == 0
    first = result.stat().st_mtime_ns
    assert quick(bundle, data, out, *options) == 0
    assert result.stat().st_mtime_ns == first
    head = bundle / "bundle.json"
    head.write_text(head.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert quick(bundle, data, out, *options) == 0
    assert result.stat().st_mtime_ns > first


def test_report__other_models_stand_beside_it(data, use, measured, made, tmp_path) -> None:
    other = tmp_path / "earlier"
    shutil.copytree(made / "evaluation" / "test", other)
    changed = load_json(other / "evaluation.json")
    changed["model"] = "clipseg 7"
    next(s for s in changed["slices"] if s["kind"] == "concept")["figures"]["IoU"]["value"] = 0.123
    (other / "evaluation.json").write_text(json.dumps(changed), encoding="utf-8")
    options = (*measured, "--against", str(other), "--format", "html")
    assert quick(use(), data, tmp_path / "out", *options) == 0
    told = words((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert "clipseg 7 crack 0.123" in told
    assert "measured, see below" in told


def run_folder(folder: Path) -> Path:
    """A run that trained for 60 s, was stopped, lay for an hour, and trained for 30 s more."""
    folder.mkdir()
    (folder / "config.yaml").write_text("seed: 3\nmodel: {name: compact}\noptimisation: {epochs: 2}\n")
    (folder / "environment.json").write_text('{"torch": "2.9", "threads": 2, "photos": {"train": 90}}')
    moments = [
        ("12:00:00", "start", {"step": 0}), ("12:00:30", "step", {"step": 10, "loss/mask": 1.9, "rate": 1e-3,
                                                                 "photos_per_second": 8.0}),
        ("12:01:00", "stop", {}), ("13:00:00", "start", {"step": 10}),
        ("13:00:20", "step", {"step": 20, "loss/mask": 0.7, "rate": 5e-4, "photos_per_second": 8.0}),
        ("13:00:25", "validation", {"step": 20, "val/crack/iou": 0.31, "val/iou": 0.31}),
        ("13:00:28", "alarm", {"step": 20, "finding": "collapse-background", "evidence": "all of it"}),
        ("13:00:30", "end", {}),
    ]  # fmt: skip
    lines = [
        json.dumps({"time": f"2026-11-25T{time}+0000", "event": event, "text": "", **figures})
        for time, event, figures in moments
    ]
    torn = '{"time": "torn'  # by a kill in its midst, after which the run went on, and once more
    (folder / "log.jsonl").write_text("\n".join([*lines[:2], torn, *lines[2:], torn]), encoding="utf-8")
    Image.new("RGB", (64, 64), (90, 90, 90)).save(folder / "batch.png")
    return folder


def evaluation_of(name: str, made: Path, out: Path) -> Path:
    """An evaluation that a model of that name might have left."""
    shutil.copytree(made / "evaluation" / "test", out)
    found = load_json(out / "evaluation.json")
    (out / "evaluation.json").write_text(json.dumps({**found, "model": name}), encoding="utf-8")
    return out


def test_report__of_a_run_tells_its_course(made, tmp_path) -> None:
    pytest.importorskip("yaml")
    run = run_folder(tmp_path / "first")
    evaluation = evaluation_of("run first", made, tmp_path / "measured")
    assert quick(run, None, None, "--evaluation", str(evaluation)) == 0
    page = (run / "report" / "report.html").read_text(encoding="utf-8")
    told = words(page)
    assert "20 steps, 90 s of training" in told or "20 steps, 2 minutes of training" in told
    assert "resumed once" in told
    assert "collapse-background" in told
    assert "epochs: 2" in told
    assert "seed 3" in told
    assert "<em>Source: first/log.jsonl</em>" in page
    names = {path.name for path in (run / "report" / "report-pictures").iterdir()}
    assert {"first-losses.png", "first-rates.png", "first-validations.png", "first-batch.jpg"} <= names


def test_report__a_bundle_with_the_run_behind_it(data, use, measured, tmp_path) -> None:
    pytest.importorskip("yaml")
    run = run_folder(tmp_path / "first")
    options = ("--run", str(run), *measured, "--format", "md")
    assert quick(use(), data, tmp_path / "out", *options) == 0
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "first/log.jsonl" in text
    assert "drywallqa export first" in text


def test_report__prompts_are_words_and_no_markup(data, use, tmp_path) -> None:
    prompt = "segment <b>crack</b> `in` | **this** wall"
    options = ("--split", "test", "--prompt", prompt, "--prompt", "segment taping area")
    assert quick(use(), data, tmp_path / "out", *options) == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<b>" not in page
    told = words(page).replace("'", "`").replace("* *", "**")
    assert prompt in told
    rows = [
        line for line in (tmp_path / "out" / "report.md").read_text("utf-8").splitlines() if "crack" in line
    ]
    assert not [row for row in rows if row.startswith("|") and "<b>" in row.replace("\\<", "")]


def test_report__leaks_are_refused_or_loud(data, use, tmp_path, capsys) -> None:
    from drywallqa.datasets import dataset as datasets

    bundle = use(trained_on=datasets.load_dataset(data).part("test"))
    assert quick(bundle, data, tmp_path / "out", "--split", "test") == 1
    assert "are copies of photos that" in capsys.readouterr().err
    assert quick(bundle, data, tmp_path / "out", "--split", "test", "--allow-leak", "--format", "html") == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    summary = page[page.index('id="chapter-1"') : page.index('id="chapter-2"')]
    assert "<blockquote>" in summary
    assert "LEAK" in summary
    assert "every metric is too optimistic" in words(page)


def bad_inputs(data: Path, made: Path, use: Any, tmp_path: Path) -> dict[str, tuple[list[str], str]]:
    """What a user may get wrong → (arguments, what the message names)."""
    bundle, out = str(use()), str(tmp_path / "out")
    other = evaluation_of("somebody else", made, tmp_path / "other")
    stale = evaluation_of("colours 1", made, tmp_path / "stale")
    found = load_json(stale / "evaluation.json")
    found["questions"][0]["threshold"] = 0.91
    (stale / "evaluation.json").write_text(json.dumps(found), encoding="utf-8")
    torn, foreign = tmp_path / "torn", tmp_path / "foreign"
    for folder, content in ((torn, '{"model": '), (foreign, '{"slices": []}')):
        folder.mkdir()
        (folder / "evaluation.json").write_text(content)
    (tmp_path / "empty").mkdir()
    given = ["report", bundle, "--out", out, "--no-timing", "--no-diagnose", "-q"]
    taken = ["--evaluation", str(made / "evaluation" / "test")]
    return {
        "neither run nor bundle": (["report", str(tmp_path / "empty")], "neither a bundle"),
        "no place": (["report", bundle, "--data", str(data)], "--out"),
        "nothing to measure": (given, "--data"),
        "another model": ([*given, "--evaluation", str(other)], "somebody else"),
        "other thresholds": ([*given, "--evaluation", str(stale)], "0.91"),
        "torn": ([*given, "--evaluation", str(torn)], "as JSON"),
        "foreign": ([*given, "--evaluation", str(foreign)], "not an evaluation"),
        "no evaluation": ([*given, "--evaluation", str(tmp_path / "empty")], "contains no evaluation.json"),
        "no run": ([*given, "--data", str(data), "--run", str(tmp_path / "empty")], "not a training run"),
        "format": ([*given, "--data", str(data), "--format", "docx"], "docx"),
        "bench": ([*given, *taken, "--bench", "no.json"], "no.json"),
    }  # fmt: skip


def test_report__bad_input_is_one_sentence(data, made, use, tmp_path, capsys) -> None:
    for name, (arguments, named) in bad_inputs(data, made, use, tmp_path).items():
        capsys.readouterr()
        assert main(arguments) == 2, name
        told = capsys.readouterr().err
        assert told.startswith("error: "), name
        assert told.count("\n") == 1, name
        assert named in told, (name, told)
    assert quick(use(), data, tmp_path / "out", "--split", "nowhere") == 3
    assert "nowhere" in capsys.readouterr().err


def test_report__without_the_optional_part_there_is_no_pdf(
    data, use, measured, tmp_path, capsys, monkeypatch
) -> None:
    whole = importlib.util.find_spec

    def without(name: str, *more: Any) -> Any:
        return None if name == "reportlab" else whole(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    bundle, out = use(), tmp_path / "out"
    assert quick(bundle, data, out, *measured, "--format", "pdf") == 2
    assert "drywallqa[report]" in capsys.readouterr().err
    assert quick(bundle, data, out, *measured) == 0
    assert "skipped: the report as PDF" in capsys.readouterr().out
    assert (out / "report.html").is_file()
    assert not (out / "report.pdf").exists()
