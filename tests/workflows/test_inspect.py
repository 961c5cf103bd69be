from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import drywallqa
from drywallqa import InspectOptions, ScaleOptions
from drywallqa.bundle.bundle import ConceptSettings
from drywallqa.errors import ConfigError, DataError, RuleError, UnknownPromptError
from drywallqa.imaging.mask_files import read_mask
from drywallqa.inference.segmenter import Segmenter
from drywallqa.inspection.ledger_file import read_ledger
from fakes import FakeBundle, wall

DAY = InspectOptions(date="2026-11-30", scale=ScaleOptions(mm_per_pixel=0.5))


@pytest.fixture
def segmenter() -> Segmenter:
    concepts = {"crack": ConceptSettings(), "taping area": ConceptSettings(straight=True)}
    return Segmenter(FakeBundle(concepts=concepts))


def save(path: Path, *, crack: bool = True, seam: bool = False, shade: int = 200) -> Path:
    photo = wall(96, 128, crack=False, shade=shade)
    if crack:
        photo[30:38, 16:112] = (230, 20, 20)
    if seam:
        photo[68:78] = (20, 20, 230)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo).save(path)
    return path


def site(folder: Path) -> Path:
    save(folder / "kitchen" / "north" / "a.png", seam=True)
    save(folder / "kitchen" / "north" / "b.png", crack=False)
    save(folder / "bath" / "c.png")
    return folder


def inspect(paths, out, segmenter, options=DAY):
    outcomes = []
    summary = drywallqa.inspect(paths, out, options, segmenter=segmenter, on_outcome=outcomes.append)
    return summary, outcomes


def test_inspect__folders_are_rooms_and_walls(tmp_path: Path, segmenter: Segmenter) -> None:
    summary, outcomes = inspect(site(tmp_path / "site"), tmp_path / "out", segmenter)
    ledger = read_ledger(tmp_path / "out" / "inspection.json")
    assert ledger == summary.ledger
    assert [(place.id, place.room, place.wall) for place in ledger.places] == [
        ("bath", "bath", ""),
        ("kitchen/north", "kitchen", "north"),
    ]
    assert [outcome.status for outcome in outcomes] == ["done"] * 3
    assert ledger.name == "site"
    found = [(finding.number, finding.place, finding.concept) for finding in ledger.findings]
    assert found == [(1, "bath", "crack"), (2, "kitchen/north", "crack"), (3, "kitchen/north", "taping area")]
    (visit,) = ledger.visits
    assert (visit.date, visit.folder) == ("2026-11-30", "../site")
    assert list(visit.thresholds) == ["crack", "taping area"]
    assert [photo.path for photo in visit.photos] == [
        "bath/c.png",
        "kitchen/north/a.png",
        "kitchen/north/b.png",
    ]
    assert {photo.scale.mm_per_pixel for photo in visit.photos if photo.scale} == {0.5}
    assert all(len(photo.digest) == 64 for photo in visit.photos)


def test_inspect__sizes_and_joints(tmp_path: Path, segmenter: Segmenter) -> None:
    summary, _ = inspect(save(tmp_path / "a.png", seam=True), tmp_path / "out", segmenter)
    crack, joint = (finding.observations[0] for finding in summary.ledger.findings)
    assert crack.mm is not None
    assert crack.px is not None
    assert crack.px.length.value == pytest.approx(96, abs=16)
    assert crack.mm.length.value == pytest.approx(crack.px.length.value / 2)
    assert joint.px is not None
    assert joint.px.length.value == pytest.approx(128, abs=2)
    assert joint.orientation in (0, 180)
    assert crack.verdicts
    assert summary.outcome == "fail"


def test_inspect__masks_of_the_findings_lie_inside_the_outlines(tmp_path: Path, segmenter: Segmenter) -> None:
    inspect(save(tmp_path / "a.png", seam=True), tmp_path / "out", segmenter)
    folder = tmp_path / "out" / "visit-1"
    crack, outline = (read_mask(part / "a__crack.png") for part in (folder / "finding-masks", folder))
    assert 0 < crack.sum() < outline.sum()
    assert (crack & outline).sum() > 0.75 * crack.sum()
    joint = [(part / "a__taping_area.png").read_bytes() for part in (folder / "finding-masks", folder)]
    assert joint[0] == joint[1]


