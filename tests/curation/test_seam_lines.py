"""Seams are found inside boxes, labelled where they are sure, and drawn for the eye."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drywallqa.cli import main
from drywallqa.datasets import dataset
from drywallqa.evaluation import release_tests
from drywallqa.imaging.straight_lines import StraightLine, find_seam, straight_lines
from drywallqa.metrics import share_near
from drywallqa.synthetic.walls import SEAM_LINE, TAPING_AREA


def board(*lines: StraightLine, depth: int = 40, side: int = 320) -> np.ndarray:
    grey = np.random.default_rng(0).normal(170, 2, (side, side))
    for line in lines:
        grey[line.band((side, side), 1.0)] -= depth
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def test_find_seam__lies_on_the_dark_line() -> None:
    line = StraightLine((60, 10), (75, 300))
    found = find_seam(board(line), (45, 10, 95, 300))
    assert found is not None
    assert found.sure
    assert share_near([found.line], [line], 1.5) > 0.98


def test_find_seam__leaves_through_the_side_of_its_box() -> None:
    line = StraightLine((20, 10), (200, 300))
    found = find_seam(board(line), (20, 10, 170, 300))
    assert found is not None
    assert share_near([found.line], [line], 2) > 0.95


def test_find_seam__is_not_sure_of_a_bare_board() -> None:
    found = find_seam(board(), (45, 10, 95, 300))
    assert found is not None
    assert not found.sure
    assert find_seam(board(), (10, 10, 14, 14)) is None


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    """One board with a clear seam, one with none in its box, one without a box."""
    line = StraightLine((60, 10), (75, 300))
    samples = []
    for name, photo, boxed in (
        ("clear", board(line), True),
        ("bare", board(), True),
        ("none", board(), False),
    ):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(photo).save(tmp_path / "photos" / f"{name}.png")
        label = None
        if boxed:
            box = np.zeros(photo.shape[:2], np.uint8)
            box[10:300, 45:95] = 255
            label = f"{name}.png"
            Image.fromarray(box).save(tmp_path / label)
        samples.append(
            dataset.Sample(
                name, f"photos/{name}.png", "boards", name, 320, 320, {TAPING_AREA: label}, "train"
            )
        )
    dataset.save_dataset(dataset.Dataset(tmp_path, tuple(samples), {TAPING_AREA: ()}))
    return tmp_path


def test_seam_lines__labels_what_is_sure(boards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = boards / "sheet.png"
    assert main(["data", "seam-lines", str(boards), "--sheet", str(sheet)]) == 0
    assert "labelled in 1 photos and absent in 1 photos; 1 photos are unlabelled" in capsys.readouterr().out
    known = {sample.image_id: sample for sample in dataset.load_dataset(boards)}
    assert SEAM_LINE not in known["bare"].labels
    assert known["none"].labels[SEAM_LINE] is None
    mask = dataset.load_dataset(boards).read_mask(known["clear"], SEAM_LINE)
    assert share_near(straight_lines(mask), [StraightLine((60, 10), (75, 300))], 2) > 0.98
    assert np.asarray(Image.open(sheet)).std() > 5
    assert dataset.load_dataset(boards).concepts[SEAM_LINE]


def test_seam_lines__refuses_what_it_cannot_do(boards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "seam-lines", str(boards), "--boxes", "doors"]) == 3
    assert "has no concept 'doors'" in capsys.readouterr().err
    assert main(["data", "seam-lines", str(boards)]) == 0
    assert main(["data", "seam-lines", str(boards)]) == 3
    assert "already has a concept 'seam line'" in capsys.readouterr().err


def test_seam_lines__stay_in_the_data_set_whatever_they_are_called(boards: Path) -> None:
    assert main(["data", "seam-lines", str(boards), "--concept", "../../line"]) == 0
    (path,) = [s.labels["../../line"] for s in dataset.load_dataset(boards) if s.labels.get("../../line")]
    assert (boards / path).resolve().is_relative_to((boards / "masks").resolve())


def test_render__labels_lines_where_the_data_set_has_them(boards: Path) -> None:
    assert main(["data", "seam-lines", str(boards)]) == 0
    assert main(["data", "render", str(boards), "--count", "6"]) == 0
    rendered = [sample for sample in dataset.load_dataset(boards) if sample.set_name == "rendered"]
    assert all((s.labels[SEAM_LINE] is None) == (s.labels[TAPING_AREA] is None) for s in rendered)
    assert any(s.labels[SEAM_LINE] for s in rendered)


def test_scores__are_perfect_where_lines_are(boards: Path) -> None:
    assert main(["data", "seam-lines", str(boards)]) == 0
    truth = [StraightLine((60, 10), (75, 300))]
    walls = list(release_tests.labelled_walls(dataset.load_dataset(boards)))
    score = release_tests.score_seams("seam line", lambda photo: truth, walls)
    assert score is not None
    assert (score.photos, score.found, score.true, score.enough) == (1, 1.0, 1.0, 1.0)
    nothing = release_tests.score_seams("seam line", lambda photo: [], walls)
    assert nothing is not None
    assert (nothing.found, nothing.true) == (0.0, 0.0)
    rendered = release_tests.score_seams("seam line", lambda photo: [], release_tests.rendered_walls(2))
    assert rendered is not None
    assert rendered.found == 0
    assert release_tests.score_seams("seam line", lambda photo: [], []) is None
