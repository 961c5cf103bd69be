"""The list of planted faults is whole, its tools do what they say, and its judge is strict."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the train extra is not installed")

from drywallqa.bundle.bundle import DECODER, DEFAULT, load_bundle
from drywallqa.cli import main
from drywallqa.datasets.dataset import load_dataset
from drywallqa.errors import BundleError
from drywallqa.onnx_session import RuntimeOptions
from planted import sets
from planted.bundles import after_input, before_output, change_graph, change_weights, copy_bundle
from planted.case import Case, UnavailableError
from planted.cases import CASES
from planted.judge import Answer, findings, judge
from planted.truth_cases import dilate

FAULTS = [case for case in CASES if case.severity != "sound"]
PARTS = {"train": 4, "val": 3, "test": 3}


def case(name: str) -> Case:
    return next(c for c in CASES if c.name == name)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of cases whose rendered base is tiny, and whose real base is rendered too."""
    folder = tmp_path_factory.mktemp("planted")
    for name, seed in (("rendered", 1), ("real", 2)):
        sets.shared(folder / "any", name, lambda place, s=seed: sets.render_set(place, PARTS, s, side=96))
    return folder


def build(name: str, work: Path) -> Path:
    """Build a case; returns the folder that it was built in."""
    folder = work / name
    folder.mkdir()
    case(name).build(folder)
    return folder


def test_cases__at_least_24_kinds_at_three_severities_and_five_sound_ones() -> None:
    kinds = Counter((c.kind, c.severity) for c in FAULTS)
    assert len({c.kind for c in FAULTS}) >= 24
    assert set(kinds.values()) == {1}
    assert all(kinds[c.kind, s] == 1 for c in FAULTS for s in ("mild", "clear", "gross"))
    assert len(CASES) - len(FAULTS) >= 5
    assert any("under-trained" in c.kind for c in CASES)


def test_cases__names_are_unique_and_every_target_and_verb_occurs() -> None:
    assert len({c.name for c in CASES}) == len(CASES)
    assert {c.target for c in FAULTS} == {"run", "bundle", "data", "state dict"}
    assert {c.verb for c in FAULTS} == {"diagnose", "audit"}


def test_cases__every_cause_would_be_accepted_by_its_own_patterns() -> None:
    for fault in FAULTS:
        assert any(re.search(pattern, fault.cause, re.I | re.S) for pattern in fault.accept), fault.name


def test_cases__no_cause_is_accepted_for_most_other_kinds() -> None:
    causes = {c.kind: c.cause for c in FAULTS}
    for fault in FAULTS:
        others = [
            kind
            for kind, cause in causes.items()
            if any(re.search(pattern, cause, re.I | re.S) for pattern in fault.accept)
        ]
        assert len(others) <= 8, (fault.name, others)


def test_readme__explains_every_kind() -> None:
    text = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
    missing = [c.kind for c in CASES if f"`{c.kind}`" not in text]
    assert not missing


def test_real__missing_sets_are_a_reason_to_skip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRYWALLQA_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(UnavailableError, match="DRYWALLQA_DATA"):
        sets.real(tmp_path / "case")


def test_base__is_never_changed_by_what_is_planted(work: Path) -> None:
    before = {p: p.read_bytes() for p in (work / "shared").rglob("*") if p.is_file()}
    for name in ("shifted-masks--gross", "truncated-photos--gross", "parts-of-different-resolution--gross"):
        build(name, work)
    assert {p: p.read_bytes() for p in (work / "shared").rglob("*") if p.is_file()} == before


def test_shifted_masks__move_and_keep_their_photo(work: Path) -> None:
    data = load_dataset(build("shifted-masks--clear", work) / "data")
    sound = load_dataset(work / "shared" / "real")
    for sample, was in zip(data, sound, strict=True):
        assert data.photo_path(sample).read_bytes() == sound.photo_path(was).read_bytes()
        for concept in [c for c, path in sample.labels.items() if path]:
            step = round(0.08 * sample.height)
            moved, truth = data.read_mask(sample, concept), sound.read_mask(was, concept)
            assert np.array_equal(moved[step:, step:], truth[:-step, :-step])


def test_test_photos_in_train__are_the_same_bytes_under_another_name(work: Path) -> None:
    data = load_dataset(build("test-photos-in-train--gross", work) / "data")
    tested = {data.photo_path(s).read_bytes() for s in data.part("test")}
    trained = [data.photo_path(s).read_bytes() for s in data.part("train")]
    assert sum(content in tested for content in trained) == PARTS["test"]
    assert not {s.source_photo for s in data.part("train")} & {s.source_photo for s in data.part("test")}