def test_inspect__a_rerun_computes_nothing_and_writes_the_same_bytes(
    tmp_path: Path, segmenter: Segmenter
) -> None:
    first, _ = inspect(site(tmp_path / "site"), tmp_path / "out", segmenter)
    files = {path: path.read_bytes() for path in (tmp_path / "out").glob("*.*")}
    assert first.measuring_seconds > 0
    encoded = segmenter.bundle.backend.encoded
    again, outcomes = inspect(tmp_path / "site", tmp_path / "out", segmenter, replace(DAY, date=None))
    assert [outcome.status for outcome in outcomes] == ["skipped"] * 3
    assert again.measuring_seconds == 0
    assert segmenter.bundle.backend.encoded == encoded
    assert {path: path.read_bytes() for path in files} == files


def test_inspect__a_rerun_with_one_more_photo_keeps_the_numbers(tmp_path: Path, segmenter: Segmenter) -> None:
    inspect(site(tmp_path / "site"), tmp_path / "out", segmenter)
    save(tmp_path / "site" / "attic" / "z.png")
    summary, _ = inspect(tmp_path / "site", tmp_path / "out", segmenter)
    numbers = {
        finding.place: finding.number for finding in summary.ledger.findings if finding.concept == "crack"
    }
    assert numbers == {"bath": 1, "kitchen/north": 2, "attic": 4}
    assert summary.ledger.next_number == 5


def test_inspect__a_part_of_the_folder_leaves_the_rest_as_it_is(tmp_path: Path, segmenter: Segmenter) -> None:
    whole, _ = inspect(site(tmp_path / "site"), tmp_path / "out", segmenter)
    part, outcomes = inspect(tmp_path / "site" / "bath", tmp_path / "out", segmenter)
    assert [outcome.status for outcome in outcomes] == ["skipped"]
    assert part.ledger == whole.ledger


def test_inspect__photos_elsewhere_do_not_fit_a_recorded_visit(tmp_path: Path, segmenter: Segmenter) -> None:
    inspect(site(tmp_path / "site"), tmp_path / "out", segmenter)
    other = save(tmp_path / "other" / "a.png")
    with pytest.raises(ConfigError, match="lies outside"):
        inspect(other, tmp_path / "out", segmenter)


def test_inspect__a_changed_photo_is_named_and_its_results_stay(tmp_path: Path, segmenter: Segmenter) -> None:
    before, _ = inspect(site(tmp_path / "site"), tmp_path / "out", segmenter)
    save(tmp_path / "site" / "bath" / "c.png", shade=180)
    after, outcomes = inspect(tmp_path / "site", tmp_path / "out", segmenter)
    (failed,) = [outcome for outcome in outcomes if outcome.error]
    assert "c.png: the photo has changed since its inspection on 2026-11-30" in str(failed.error)
    assert after.refused == 1
    assert after.ledger.findings == before.ledger.findings
    replaced, _ = inspect(tmp_path / "site", tmp_path / "out", segmenter, replace(DAY, overwrite=True))
    assert replaced.refused == 0
    assert [finding.number for finding in replaced.ledger.findings if finding.state == "open"] == [1, 2, 3]


def test_inspect__a_new_visit_keeps_the_earlier_one(tmp_path: Path, segmenter: Segmenter) -> None:
    inspect(site(tmp_path / "march"), tmp_path / "out", segmenter)
    summary, _ = inspect(site(tmp_path / "june"), tmp_path / "out", segmenter, replace(DAY, visit="new"))
    assert [(visit.number, visit.folder) for visit in summary.ledger.visits] == [
        (1, "../march"),
        (2, "../june"),
    ]
    assert (tmp_path / "out" / "visit-2" / "bath" / "c__crack.png").is_file()


