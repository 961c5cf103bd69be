"""The demonstration from the command line, with a stand-in for the trained model."""

from types import SimpleNamespace

import numpy as np
import pytest

from drywallqa.bundle.bundle import ConceptSettings
from drywallqa.cli import main
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.inference import segmenter as segmenting


class DarkIsCrack:
    """Marks dark pixels whatever it is asked for."""

    def encode_image(self, images):
        return (images.mean(1, keepdims=True).astype(np.float32),)

    def encode_prompts(self, prompts):
        return np.zeros((len(prompts), 4), np.float32)

    def decode(self, features, embeddings):
        grey = features[0]
        local = grey - np.median(grey, axis=(2, 3), keepdims=True)
        logits = np.repeat(-8 * (local + 1.0), len(embeddings), axis=1).astype(np.float32)
        return logits, np.full(logits.shape[:2], 5.0, np.float32)


def make_bundle():
    concepts = {"crack": ["segment crack"], "taping area": ["segment taping area"]}

    def resolve(prompt):
        return next(name for name, phrasings in concepts.items() if prompt in phrasings)

    return SimpleNamespace(
        name="dark",
        version="1",
        files={},
        window=Letterbox(160),
        concepts={
            name: ConceptSettings(tuple(phrasings), 0.5, 0.5, 160) for name, phrasings in concepts.items()
        },
        text=SimpleNamespace(resolve=resolve, understand=resolve),
        vocabulary="closed",
        open_backend=lambda options: DarkIsCrack(),
    )


@pytest.fixture
def dark_model(monkeypatch):
    monkeypatch.setattr(segmenting, "load", lambda model=None, **how: segmenting.Segmenter(make_bundle()))


def test_demo__renders_segments_and_says_where_the_results_are(dark_model, tmp_path, capsys):
    out = tmp_path / "shown"
    assert main(["demo", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert str(out / "photos") in said
    assert str(out / "results") in said
    assert (out / "results" / "index.html").as_uri() in said
    assert "crack: found on" in said
    assert "taping area: found on" in said
    names = sorted(path.stem for path in (out / "photos").iterdir())
    assert len(names) == 8
    for name in names:
        assert (out / "results" / f"{name}__segment_crack.png").is_file()
        assert (out / "results" / f"{name}__segment_taping_area.png").is_file()
    assert (out / "results" / "manifest.jsonl").is_file()


def test_demo__second_run_in_the_same_folder_works(dark_model, tmp_path):
    assert main(["demo", "--out", str(tmp_path)]) == 0
    assert main(["demo", "--out", str(tmp_path)]) == 0


def test_demo__folder_that_is_a_file__one_line_and_usage_code(dark_model, tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    assert main(["demo", "--out", str(tmp_path / "taken")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert "taken" in lines[0]


def test_demo__model_that_is_no_bundle__is_named(tmp_path, capsys):
    assert main(["demo", "--model", str(tmp_path / "nothing"), "--out", str(tmp_path / "out")]) == 2
    assert "nothing" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
