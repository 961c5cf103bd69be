"""Pictures of an inspected photo: findings are numbered, the worst have close-ups, cracks stay visible."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drywallqa.inspection.ledger import Finding, PhotoRecord
from drywallqa.visualization import inspection_pictures as pictures
from inspected_walls import SCALE, inspected, observe


def crack(size: tuple[int, int] = (200, 300), row: int = 100, width: int = 4) -> np.ndarray:
    mask = np.zeros(size, np.bool_)
    mask[row : row + width, 30:250] = True
    return mask


def seen(*masks: np.ndarray) -> list[pictures.Seen]:
    findings = [
        Finding(number, "", "crack", (observe(mask, "a.jpg", number),))
        for number, mask in enumerate(masks, 1)
    ]
    return pictures.seen_on("a.jpg", 1, findings)


def test_names__are_valid_unique_and_short() -> None:
    paths = ["a/x.jpg", "b/x.jpg", "a/x.png", f"{'ł' * 120}.jpg", "a/<script>.jpg"]
    names = [pictures.overview_name(path) for path in paths]
    assert len(set(names)) == len(names)
    assert all(len(Path(name).name.encode()) < 120 for name in names)
    assert "<" not in names[-1]


def test_seen__worst_first_and_without_deleted() -> None:
    one = observe(crack(), "a.jpg", 3)
    bad = replace(one, verdicts=(replace(one.verdicts[0], outcome="fail"),))
    good = replace(one, verdicts=(replace(one.verdicts[0], outcome="pass"),))
    findings = [
        Finding(1, "", "crack", (good,)), Finding(2, "", "crack", (bad,)),
        Finding(3, "", "crack", (bad,), "deleted"), Finding(4, "", "crack", (replace(bad, visit=2),)),
    ]  # fmt: skip
    assert [each.number for each in pictures.seen_on("a.jpg", 1, findings)] == [2, 1]


def test_overview__marks_findings_but_does_not_cover_them() -> None:
    photo = np.full((200, 300, 3), 200, np.uint8)
    photo[crack()] = 30
    drawn = pictures.draw_overview(Image.fromarray(photo), seen(crack()), SCALE.mm_per_pixel, "metric")
    factor = drawn.width / 300
    shown = np.asarray(drawn)[: round(200 * factor)]
    assert shown[round(102 * factor), round(60 * factor)].max() < 110, "the crack is still dark"
    assert (np.ptp(shown, axis=2) > 60).sum() > 500, "and has a coloured border"
    assert drawn.height > 200 * factor, "scale bar and legend are below"


@pytest.mark.parametrize("size", [(40, 40), (30, 900), (900, 30)])
def test_overview__of_odd_sizes(size: tuple[int, int]) -> None:
    mask = np.zeros(size, np.bool_)
    mask[10:12, 5:25] = True
    photo = Image.new("RGB", size[::-1], (180, 180, 180))
    (one,) = seen(mask)
    assert min(pictures.draw_overview(photo, [one], None, "metric").size) > 30
    assert pictures.draw_overview(photo, [], SCALE.mm_per_pixel, "imperial").width >= 300


def test_files__overview_and_close_ups_of_the_worst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "CLOSE_UPS", 2)
    masks = [crack(row=row) for row in (20, 60, 100, 140)]
    own = seen(*masks)
    record = PhotoRecord("a.jpg", "", "0" * 64, 300, 200, scale=SCALE)
    pictures.write_inspection_pictures(np.full((200, 300, 3), 190, np.uint8), record, own, tmp_path)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jpg")}
    worst = {pictures.close_up_name("a.jpg", one.number) for one in own[:2]}
    assert found == {pictures.overview_name("a.jpg"), *worst}


def test_files__same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        inspected(tmp_path / name, 2, (96, 128))
    for path in (tmp_path / "one").rglob("*.jpg"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_overview__outline_without_a_line_hides_nothing_inside() -> None:
    (small,) = seen(crack())
    ring = ((5.0, 5.0), (290.0, 5.0), (290.0, 190.0), (5.0, 190.0))
    bare = replace(small.observation, centre_lines=(), widest_at=None, polygon=(ring,))
    field = replace(small, number=2, observation=bare)
    photo = Image.new("RGB", (300, 200), (200, 200, 200))
    alone = np.asarray(pictures.draw_overview(photo, [field], None, "metric"))
    factor = alone.shape[1] / 300
    inside = alone[round(60 * factor) : round(140 * factor), round(60 * factor) : round(240 * factor)]
    assert inside.min() >= 195, "the inside is not tinted"


def test_close_up__of_an_outline_without_a_line(tmp_path: Path) -> None:
    (one,) = seen(crack())
    bare = replace(one.observation, centre_lines=(), widest_at=None, px=None, mm=None, line_visible=False)
    record = PhotoRecord("a.jpg", "", "0" * 64, 300, 200)
    photo = np.full((200, 300, 3), 190, np.uint8)
    pictures.write_inspection_pictures(photo, record, [replace(one, observation=bare)], tmp_path)
    close = np.asarray(Image.open(tmp_path / pictures.close_up_name("a.jpg", 1)))
    assert (np.ptp(close.astype(np.int16), axis=2) > 60).any(), "the outline is drawn"