def test_inspect__a_later_visit_has_no_earlier_date(tmp_path: Path, segmenter: Segmenter) -> None:
    inspect(site(tmp_path / "march"), tmp_path / "out", segmenter)
    with pytest.raises(ConfigError, match="2026-11-29 is before visit 1 on 2026-11-30"):
        inspect(tmp_path / "march", tmp_path / "out", segmenter, replace(DAY, visit="new", date="2026-11-29"))


def test_inspect__a_bad_photo_costs_one_line(tmp_path: Path, segmenter: Segmenter) -> None:
    (site(tmp_path / "site") / "bath" / "bad.jpg").write_bytes(b"nothing")
    summary, outcomes = inspect(tmp_path / "site", tmp_path / "out", segmenter)
    assert (summary.photos, summary.refused) == (4, 1)
    assert sum(outcome.error is not None for outcome in outcomes) == 1
    (bad,) = [photo for photo in summary.ledger.visits[0].photos if photo.refused]
    assert bad.path == "bath/bad.jpg"
    assert bad.refused.startswith("this is not a JPEG")


def test_inspect__a_mask_that_fills_the_photo_is_refused(tmp_path: Path, segmenter: Segmenter) -> None:
    Image.fromarray(np.full((96, 128, 3), (230, 20, 20), np.uint8)).save(tmp_path / "red.png")
    summary, _ = inspect(tmp_path / "red.png", tmp_path / "out", segmenter)
    assert summary.ledger.findings == ()
    assert "covers 100% of the photo" in summary.ledger.visits[0].photos[0].refused
    assert summary.refused == 1


def test_inspect__without_a_scale_sizes_are_in_pixels(tmp_path: Path, segmenter: Segmenter) -> None:
    summary, _ = inspect(
        save(tmp_path / "a.png"), tmp_path / "out", segmenter, InspectOptions(date="2026-11-30")
    )
    (finding,) = summary.ledger.findings
    assert finding.observations[0].mm is None
    assert summary.outcome == "not assessable"


def test_inspect__a_scale_that_cannot_be_found_is_named(tmp_path: Path, segmenter: Segmenter) -> None:
    options = replace(DAY, scale=ScaleOptions(distance_mm=1500))
    summary, outcomes = inspect(save(tmp_path / "a.png"), tmp_path / "out", segmenter, options)
    assert summary.refused == 1
    assert "no scale was found" in str(outcomes[0].error)
    assert summary.ledger.findings[0].observations[0].px is not None


def test_inspect__positions_in_one_photo_do_not_suit_two(tmp_path: Path, segmenter: Segmenter) -> None:
    scale = ScaleOptions(line=(np.array([[0, 0], [100, 0]]), 50.0))
    with pytest.raises(ConfigError, match="there are 3 photos"):
        inspect(site(tmp_path / "site"), tmp_path / "out", segmenter, replace(DAY, scale=scale))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"date": "30.11.2026"}, ConfigError),
        ({"visit": "old"}, ConfigError),
        ({"rules": "no-such-rules"}, RuleError),
        ({"prompts": ("segment window",)}, UnknownPromptError),
    ],
)
def test_inspect__wrong_options(tmp_path: Path, segmenter: Segmenter, options, error) -> None:
    with pytest.raises(error):
        inspect(save(tmp_path / "a.png"), tmp_path / "out", segmenter, replace(DAY, **options))
    assert not (tmp_path / "out" / "inspection.json").exists()


def test_inspect__a_damaged_ledger_is_refused(tmp_path: Path, segmenter: Segmenter) -> None:
    photo = save(tmp_path / "a.png")
    inspect(photo, tmp_path / "out", segmenter)
    path = tmp_path / "out" / "inspection.json"
    data = json.loads(path.read_text("utf-8"))
    del data["visits"][0]["date"]
    path.write_text(json.dumps(data), "utf-8")
    with pytest.raises(DataError, match="lacks the key 'date'"):
        inspect(photo, tmp_path / "out", segmenter)


def test_inspect__results_inside_the_inspected_folder_are_no_photos(
    tmp_path: Path, segmenter: Segmenter
) -> None:
    site(tmp_path / "site")
    for _ in range(2):
        summary, _ = inspect(tmp_path / "site", tmp_path / "site" / "results", segmenter)
        assert len(summary.ledger.visits[0].photos) == 3


