import json

import numpy as np
import pytest
from PIL import Image

from drywallqa.cli import main
from drywallqa.datasets.dataset import Dataset, Sample, save_dataset
from drywallqa.datasets.mosaics import SIDE, mosaic, one_per_source_photo
from drywallqa.errors import ConfigError, DataError
from drywallqa.evaluation import phone_size
from drywallqa.evaluation.phone_size import (
    SECTIONS,
    TITLES,
    crack_mosaics,
    enlarged_boards,
    measure_phone_size,
    phone_size_lines,
)
from drywallqa.evaluation.phone_wall_accuracy import (
    Ratios,
    clean_walls,
    cracked_walls,
    found_lengths,
    large_walls,
)
from drywallqa.imaging import mask_files
from drywallqa.inference.segmenter import Segmenter
from drywallqa.synthetic.camera import Camera
from drywallqa.synthetic.canvas import Canvas
from drywallqa.synthetic.phone_cracks import WIDTHS, add_phone_cracks
from drywallqa.synthetic.phone_walls import PhoneWall
from fakes import FakeBundle, wall
from measured_walls import make_bundle

SIZE = (200, 260)


def silent(text):
    pass


def nothing(photo):
    return {"crack": np.zeros(photo.shape[:2], np.bool_), "taping area": np.zeros(photo.shape[:2], np.bool_)}


def everything(photo):
    return {concept: ~mask for concept, mask in nothing(photo).items()}


def red(photo):
    """Mark red pixels as crack, as the fake bundle does, but exactly."""
    return {"crack": photo[:, :, 0].astype(int) > photo[:, :, 1].astype(int) + 60}


def value(figures, name):
    return figures[name].value


@pytest.fixture
def tiny(tmp_path):
    """Nine photographs of cracks (one with a copy) of 640 px, and one of a board with a copy."""
    samples = []
    for number in range(12):
        name, crack = f"photo-{number}", number < 10
        source = f"photograph-{min(number, 8) if crack else 99}"
        photo = wall(SIDE, SIDE, crack=crack, seam=not crack)
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(photo).save(tmp_path / "photos" / f"{name}.png")
        truth = red(photo)["crack"] if crack else np.ones((SIDE, SIDE), np.bool_)
        concept = "crack" if crack else "taping area"
        mask_files.write_mask_file(tmp_path / f"{name}-mask.png", truth)
        labels = {"crack": None, "taping area": None} | {concept: f"{name}-mask.png"}
        samples.append(Sample(name, f"photos/{name}.png", "tiny", source, SIDE, SIDE, labels, split="val"))
    dataset = Dataset(tmp_path, tuple(samples), {"crack": ("segment crack",)})
    save_dataset(dataset)
    return dataset


@pytest.fixture
def elsewhere(tmp_path):
    """Two large walls, one a part; the crack of the truth is a line of 3 px in red."""
    folder = tmp_path / "elsewhere"
    for kind in ("images", "masks"):
        (folder / "large-walls" / kind).mkdir(parents=True)
    for name in ("a", "b"):
        photo = np.full((240, 320, 3), 200, np.uint8)
        photo[100:103, 20:300] = (240, 20, 20)
        Image.fromarray(photo).save(folder / "large-walls/images" / f"{name}.jpg", quality=95, subsampling=0)
        mask_files.write_mask_file(folder / "large-walls/masks" / f"{name}.png", red(photo)["crack"])
    (folder / "split.csv").write_text(
        "set,file,part\nlarge-walls,a.jpg,dev\nlarge-walls,b.jpg,final\ntiles,c.jpg,dev\n"
    )
    return folder


def test_ratios__sum_by_cluster_and_say_what_could_not_be_seen():
    ratios = Ratios(["never", "share"])
    ratios.add("share", "a", 1, 2)
    ratios.add("share", "a", 1, 2)
    ratios.add("share", "b", 0, 4)
    ratios.add("alarm", "a", False, events=True)
    ratios.add("alarm", "b", False, events=True)
    figures = ratios.figures()
    assert list(figures) == ["share", "alarm"]
    assert (figures["share"].value, figures["share"].photographs, figures["share"].pairs) == (0.25, 2, 3)
    assert figures["alarm"].low == 0
    assert figures["alarm"].high == pytest.approx(1 - 0.025**0.5)


def test_clean_walls__marked_walls_are_counted_and_joints_only_where_there_is_none():
    clean, full = (clean_walls(marks, 8_000_000, 8, silent, SIZE) for marks in (nothing, everything))
    for name in ("crack: over 0.1 % marked", "crack: any px marked", "taping area: any px marked"):
        assert value(clean, name) == 0
        assert value(full, name) == 1
    assert full["crack: any px marked"].photographs == 8
    assert full["taping area: any px marked"].photographs < 8  # walls with joints are left out
    bare, cluttered = "crack, bare wall: over 0.1 % marked", "crack, with objects: over 0.1 % marked"
    assert sum(full[name].photographs for name in (bare, cluttered) if name in full) == 8


