"""The inspection report says everything, stands alone, gives nothing away, and always has the same bytes."""

import html
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from drywallqa.inspection.ledger import Ledger, PhotoRecord, Review
from drywallqa.reports.inspection_material import ReportOptions
from drywallqa.reports.inspection_report import HTML, PDF, write_inspection_report
from inspected_walls import RULES, inspected

SMALL = (96, 128)


def write(ledger: Ledger, folder: Path, pdf: bool = False, **options) -> str:
    write_inspection_report(ledger, RULES, folder, ReportOptions(**options), pdf)
    return (folder / HTML).read_text("utf-8")


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)).split())


def of_pdf(folder: Path) -> list[str]:
    pypdf = pytest.importorskip("pypdf")
    reader = pypdf.PdfReader(io.BytesIO((folder / PDF).read_bytes()))
    return [" ".join(page.extract_text().split()) for page in reader.pages]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ledger]:
    folder = tmp_path_factory.mktemp("report")
    return folder, inspected(folder, 8, SMALL)


def changed_photo(ledger: Ledger, place: int, **changes) -> Ledger:
    visit = ledger.visits[-1]
    photos = [replace(photo, **changes) if n == place else photo for n, photo in enumerate(visit.photos)]
    return replace(ledger, visits=(replace(visit, photos=tuple(photos)),))


def test_html__stands_alone(made: tuple[Path, Ledger]) -> None:
    folder, ledger = made
    page = write(ledger, folder)
    addresses = re.findall(r'(?:src|href)="([^"]*)"|url\(([^)]*)\)', page)
    assert all(source.startswith(("data:image/", "#")) for pair in addresses for source in pair if source)
    assert "<script" not in page
    targets = set(re.findall(r'id="([^"]*)"', page))
    assert set(re.findall(r'href="#([^"]*)"', page)) <= targets


def test_html__every_finding_in_the_table_and_every_photo_shown(made: tuple[Path, Ledger]) -> None:
    folder, ledger = made
    page = write(ledger, folder)
    numbers = re.findall(r'<td data-name="No.">(\d+)</td>', page)
    assert sorted(map(int, numbers)) == [finding.number for finding in ledger.findings]
    assert page.count("<img ") == len(ledger.findings) + len(ledger.visits[0].photos)
    said = words(page)
    for photo in ledger.visits[0].photos:
        assert photo.path.rpartition("/")[2] in said
    assert "Detected cracks: 0.62 mm to 3.07 mm wide (1.5 px to 8 px)" in said


def test_html__verdict_comes_first(made: tuple[Path, Ledger]) -> None:
    folder, ledger = made
    said = words(write(ledger, folder))
    fails = sum(one.observations[0].verdicts[0].outcome == "fail" for one in ledger.findings)
    noun = "finding exceeds" if fails == 1 else "findings exceed"
    assert f"{fails} {noun} a limit of the rules." in said
    order = ["1. Summary", f"{fails} {noun}", "2. Walls and photos", "Photo 1", "Method and its limits"]
    places = [said.rindex(text) for text in order]
    assert places == sorted(places)
    for text in ("A. Reviewer", "2026-11-30", "NHBC", "edition 2020", "compact 1.0", "crack 0.41"):
        assert text in said
    assert RULES.source.address in said


def test_same_input__same_bytes(made: tuple[Path, Ledger]) -> None:
    pytest.importorskip("reportlab")
    folder, ledger = made
    first = [
        path.read_bytes() for path in write_inspection_report(ledger, RULES, folder, ReportOptions(), True)
    ]
    again = [
        path.read_bytes() for path in write_inspection_report(ledger, RULES, folder, ReportOptions(), True)
    ]
    assert first == again
    assert len(first) == 2


@pytest.mark.parametrize("paper", ["a4", "letter"])
def test_pdf__a_page_per_photo_and_none_is_empty(made: tuple[Path, Ledger], paper: str) -> None:
    pytest.importorskip("reportlab")
    folder, ledger = made
    write(ledger, folder, pdf=True, paper=paper)
    pages = of_pdf(folder)
    starts = [sum(f"Photo {number}:" in page for page in pages) for number in range(1, 9)]
    assert starts == [1] * 8
    assert not [page for page in pages if page.count("Photo ") > 1 and "2 Walls and photos" not in page]
    assert all(len(page) > 80 for page in pages)
    everything = " ".join(pages)
    assert all(f"No. {finding.number}," in everything for finding in ledger.findings)


def test_imperial__fractions_beside_decimals(made: tuple[Path, Ledger]) -> None:
    folder, ledger = made
    said = words(write(ledger, folder, units="imperial", paper="letter"))
    assert re.search(r"\d\.\d+ in \[\d+/\d+\]", said)
    assert "@page { size: letter" in (folder / HTML).read_text("utf-8")


