"""Distilling a text side: the pieces of it on tiny data, and one whole run in miniature."""

import random
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

from drywallqa.errors import ModelError  # noqa: E402
from drywallqa.text.text_encoder import WordPiece  # noqa: E402
from drywallqa.text_training import distillation, text_space, text_student  # noqa: E402

PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *("crack", "seam", "dog", "wall", "find", "the", "in", "##s", "墙"),
]


class TinyTeacher:
    """A bag of words with fixed random vectors, in place of the sentence model."""

    def __init__(self) -> None:
        self.tokens = WordPiece(PIECES)
        vectors = np.random.default_rng(0).normal(size=(len(PIECES), 32)).astype(np.float32)
        self.vectors = vectors
        self.table = np.tile(vectors, (1, 12))  # 384 wide

    def embed(self, texts: list[str]) -> np.ndarray:
        rows = [self.vectors[self.tokens.encode(text, 40) or [1]].mean(axis=0) for text in texts]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


def _space() -> text_space.TextSpace:
    rng = np.random.default_rng(1)
    return text_space.TextSpace(np.zeros(32, np.float32), rng.normal(size=(8, 32)).astype(np.float32))


def _project(space: text_space.TextSpace, sentences: np.ndarray) -> np.ndarray:
    raw = (sentences - space.mean) @ space.components.T
    return np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True))


def test_distillation__the_vocabulary_keeps_ascii_and_the_two_marks() -> None:
    run = distillation.Distillation(TinyTeacher(), _space(), distillation.TextConfig())  # type: ignore[arg-type]
    assert run.tokens.pieces == ["[PAD]", "[UNK]", *PIECES[4:-1]]


def test_split_lines__by_line_and_steady() -> None:
    lines = [f"line {number}" for number in range(400)]
    kept, held = distillation.split_lines(lines, seed=0, share=0.15)
    assert sorted(kept + held) == sorted(lines)
    assert 40 < len(held) < 80
    assert distillation.split_lines(lines, seed=0, share=0.15) == (kept, held)


def test_distillation__the_student_nears_the_teacher() -> None:
    teacher = TinyTeacher()
    config = distillation.TextConfig(epochs=12, batch=16)
    run = distillation.Distillation(teacher, _space(), config)  # type: ignore[arg-type]
    rng = random.Random(0)
    texts = list({" ".join(rng.choices(PIECES[4:11], k=rng.randint(1, 3))) for _ in range(250)})
    truth = teacher.embed(texts)
    before = _agreement(run, texts, truth)
    run.run(texts, truth, [("crack", "crack"), ("seam", "seam"), ("dog", "other")] * 20, lambda line: None)
    assert _agreement(run, texts, truth) > max(before + 0.3, 0.8)


def _agreement(run: distillation.Distillation, texts: list[str], truth: np.ndarray) -> float:
    run.student.eval()
    with torch.no_grad():
        found = run.student(run.encode(texts))[0].numpy()
    return float((found * _project(_space(), truth)).sum(axis=1).mean())


def test_export__agrees_with_torch_and_padding_changes_nothing(tmp_path: Path) -> None:
    import onnxruntime

    torch.manual_seed(0)
    student = text_student.TextStudent(500, torch.zeros(32), torch.randn(8, 32)).eval()
    path = tmp_path / "text_encoder.onnx"
    assert text_student.export_student(student, path) < text_student.TOLERANCE
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    short, padded = np.array([[5, 6, 7]]), np.array([[5, 6, 7, 0, 0, 0, 0]])
    rows = [session.run(None, {"tokens": tokens})[0] for tokens in (short, padded)]
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-4)
    # int8 rows and fp16 weights: far below fp32
    assert path.stat().st_size < 0.6 * 4 * sum(parameter.numel() for parameter in student.parameters())


def test_text_space__separates_things_not_wordings() -> None:
    class Wordings(TinyTeacher):
        def embed(self, texts: list[str]) -> np.ndarray:
            rng = np.random.default_rng(0)
            thing = {name: rng.normal(size=384) for name in ("crack", "dog", "wall")}
            wording = {form: 5 * rng.normal(size=384) for form in text_space.FORMS}
            rows = []
            for text in texts:
                name = next(name for name in thing if name in text)
                rows.append(thing[name] + wording[text.replace(name, "{}")])
            return np.array(rows, np.float32)

    teacher = Wordings()
    space = text_space.compute_space(teacher, ["crack", "dog", "wall"])  # type: ignore[arg-type]
    a, b, c = _project(space, teacher.embed(["segment crack", "where is the crack", "segment dog"]))
    assert a @ b > a @ c


def test_text_space__no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"missing\.npz"):
        text_space.TextSpace.load(tmp_path / "missing.npz")


def test_corpus__each_once_and_steady() -> None:
    lines = {"crack": ["crack", "[fine|thin] crack"]}
    made = distillation.build_corpus(["wall", "##s", "dog", "tree"], lines, ["dog", "cat"], 300)
    assert len(made) == len(set(made)) == 300
    assert {"crack", "fine crack", "cat"} <= set(made)
    assert made == distillation.build_corpus(["wall", "##s", "dog", "tree"], lines, ["dog", "cat"], 300)


def test_train_text__a_whole_run_in_miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distillation, "SentenceTeacher", TinyTeacher)
    kept = {"crack": ["crack", "crack in the wall"], "taping area": ["seam"]}, ["dog", "the dog", "wall"]
    monkeypatch.setattr(distillation, "_split_banks", lambda seed, share: (kept, kept))
    config = distillation.TextConfig(phrases=600, epochs=2, batch=64)
    side = distillation.distill_text_side(
        tmp_path, config, space=_space(), held_out=True, report=lambda line: None
    )
    assert side.concepts == ("crack", "taping area")
    assert {path.name for path in tmp_path.iterdir()} == {
        "text_encoder.onnx",
        "vocabulary.txt",
        "understanding.json",
        "text_space.npz",
    }
    assert side.embed(["find the crack"]).shape == (1, 8)