def test_clean_walls__a_few_px_are_no_false_alarm_but_are_told():
    def few(photo):
        found = nothing(photo)
        found["crack"][0, :3] = True
        return found

    ratios = clean_walls(few, 8_000_000, 3, silent, SIZE)
    assert value(ratios, "crack: over 0.1 % marked") == 0
    assert value(ratios, "crack: any px marked") == 1


def test_cracked_walls__every_width_is_measured_and_nothing_or_everything_is_found():
    none, everywhere = (
        cracked_walls(marks, 8_000_000, 1, silent, (400, 500)) for marks in (nothing, everything)
    )
    expected = [f"{width} px wide" for width in WIDTHS] + ["3 px and wider"]
    assert list(everywhere)[:-1] == [name for name in expected if name in everywhere]
    assert {"1 px wide", "30 px wide", "3 px and wider"} <= set(everywhere)
    for name in expected:
        if name in none:
            assert value(none, name) == 0
            assert value(everywhere, name) == 1
    assert value(everywhere, "marked px within 3 px at 640 of a crack") < 0.9


def phone_wall(side, widths, number):
    canvas = Canvas.plain((side, side), (0.8, 0.8, 0.8), np.random.default_rng([8_000_000, number]))
    cracks = tuple(add_phone_cracks(canvas, widths))
    photo = np.zeros((side, side, 3), np.uint8)
    return PhoneWall(photo, "crack", "paint", (), cracks, (), Camera())


def test_found_lengths__a_mask_beside_the_crack_counts_within_its_tolerance_only():
    wall = phone_wall(1280, [8], 1)
    mask = wall.crack_mask
    # 1280 px: 3 px at 640 are 6 px here, and half of the crack's width comes on top.
    for shift, least, most in ((0, 1.0, 1.0), (6, 0.95, 1.0), (60, 0.0, 0.5)):
        moved = np.roll(mask, (shift, shift), (0, 1))
        found = sum(part for _, part, _ in found_lengths(wall, moved))
        length = sum(whole for _, _, whole in found_lengths(wall, moved))
        assert least <= found / length <= most


def test_found_lengths__px_near_another_crack_do_not_count():
    for number in range(2, 30):
        wall = phone_wall(1280, [30], number)
        if len(wall.cracks) > 1:
            break
    counted = [length for _, _, length in found_lengths(wall, wall.crack_mask)]
    assert sum(counted) < sum(len(crack.centreline) for crack in wall.cracks)
    branch = wall.cracks[1]
    near = [length for crack, _, length in found_lengths(wall, wall.crack_mask) if crack is branch]
    assert sum(near) <= len(branch.centreline) - 15  # where it leaves the wide one


def test_enlarged_boards__three_ways_and_copies_of_one_photograph_together(tiny):
    sizes = set()

    def marks(photo):
        sizes.add(max(photo.shape))
        return everything(photo) if max(photo.shape) > 700 else nothing(photo)

    figures = enlarged_boards(marks, tiny.part("val"), 8_000_000, 10, silent, (650, 720))
    assert sizes == {650, 720}
    told = {name: figure.value for name, figure in figures.items() if "over" in name}
    assert told == {
        "650 px, bicubic: over 0.1 % marked": 0,
        "720 px, bicubic: over 0.1 % marked": 1,
        "720 px, Lanczos and a phone's camera: over 0.1 % marked": 1,
    }
    assert all((figure.photographs, figure.pairs) == (1, 2) for figure in figures.values())


def test_enlarged_boards__photos_whose_cracks_are_unknown_are_left_out(tiny):
    samples = [Sample(**{**vars(s), "labels": {"taping area": s.labels["taping area"]}}) for s in tiny]
    figures = enlarged_boards(everything, tiny.with_samples(samples), 1, 10, silent, (650,))
    assert figures == {}


