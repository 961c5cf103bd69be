"""From nothing to a bundle that segments, through the command line, on rendered pictures."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning", reason="the train extra is not installed")

from drywallqa.bundle.bundle import DEFAULT, HEAD, load_bundle
from drywallqa.cli import UNFORESEEN, main
from drywallqa.errors import BundleError
from drywallqa.onnx_session import RuntimeOptions
from tiny_runs import assert_same_weights

TINY = [
    "data.window=64",
    "data.photos_per_epoch=4",
    "data.workers=0",
    "data.phrases=30",
    "optimisation.batch_size=2",
    "optimisation.epochs=1",
    "validation_window=64",
    "model.width=16",
    "model.pretrained=false",
    "threads=1",
]


def settings(*more: str) -> list[str]:
    return [part for setting in (*TINY, *more) for part in ("--set", setting)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    assert main(["data", "render", str(folder), "--count", "10", "--seed", "1"]) == 0
    assert main(["data", "render", str(folder), "--count", "16", "--set", "v", "--split", "val"]) == 0
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "--data", str(data), "--out", str(folder), "-q", *settings()]) == 0
    return folder


@pytest.fixture(scope="module")
def bundle(data: Path, run: Path) -> Path:
    folder = run.parent / "bundle"
    verb = ["export", str(run), "--data", str(data), "--out", str(folder), "--window", "64"]
    assert main(verb) == 0
    return folder


def test_train__leaves_what_a_run_needs(run: Path) -> None:
    for name in (
        "config.yaml",
        "environment.json",
        "last.ckpt",
        "last.safetensors",
        "text/understanding.json",
    ):
        assert (run / name).is_file(), name


def test_train__existing_run_is_refused(run: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", str(data), "--out", str(run), *settings()]) == 2
    assert "--resume" in capsys.readouterr().err


def test_train__a_resumed_run_ends_where_the_undisturbed_one_does(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drywallqa.sampling.pairs import TrainingPairs

    def train(name: str, *more: str) -> int:
        return main(["train", "--data", str(data), "--out", str(tmp_path / name), "-q", *more])

    three = settings("optimisation.epochs=3")
    assert train("whole", *three) == 0
    original = TrainingPairs.__getitem__

    def power_cut(self: TrainingPairs, index: int) -> object:
        if self.epoch == 1:
            raise RuntimeError("power cut")
        return original(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingPairs, "__getitem__", power_cut)
        patch.setenv("DRYWALLQA_TRACEBACK", "1")
        assert train("cut", *three) == UNFORESEEN
    assert train("cut", "--resume") == 0
    assert_same_weights(tmp_path / "whole", tmp_path / "cut")


def test_train__no_validation_part_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "render", str(tmp_path / "d"), "--count", "2"]) == 0
    assert main(["train", "--data", str(tmp_path / "d"), "--out", str(tmp_path / "r"), *settings()]) == 3
    assert "no photo in split 'val'" in capsys.readouterr().err


def test_train__unknown_model_suggests_the_nearest(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verb = ["train", "--data", str(data), "--out", str(tmp_path / "r"), "--model", "compcat", *settings()]
    assert main(verb) == 2
    assert "'compact'" in capsys.readouterr().err


def test_export__bundle_is_whole_and_runs(bundle: Path, data: Path, tmp_path: Path) -> None:
    loaded = load_bundle(bundle)
    loaded.check()
    assert set(loaded.concepts) == {"crack", "taping area"}
    assert len(loaded.training_hashes) > 5
    assert loaded.metrics["val"]["crack"]["pairs"] > 0
    card = (bundle / "MODEL_CARD.md").read_text()
    assert "It finds what it was shown" in card
    assert "What it learnt from" not in card  # nobody has said
    photo = next((data / "photos" / "v").iterdir())
    out = tmp_path / "out"
    verb = [
        "segment",
        str(photo),
        "--prompt",
        "hairline crack",
        "--model",
        str(bundle),
        "--out",
        str(out),
        "-q",
    ]
    assert main(verb) == 0
    assert (out / f"{photo.stem}__hairline_crack.png").is_file()


def test_export__backend_equals_torch_on_a_photo(bundle: Path, run: Path) -> None:
    import torch

    from drywallqa.models import registry
    from drywallqa.models.torch_backend import TorchBackend
    from drywallqa.training.checkpoints import read_weights

    loaded = load_bundle(bundle)
    model = registry.create_model(loaded.name, **loaded.architecture)
    model.load_state_dict(read_weights(run)[1])
    image = np.random.default_rng(0).normal(size=(2, 3, 64, 96)).astype(np.float32)
    onnx, reference = (
        loaded.open_backend(RuntimeOptions(threads=1)),
        TorchBackend(model.eval(), loaded.text.embed),
    )
    embeddings = onnx.encode_prompts(["crack", "taping area", "fissure"])
    with torch.no_grad():
        expected = reference.decode(reference.encode_image(image), embeddings)
    got = onnx.decode(onnx.encode_image(image), embeddings)
    for mine, theirs in zip(got, expected, strict=True):
        assert mine.shape == theirs.shape
        assert np.abs(mine - theirs).max() < 0.02 * max(1, np.abs(theirs).max())


@pytest.mark.parametrize("name", ["decoder.onnx", "understanding.json"])
def test_bundle__a_changed_file_is_refused(bundle: Path, tmp_path: Path, name: str) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    (copy / name).write_bytes((copy / name).read_bytes() + b"x")
    with pytest.raises(BundleError, match=r"SHA-256"):
        load_bundle(copy).check()


def test_bundle__damaged_head_is_refused(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / HEAD).write_text("{")
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(tmp_path)
    with pytest.raises(BundleError, match="not a bundle"):
        load_bundle(tmp_path / "nowhere")
    other = (bundle / HEAD).read_text().replace('"format_version": 1', '"format_version": 99')
    (tmp_path / HEAD).write_text(other)
    with pytest.raises(BundleError, match="format 99"):
        load_bundle(tmp_path)


def test_export__existing_folder_is_refused(
    bundle: Path, run: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (bundle / HEAD).read_bytes()
    assert main(["export", str(run), "--data", str(data), "--out", str(bundle)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (bundle / HEAD).read_bytes() == before


def test_export__another_text_side_takes_the_place_of_the_own(
    bundle: Path, run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.md").write_text("- photos of our hall 3\n")
    verb = ["export", str(run), "--data", str(data), "--window", "64", "--text", str(DEFAULT)]
    verb += ["--notes", str(tmp_path / "notes.md")]
    assert main([*verb, "--out", str(tmp_path / "b"), "--caution", "crack=1"]) == 0
    made, plain = load_bundle(tmp_path / "b"), load_bundle(bundle)
    made.check()
    assert "## What it learnt from\n\n- photos of our hall 3" in (made.folder / "MODEL_CARD.md").read_text()
    assert set(made.text.concepts) == set(made.concepts) == set(plain.concepts)
    assert made.concepts["crack"].presence_threshold >= plain.concepts["crack"].presence_threshold
    again = ["export", str(bundle), "--data", str(data), "--out", str(tmp_path / "again"), "--text"]
    assert main([*again, str(bundle)]) == 0
    assert load_bundle(tmp_path / "again").text.understand("segment the crack") == "crack"

    foreign = tmp_path / "foreign"
    shutil.copytree(bundle, foreign)
    (foreign / "text_space.npz").write_bytes(b"another")
    capsys.readouterr()
    assert main([*again[:-2], str(tmp_path / "c"), "--text", str(foreign)]) == 2
    assert "another text space" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
    assert main([*verb, "--out", str(tmp_path / "d"), "--caution", "socket=0.5"]) == 2
    assert '"socket" is not a concept' in capsys.readouterr().err
    for wrong in ("crack", "crack=2", "=0.5", "crack=much"):
        assert main([*verb, "--out", str(tmp_path / "d"), "--caution", wrong]) == 2
        assert "crack=0.75" in capsys.readouterr().err
    assert main([*verb[:-1], str(tmp_path / "none.md"), "--out", str(tmp_path / "d")]) == 2
    assert "cannot read --notes" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_benchmark__prints_and_writes_figures(
    bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same code as for the fixed split, on rendered pictures under other set names."""
    pytest.importorskip("skimage", reason="its pictures are the ones that are no walls")
    from drywallqa.datasets import dataset

    known = dataset.load_dataset(data)
    renamed = [dataset.replace(s, set_name=s.set_name.replace("rendered", "walls")) for s in known]
    both = ("crack", "taping area")
    alone = [s for s in renamed if sum(s.labels[c] is not None for c in both) == 1]
    dataset.save_dataset(dataset.replace(known.with_samples(alone), folder=data))
    try:
        verb = [
            "benchmark",
            "--data",
            str(data),
            "--model",
            str(bundle),
            "--split",
            "val",
            "--composites",
            "3",
        ]
        assert main([*verb, "--json", str(tmp_path / "b.json")]) == 0
    finally:
        dataset.save_dataset(known)
    told = capsys.readouterr().out
    for word in ("IoU of the baselines", "composites", "no walls", "wrong prompt", "before it was pasted"):
        assert word in told
    kept = json.loads((tmp_path / "b.json").read_text())["composites"]
    assert kept["crack"]["other_before"] is None
    assert 0 <= kept["taping area"]["other_before"] <= 1


@pytest.mark.skipif(not (DEFAULT / HEAD).is_file(), reason="the bundled model is not here")
def test_train__fine_tunes_the_bundle_to_a_new_concept(data: Path, tmp_path: Path) -> None:
    from drywallqa.datasets import dataset

    known = dataset.load_dataset(data)
    stained = [
        dataset.replace(s, labels={"water stain": s.labels["crack"] or s.labels["taping area"]})
        for s in known
    ]
    concepts = {"water stain": ("water stain", "damp patch on the wall")}
    folder = tmp_path / "run"
    dataset.save_dataset(dataset.replace(known.with_samples(stained), concepts=concepts))
    few = [part for s in TINY if not s.startswith("model.") for part in ("--set", s)]
    try:
        verb = ["train", "--data", str(data), "--out", str(folder), "--from", "default", "-q", *few]
        assert main(verb) == 0
        export = ["export", str(folder), "--data", str(data), "--out", str(tmp_path / "b"), "--window", "64"]
        assert main(export) == 0
    finally:
        dataset.save_dataset(known)
    text = load_bundle(tmp_path / "b").text
    assert text.understand("segment the water stain") == "water stain"
    assert text.understand("segment dog") is None
