"""`drywallqa evaluate`, on walls whose cracks are red and whose seams are blue."""

import csv
import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import drywallqa.workflows.evaluate
from drywallqa.bundle.bundle import Bundle, load_bundle
from drywallqa.cli import main
from drywallqa.datasets import dataset as datasets
from measured_walls import ColourBackend, SpeckledBackend, load_json, make_bundle, make_dataset


@pytest.fixture
def data(tmp_path: Path) -> Path:
    make_dataset(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make the command line load these bundles, by folder."""
    known: dict[str, Bundle] = {}

    def add(name: str = "bundle", **options: object) -> Path:
        folder = tmp_path / name
        known[str(folder)] = make_bundle(folder, **options)
        return folder

    def load(path: Path | None = None) -> Bundle:
        return known[str(path)]

    monkeypatch.setattr(drywallqa.workflows.evaluate, "load_bundle", load)
    return add


def run(data: Path, model: Path, *more: str) -> int:
    return main(["evaluate", "--data", str(data), "--model", str(model), "-q", *more])


def test_evaluate__writes_table_json_csv_and_pictures(data, use, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    assert run(data, use(), "--out", str(out)) == 0
    told = capsys.readouterr().out
    assert "crack, prompt: segment crack" in told
    assert "taping area, setting: B" in told
    found = load_json(out / "evaluation.json")
    crack = next(s for s in found["slices"] if (s["kind"], s["concept"]) == ("concept", "crack"))
    assert (crack["pairs"], crack["absent_pairs"]) == (4, 5)
    figures = crack["figures"]
    assert figures["IoU"]["photographs"] == 3  # two of the four are copies of one photograph
    assert 0.8 < figures["IoU"]["low"] <= figures["IoU"]["value"] <= figures["IoU"]["high"] <= 1
    assert figures["false alarms"]["value"] == 0
    assert figures["clDice"]["value"] > 0.9
    assert figures["pixel accuracy of all background"]["value"] < figures["pixel accuracy"]["value"]
    assert sum(crack["counts"].values()) == 9 * 96 * 96
    rows = list(csv.DictReader(io.StringIO((out / "pairs.csv").read_text())))
    assert len(rows) == 18
    assert all(row["iou"] == "" for row in rows if row["absent"] == "1")
    for name in ("confusion", "precision-recall__segment_crack", "calibration__segment_crack"):
        with Image.open(out / "pictures" / f"{name}.png") as picture:
            assert min(picture.size) > 150
    assert {panel["kind"] for panel in load_json(out / "panels" / "panels.json")} >= {"example", "prompts"}
    assert (out / "failures" / "segment_taping_area.png").is_file()
    assert (out / "failures" / "to-labelling.csv").read_text().startswith("photo,set,image_id")


def test_evaluate__without_matplotlib_only_the_charts_are_missing(
    data, use, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as where it is not installed
    out = tmp_path / "out"
    assert run(data, use(), "--out", str(out), "--worst", "0") == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "no charts" in line]
    assert "drywallqa[report]" in line
    assert (out / "evaluation.json").is_file()
    assert (out / "panels" / "panels.json").is_file()
    assert not (out / "pictures").exists()


def test_evaluate__existing_results_stay_unless_told(data, use, tmp_path, capsys) -> None:
    model, out = use(), tmp_path / "out"
    assert run(data, model, "--out", str(out), "--worst", "0") == 0
    before = (out / "evaluation.json").read_bytes()
    assert run(data, model, "--out", str(out), "--worst", "0") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (out / "evaluation.json").read_bytes() == before
    assert run(data, model, "--out", str(out), "--worst", "0", "--overwrite") == 0


@pytest.mark.parametrize(("scale", "least"), [(1.0, 9), (0.6, 6)])
def test_evaluate__training_photos_saved_anew_are_refused(
    data, use, tmp_path, capsys, scale: float, least: int
) -> None:
    """At 58 px a photo is hardly larger than its thumbnail, so not every one is known again."""
    known = datasets.load_dataset(data)
    model = use(trained_on=known.part("train"))
    assert run(data, model) == 0, "the test photos are others"
    leaking = tmp_path / "leaking"
    samples = []
    for sample in known.part("train"):
        photo = Image.fromarray(known.read_photo(sample))
        size = (round(photo.width * scale), round(photo.height * scale))
        path = Path(sample.photo).with_suffix(".jpg")
        (leaking / path).parent.mkdir(parents=True, exist_ok=True)
        photo.resize(size, Image.Resampling.LANCZOS).save(leaking / path, quality=60)
        new = datasets.replace(
            sample, photo=path.as_posix(), split="test", image_id=f"new-{sample.image_id}",
            source_photo=f"new-{sample.image_id}", width=size[0], height=size[1],
            labels=dict.fromkeys(sample.labels),
        )  # fmt: skip
        samples.append(new)
    datasets.save_dataset(datasets.Dataset(leaking, tuple(samples), known.concepts))
    capsys.readouterr()
    assert run(leaking, model) == 1
    found = re.search(r"(\d+) of 9 photos are copies of photos", capsys.readouterr().err)
    assert found
    assert int(found[1]) >= least
    out = tmp_path / "out"
    assert run(leaking, model, "--allow-leak", "--out", str(out), "--worst", "1") == 0
    assert "note: LEAK" in capsys.readouterr().out
    assert load_json(out / "evaluation.json")["notes"][0].startswith("LEAK")
    assert "LEAK" in (out / "figures.csv").read_text().splitlines()[1]
    assert "LEAK" in (out / "table.txt").read_text()
    rows = csv.DictReader(io.StringIO((out / "pairs.csv").read_text()))
    assert sum(int(row["trained_on"]) for row in rows) == 2 * int(found[1])


def test_evaluate__two_models_are_compared_on_the_same_pairs(data, use, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    wide = use("wide", backend=ColourBackend(shift=7.0))
    assert run(data, use(), "--against", str(wide), "--out", str(out), "--worst", "0") == 0
    assert " minus " in capsys.readouterr().out
    found = load_json(out / "evaluation.json")["against"]["differences"]
    crack = next(d for d in found if (d["kind"], d["concept"]) == ("concept", "crack"))["figures"]
    assert crack["IoU"]["low"] > 0
    assert crack["false alarms"]["value"] <= 0


def test_evaluate__same_model_differs_by_nothing(data, use, tmp_path) -> None:
    out = tmp_path / "out"
    model = use()
    assert run(data, model, "--against", str(model), "--out", str(out), "--worst", "0") == 0
    for each in load_json(out / "evaluation.json")["against"]["differences"]:
        for figure in each["figures"].values():
            assert (figure["value"], figure["low"] or 0, figure["high"] or 0) == (0, 0, 0)


def test_evaluate__metrics_go_into_the_bundle_only_with_write(data, use) -> None:
    model = use()
    before = (model / "bundle.json").read_bytes()
    assert run(data, model) == 0
    assert not (model / "metrics.json").exists()
    assert (model / "bundle.json").read_bytes() == before
    assert run(data, model, "--write") == 0
    assert load_json(model / "metrics.json")["split"] == "test"
    load_bundle(model).check()
    assert "metrics.json" in load_bundle(model).files


def test_evaluate__chosen_thresholds_come_from_validation_and_are_stored(data, use) -> None:
    model = use()
    assert run(data, model, "--choose", "recall=0.95", "--write") == 0
    high = load_bundle(model).concepts["crack"].threshold
    assert run(data, model, "--choose", "precision=0.5", "--write") == 0
    low = load_bundle(model).concepts["crack"].threshold
    assert 0 < low < high < 1


@pytest.mark.parametrize("rule", ["recall=2", "best", "precision="])
def test_evaluate__an_impossible_rule_is_wrong_usage(data, use, capsys, rule: str) -> None:
    assert run(data, use(), "--choose", rule) == 2
    assert "recall=0.9" in capsys.readouterr().err


def test_evaluate__measured_on_validation_says_so(data, use, capsys) -> None:
    assert run(data, use(), "--split", "val") == 0
    assert "note: the thresholds were chosen on the measured split 'val'" in capsys.readouterr().out


def test_evaluate__an_unknown_prompt_is_refused(data, use, capsys) -> None:
    assert run(data, use(), "--prompt", "segment dog") == 2
    assert "segment dog" in capsys.readouterr().err


def test_evaluate__a_model_without_the_concepts_is_refused(data, use, capsys) -> None:
    assert run(data, use(concepts=("stain",))) == 3
    error = capsys.readouterr().err
    assert "'crack' and 'taping area'" in error
    assert "'stain'" in error


def test_evaluate__an_empty_split_is_refused(data, use, capsys) -> None:
    assert run(data, use(), "--split", "holdout") == 3
    assert "no photo in split 'holdout'" in capsys.readouterr().err


def test_evaluate__single_bad_photos_are_counted_and_told(data, use, tmp_path, capsys) -> None:
    known = datasets.load_dataset(data)
    test = [s for s in known.part("test") if s.labels["crack"]]
    (data / test[0].labels["crack"]).unlink()
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(data / test[1].labels["crack"])
    Image.new("RGB", (50, 40)).save(data / test[2].photo)
    out = tmp_path / "out"
    assert run(data, use(), "--out", str(out), "--worst", "0") == 3
    assert "note: 3 of 9 photos were skipped" in capsys.readouterr().out
    skipped = load_json(out / "evaluation.json")["skipped_photos"]
    reasons = " ".join(entry["reason"] for entry in skipped)
    for word in ("cannot be read", "10×10", "50×40"):
        assert word in reasons


def test_evaluate__nan_logits_cost_one_photo_or_everything(data, use, capsys) -> None:
    assert run(data, use("one", backend=ColourBackend(broken=(1,)))) == 3
    assert "1 of 9 photos were skipped" in capsys.readouterr().out
    assert run(data, use("all", backend=ColourBackend(broken=tuple(range(99))))) == 3
    assert "no photo could be measured" in capsys.readouterr().err


def test_evaluate__a_damaged_bundle_is_refused(data, use, capsys) -> None:
    model = use()
    (model / "weights.bin").write_bytes(b"others")
    assert run(data, model) == 2
    assert "SHA-256" in capsys.readouterr().err


def test_evaluate__what_is_no_model_is_refused(data, tmp_path, capsys) -> None:
    assert run(data, tmp_path) == 2
    assert "neither a bundle" in capsys.readouterr().err


def test_evaluate__what_thresholds_were_chosen_from_is_drawn_and_kept(data, use, tmp_path) -> None:
    model, out = use(), tmp_path / "out"
    rules = ["--choose", "percentile=90", "--choose-presence", "recall=0.9"]
    assert run(data, model, *rules, "--out", str(out), "--worst", "0", "--write") == 0
    for kind in ("threshold", "presence"):
        with Image.open(out / "pictures" / f"chosen-{kind}__segment_crack.png") as picture:
            assert min(picture.size) > 150
    how = load_bundle(model).metrics["thresholds"]
    chosen, crack = how["whole"]["crack"], load_bundle(model).concepts["crack"]
    assert (how["split"], chosen["mask"], chosen["presence"]) == ("val", "percentile=90", "recall=0.9")
    assert chosen["threshold"] == crack.threshold
    assert chosen["presence_threshold"] == crack.presence_threshold
    assert "percentile=90" in str(load_json(model / "bundle.json")["metrics"])


def test_evaluate__a_refinement_changes_the_masks_that_are_measured(data, use, tmp_path) -> None:
    found = {}
    for name in ("none", "morphology", "guided"):
        out = tmp_path / name
        model = use(backend=SpeckledBackend())
        assert run(data, model, "--refine", name, "--out", str(out), "--worst", "0") == 0
        found[name] = load_json(out / "evaluation.json")
        assert {question["refine"] for question in found[name]["questions"]} == {name}
    counts = [str([s["counts"] for s in each["slices"]]) for each in found.values()]
    assert len(set(counts)) == 3


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (
            ["--choose-presence", "percentile=95"],
            2,
            "presence thresholds can be chosen by iou, recall or precision",
        ),
        (["--choose", "percentile=100"], 2, "is not a threshold rule"),
        (["--refine", "sharpen"], 2, "unknown refinement 'sharpen'"),
        (["--against", "nowhere"], 2, "nowhere is neither a bundle"),
        (["--set", "nowhere"], 3, "no set ['nowhere']"),
    ],
)
def test_evaluate__wrong_options_are_one_sentence(data, use, capsys, options, code, words) -> None:
    assert run(data, use(), *options) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_evaluate__nothing_to_choose_on_is_refused(use, tmp_path, capsys) -> None:
    make_dataset(tmp_path / "data", splits=("train", "test"))
    assert run(tmp_path / "data", use(), "--choose", "iou") == 3
    assert "no photo in split 'val', which is needed to choose thresholds" in capsys.readouterr().err


def test_evaluate__no_data_set_and_a_torn_manifest_are_refused(data, use, tmp_path, capsys) -> None:
    assert run(tmp_path / "nothing", use()) == 3
    assert "not a data set" in capsys.readouterr().err
    (data / "manifest.jsonl").write_text('{"image_id": ')
    assert run(data, use()) == 3
    assert "manifest.jsonl, line 1" in capsys.readouterr().err


def test_evaluate__all_masks_missing_is_no_figure_at_all(data, use, tmp_path, capsys) -> None:
    for mask in (data / "masks").iterdir():
        mask.unlink()
    only = datasets.load_dataset(data)
    datasets.save_dataset(only.with_samples(s for s in only if any(s.labels.values())))
    assert run(data, use(), "--out", str(tmp_path / "out")) == 3
    assert "no photo could be measured" in capsys.readouterr().err
    assert not (tmp_path / "out" / "evaluation.json").exists()