def test_dilate__widens_by_the_radius_on_every_side() -> None:
    mask = np.zeros((21, 21), bool)
    mask[10, 10] = True
    assert dilate(mask, 3).sum() == 49


def test_bundle__an_untouched_copy_is_whole(tmp_path: Path) -> None:
    load_bundle(copy_bundle(tmp_path)).check()


def test_bundle__stale_files_are_refused_and_the_shipped_one_stays_whole(work: Path) -> None:
    with pytest.raises(BundleError, match="SHA-256"):
        load_bundle(build("files-changed--clear", work) / "bundle").check()
    load_bundle(DEFAULT).check()


def outputs(bundle: Path) -> tuple[np.ndarray, np.ndarray]:
    """Logits and presence of one picture under both concepts."""
    loaded = load_bundle(bundle)
    loaded.check()
    backend = loaded.open_backend(RuntimeOptions(threads=1))
    images = np.random.default_rng(0).standard_normal((1, 3, 64, 64)).astype(np.float32)
    prompts = [f"segment {concept}" for concept in loaded.concepts]
    return backend.decode(backend.encode_image(images), backend.encode_prompts(prompts))


def test_change_graph__output_and_input_take_what_is_put_there(tmp_path: Path) -> None:
    bundle = copy_bundle(tmp_path)
    logits, presence = outputs(bundle)
    half = np.array(0.5, np.float32)
    change_graph(bundle, DECODER, lambda graph: before_output(graph, "logits", ("Mul", half)))
    changed, same = outputs(bundle)
    assert np.allclose(changed, logits / 2, atol=1e-4)
    assert np.allclose(same, presence, atol=1e-4)
    zero = np.array(0.0, np.float32)
    change_graph(bundle, DECODER, lambda graph: after_input(graph, "embeddings", ("Mul", zero)))
    deaf, _ = outputs(bundle)
    assert np.allclose(deaf[0, 0], deaf[0, 1])
    assert not np.allclose(changed[0, 0], changed[0, 1])


def test_change_weights__reaches_graphs_and_the_file_for_fine_tuning(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    bundle = copy_bundle(tmp_path)
    change_weights(bundle, ["decoder.mask.weight"], np.zeros_like)
    logits, _ = outputs(bundle)
    assert np.ptp(logits) < 1e-5
    assert not load_file(bundle / "model.safetensors")["decoder.mask.weight"].any()
    with pytest.raises(KeyError):
        change_weights(bundle, ["decoder.nothing"], np.zeros_like)


def answer(*found: dict[str, str], code: int = 1) -> Answer:
    return Answer(code, "", "", {"findings": list(found)})


def test_judge__only_name_and_cause_of_the_first_finding_count() -> None:
    fault = case("wrong-normalisation--mild")
    right = {"name": "input", "cause": "The normalisation is not that of training."}
    wrong = {"name": "threshold", "cause": "It is too high.", "evidence": "normalisation was looked at"}
    assert judge(fault, answer(right, wrong)).outcome == "right"
    assert judge(fault, answer(wrong, right)).outcome == "wrong"
    assert judge(fault, answer(code=0)).outcome == "silent"


def test_judge__a_sound_case_is_accused_by_any_finding_but_a_true_one() -> None:
    young = case("under-trained-run--sound")
    true = {"name": "under-trained", "cause": "Too few steps."}
    false = {"name": "decoder-frozen", "cause": "The decoder was frozen."}
    assert judge(young, answer(true)).outcome == "quiet"
    assert judge(young, answer(true, false)).outcome == "accused"


def test_findings__an_error_is_a_finding_and_silence_is_none() -> None:
    assert findings(Answer(2, "", "error: a.onnx: differs from its SHA-256\n")) == [
        "a.onnx: differs from its SHA-256"
    ]
    assert findings(Answer(0, "23 photos\n", "")) == []
    assert findings(Answer(1, "2 leaks\n", "")) == ["2 leaks"]


def test_score__command_line_builds_and_writes_its_table(work: Path, tmp_path: Path) -> None:
    from planted.score import main as score

    (tmp_path / "work").mkdir()
    (work / "shared").rename(tmp_path / "work" / "shared")
    try:
        assert score(["--out", str(tmp_path), "--only", "repeated-photos--mild", "--build-only"]) == 0
    finally:
        (tmp_path / "work" / "shared").rename(work / "shared")
    assert json.loads((tmp_path / "score.json").read_text())["skipped"] == {"repeated-photos--mild": "built"}
    assert "repeated-photos--mild" in (tmp_path / "table.txt").read_text()
    assert main(["--version"]) == 0