def test_crack_mosaics__nine_photographs_once_each_and_pixels_against_their_truth(tiny):
    shapes = []

    def marks(photo):
        shapes.append(photo.shape)
        found = red(photo)
        found["crack"][:, : photo.shape[1] // 3] = False
        return found

    ratios = crack_mosaics(marks, tiny.part("val"), 8_000_000, 5, silent)
    assert shapes == [(3 * SIDE, 3 * SIDE, 3)]  # nine photographs make one mosaic, copies none
    assert value(ratios, "pixel recall") == pytest.approx(2 / 3)
    assert value(ratios, "pixel precision") == 1


def test_mosaic__truth_lies_where_its_photo_lies(tiny):
    crack, board = one_per_source_photo(tiny, "crack")[0], one_per_source_photo(tiny, "taping area")[0]
    photo, truth = mosaic(tiny, [board, crack], "crack", 2)
    assert photo.shape == (SIDE, 2 * SIDE, 3)
    assert not truth[:, :SIDE].any()
    assert (truth[:, SIDE:] == tiny.read_mask(crack, "crack")).all()


def test_large_walls__lines_and_pixels_of_the_part_that_was_asked_for(elsewhere):
    def shifted(photo):
        # 320 px: 3 px at 640 are 1.5 here, so that 1 px beside is a line found, and its px are mostly missed
        return {"crack": np.roll(red(photo)["crack"], 1, 0)}

    exact = large_walls(red, elsewhere, "dev", silent)
    beside = large_walls(shifted, elsewhere, "dev", silent)
    for name in ("line recall", "line precision", "pixel recall", "pixel precision"):
        assert value(exact, name) > 0.97
        assert exact[name].photographs == 1
    assert value(beside, "line recall") == 1
    assert value(beside, "pixel recall") < 0.75


def test_large_walls__a_missing_list_an_empty_part_and_a_foreign_mask_are_refused(elsewhere, tmp_path):
    with pytest.raises(DataError, match=r"split\.csv: must be a table"):
        large_walls(red, tmp_path, "dev", silent)
    with pytest.raises(DataError, match="no photo of the set large-walls in the split 'train'"):
        large_walls(red, elsewhere, "train", silent)
    mask_files.write_mask_file(elsewhere / "large-walls/masks/a.png", np.ones((3, 4), np.bool_))
    with pytest.raises(DataError, match="4×3 px but its photo is 320×240"):
        large_walls(red, elsewhere, "dev", silent)


@pytest.fixture
def fake():
    return Segmenter(FakeBundle())


def test_measure_phone_size__every_section_is_measured_and_described(fake, tiny, elsewhere, monkeypatch):
    boards = phone_size.enlarged_boards
    monkeypatch.setattr(phone_size, "enlarged_boards", lambda *given: boards(*given, (650,)))
    told = []
    measured = measure_phone_size(
        fake, tiny, "val", count=2, elsewhere=elsewhere, size=(160, 200), report=told.append
    )
    assert tuple(measured) == SECTIONS
    assert any(line.startswith("walls without cracks: 2 of 2") for line in told)
    assert any(line.startswith("enlarged boards: 2 of 2") for line in told)
    text = "\n".join(phone_size_lines(measured))
    assert all(title in text for title in TITLES.values())
    assert measured["mosaics"]["pixel recall"].value > 0.5


def test_measure_phone_size__unknown_splits_and_sections_and_missing_folders_are_refused(fake, tiny):
    with pytest.raises(ConfigError, match="use the split 'train'"):
        measure_phone_size(fake, tiny, "train")
    with pytest.raises(ConfigError, match="unknown section 'dogs'"):
        measure_phone_size(fake, tiny, "val", ["dogs"])
    with pytest.raises(ConfigError, match="needs a folder"):
        measure_phone_size(fake, tiny, "val", ["large-walls"])


def test_suite_phone__measures_a_section_and_writes_json(fake, tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("drywallqa.workflows.suites.load_bundle", lambda model: fake.bundle)
    out = tmp_path / "figures.json"
    given = ["--data", str(tiny.folder), "--split", "val", "--section", "mosaics", "--count", "1"]
    assert main(["evaluate", "--suite", "phone", *given, "--json", str(out)]) == 0
    assert "crack photos side by side" in capsys.readouterr().out
    assert list(json.loads(out.read_text())["sections"]) == ["mosaics"]
    bundle = make_bundle(tmp_path / "bundle")
    monkeypatch.setattr("drywallqa.workflows.suites.load_bundle", lambda model: bundle)
    assert main(["benchmark", "--phone-size", *given, "--write"]) == 0
    assert capsys.readouterr().err == (
        "note: 'drywallqa benchmark' is now 'drywallqa evaluate --suite release'\n"
        "note: '--phone-size' is now '--suite phone'\n"
    )
    card = (bundle.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| crack photos side by side, 1920×1920 px | pixel recall | " in card


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--suite", "dogs"], "unknown suite 'dogs'; choose from release, phone"),
        (["--suite", "phone", "--worst", "3"], "--worst cannot be used with --suite phone"),
        (["--suite", "release", "--section", "walls"], "--section cannot be used with --suite release"),
        (["--robustness"], "--robustness requires --suite"),
    ],
)
def test_suites__foreign_options_are_refused(given, told, tiny, capsys):
    assert main(["evaluate", "--data", str(tiny.folder), *given]) == 2
    assert told in capsys.readouterr().err