def test_nothing_found__names_the_narrowest_crack(tmp_path: Path) -> None:
    ledger = replace(inspected(tmp_path, 1, SMALL), findings=())
    said = words(write(ledger, tmp_path))
    assert "Nothing was found in 1 photo. Cracks that are 0.62 mm to 3.07 mm wide are found in 90 %" in said
    assert "Narrower and wider cracks are missed more often." in said
    unknown = words(write(changed_photo(ledger, 0, detection_limit_px=None), tmp_path))
    assert "It is unknown which cracks would have been found." in unknown


def test_without_scale__pixels_only(tmp_path: Path) -> None:
    said = words(write(inspected(tmp_path, 1, SMALL, scaled=False), tmp_path))
    assert "no scale, so sizes are in pixels" in said
    tables = said[said.index("Photo 1") : said.index("Method and its limits")]
    assert not re.search(r"\d mm \(", tables)


NASTY = "a/<script>alert(1)<b> `x` **y** \u202egpj.exe.jpg"
LONG = f"b/{'very-long-name-' * 20}.jpg"


def test_names__are_escaped_and_long_ones_are_kept(tmp_path: Path) -> None:
    pytest.importorskip("reportlab")
    ledger = inspected(tmp_path, 2, SMALL, (NASTY, LONG))
    ledger = replace(ledger, name="<b>&amp; \u2066site", places=tuple(ledger.places))
    page = write(ledger, tmp_path, pdf=True, client='"><img src=x onerror=alert(1)>', title="T" * 300)
    assert "<script" not in page
    assert "<img src=x" not in page
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", page)
    assert LONG.rpartition("/")[2] in page
    assert "&lt;script&gt;alert(1)&lt;b&gt;" in page
    assert "very-long-name-" in "".join(of_pdf(tmp_path))


def test_refused_photos_and_defects_are_told(made: tuple[Path, Ledger]) -> None:
    folder, ledger = made
    visit = ledger.visits[-1]
    refused = PhotoRecord("x/raw.dng", "x", "0" * 64, refused="camera raw files cannot be read")
    said = words(write(replace(ledger, visits=(replace(visit, photos=(*visit.photos, refused)),)), folder))
    assert "1 photo was not inspected. The verdict says nothing about it." in said
    assert "x/raw.dng Camera raw files cannot be read." in said
    assert "The photo is out of focus." in said
    assert "1 photo has a defect" in said


def test_owner_data__only_if_given(made: tuple[Path, Ledger]) -> None:
    folder, ledger = made
    said = words(write(ledger, folder))
    assert "Client" not in said
    assert str(folder) not in (folder / HTML).read_text("utf-8")
    path = folder / ledger.visits[0].photos[0].path
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[ExifTags.IFD.GPSInfo] = {1: "N", 2: (52.0, 6.0, 0.0), 3: "W", 4: (4.0, 12.0, 0.0)}
    Image.new("RGB", (40, 40)).save(path, exif=exif)
    assert "52.1" not in words(write(ledger, folder))
    given = words(write(ledger, folder, client="Ann Owner", with_gps=True))
    assert "Client Ann Owner" in given
    assert "52.10000° N, 4.20000° W" in given


def test_earlier_visits_and_reviews(made: tuple[Path, Ledger]) -> None:
    folder, ledger = made
    first, *others = ledger.findings
    again = replace(
        others[0], observations=(others[0].observations[0], replace(others[0].observations[0], visit=2))
    )
    second = replace(ledger.visits[0], number=2, date="2027-01-05")
    reviews = (Review(1, "comment", "Ann", "2027-01-06T10:00:00+01:00", {"text": "seen on site"}),)
    later = replace(ledger, visits=(*ledger.visits, second), findings=(first, again), reviews=reviews)
    said = words(write(later, folder))
    assert "visit of 2027-01-05" in said
    assert "Largest width at visit 1:" in said
    assert "Findings of earlier visits" in said
    assert "not seen again" in said
    assert "comment Ann text: seen on site" in said
    assert "The photo is missing or has changed since its inspection" in said, "visit 2 has no pictures"


def test_rules__are_explained_in_the_summary_and_in_their_chapter_only(made: tuple[Path, Ledger]) -> None:
    folder, ledger = made
    rule = RULES.rules[0]
    assert rule.note
    (one,) = ledger.findings[0].observations
    verdict = replace(one.verdicts[0], rule=rule.id, reason="It is too wide")
    first = replace(ledger.findings[0], observations=(replace(one, verdicts=(verdict,)),))
    said = words(write(replace(ledger, findings=(first, *ledger.findings[1:])), folder))
    assert said.count("It is too wide.") == 1
    assert said.count(" ".join(rule.note.split())) == 2
    assert said.count("Passes only if the crack lies where the wall meets the floor") == 2


def test_missing_picture__said(made: tuple[Path, Ledger], tmp_path: Path) -> None:
    assert "is missing or has changed since its inspection, so it is not shown" in words(
        write(made[1], tmp_path)
    )