def review(folder: Path, *rows: str) -> None:
    header = "finding,action,with,points,photo,concept,rule,text,reviewer,time"
    (folder / "reviews.csv").write_text("\n".join([header, *rows]), "utf-8")


def states(summary) -> dict[int, str]:
    return {finding.number: finding.state for finding in summary.ledger.findings}


def test_inspect__writes_a_template_for_reviews(tmp_path: Path, segmenter: Segmenter) -> None:
    inspect(site(tmp_path / "site"), tmp_path / "out", segmenter)
    lines = (tmp_path / "out" / "reviews.csv").read_text("utf-8-sig").splitlines()
    assert [line.split(",")[0] for line in lines] == ["finding", "1", "2", "3"]


def test_inspect__reviews_are_applied_once_and_outlive_a_rerun(tmp_path: Path, segmenter: Segmenter) -> None:
    out = tmp_path / "out"
    inspect(site(tmp_path / "site"), out, segmenter)
    review(
        out,
        "1,reject,,,,,,a shadow,Ann,",
        '2,split,,"60,34",,,,,Ann,',
        ',add,,"10,60 60,60 60,80 10,80",bath/c.png,crack,,,Ann,',
    )
    once, _ = inspect(tmp_path / "site", out, segmenter)
    assert states(once) == {1: "deleted", 2: "split", 3: "open", 4: "open", 5: "open", 6: "open"}
    again, _ = inspect(tmp_path / "site", out, segmenter)
    assert again.ledger == once.ledger
    pieces = [finding.observations[0] for finding in once.ledger.findings if finding.number in (4, 5)]
    assert all(piece.px is not None and piece.verdicts for piece in pieces)
    assert once.ledger.findings[5].observations[0].line_visible is False


def test_inspect__another_scale_keeps_rejected_findings_rejected(
    tmp_path: Path, segmenter: Segmenter
) -> None:
    out, changed = tmp_path / "out", replace(DAY, scale=ScaleOptions(mm_per_pixel=0.25))
    inspect(site(tmp_path / "site"), out, segmenter)
    review(out, "1,reject,,,,,,,Ann,")
    summary, _ = inspect(tmp_path / "site", out, segmenter, changed)
    assert states(summary) == {1: "deleted", 2: "open", 3: "open"}
    again, _ = inspect(tmp_path / "site", out, segmenter, DAY)
    assert states(again) == {1: "deleted", 2: "open", 3: "open"}
    observation = summary.ledger.findings[1].observations[0]
    assert observation.mm is not None
    assert observation.px is not None
    assert observation.mm.length.value == pytest.approx(observation.px.length.value / 4)


def test_inspect__a_review_that_no_longer_fits_is_named(tmp_path: Path, segmenter: Segmenter) -> None:
    out = tmp_path / "out"
    photo = save(tmp_path / "site" / "a.png")
    inspect(photo, out, segmenter)
    review(out, ',add,,"10,60 60,60 60,80 10,80",a.png,crack,,,Ann,')
    inspect(photo, out, segmenter)
    save(photo, shade=180)
    summary, _ = inspect(photo, out, segmenter, replace(DAY, overwrite=True))
    assert summary.problems == (
        "review 1 (add by Ann) no longer fits: the photo a.png has changed since the review",
    )
    assert states(summary) == {1: "open", 2: "deleted"}


def test_inspect__a_second_concept_later_leaves_the_first_as_it_is(
    tmp_path: Path, segmenter: Segmenter
) -> None:
    photo, out = save(tmp_path / "a.png", seam=True), tmp_path / "out"
    inspect(photo, out, segmenter, replace(DAY, prompts=("crack",)))
    summary, _ = inspect(photo, out, segmenter, replace(DAY, prompts=("taping area",)))
    found = [(f.number, f.concept, f.state, len(f.observations)) for f in summary.ledger.findings]
    assert found == [(1, "crack", "open", 1), (2, "taping area", "open", 1)]
    assert list(summary.ledger.visits[0].thresholds) == ["crack", "taping area"]
