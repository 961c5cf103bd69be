import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from drywallqa.visualization import results_page


def record(**changes: Any) -> dict[str, Any]:
    return {
        "image_id": "wall",
        "source": "site/wall.jpg",
        "prompt": "segment crack",
        "concept": "crack",
        "mask": "wall__segment_crack.png",
        "thumbnail": "index_files/wall__segment_crack.jpg",
        "height": 48,
        "width": 64,
        "presence": 0.9,
        "area": 0.04,
        **changes,
    }


class Links(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [unquote(value or "") for name, value in attrs if name in ("href", "src")]


def test_render__photos_grouped_with_figures() -> None:
    page = results_page.render_results_page(
        [record(), record(prompt="segment taping area", area=0.0, presence=0.1), record(image_id="two")],
        "site",
    )
    assert page.count("<article") == 2
    assert "2 photos, 3 masks, 2 with something marked" in page
    assert "4.0% marked" in page
    assert "nothing marked" in page


def test_render__a_little_is_not_nothing() -> None:
    shown = {area: results_page.render_results_page([record(area=area)], "t") for area in (0.0042, 0.00001)}
    assert "0.42% marked" in shown[0.0042]
    assert "under 0.01% marked" in shown[0.00001]


def test_render__escapes_what_users_typed() -> None:
    page = results_page.render_results_page(
        [record(prompt="<script>alert(1)</script>", image_id='"><b>')], "<i>"
    )
    assert page.count("<script>") == 1
    assert "<b>alert" not in page
    assert '"><b>' not in page.replace('"><b>&lt;script', "")
    assert "<title>&lt;i&gt;" in page


def test_render__links_are_relative_and_quoted() -> None:
    page = results_page.render_results_page(
        [record(mask="a b/100%#1__x.png", overlay="a b/100%#1__x.overlay.jpg")], "t"
    )
    assert "a%20b/100%25%231__x.png" in page
    links = Links(page).found
    assert "a b/100%#1__x.png" in links
    assert not [link for link in links if re.match(r"\w+:|/", link)]


def test_render__an_empty_mask_of_a_doubtful_photo_is_no_all_clear() -> None:
    doubt = ["nearly black: <97%> of its pixels are below 8 of 255; take it again with more light"]
    records = [
        record(area=0.0, quality=doubt), record(prompt="segment joint", area=0.1, quality=doubt),
        record(image_id="good", area=0.0), record(image_id="older", area=0.0, quality=None),
    ]  # fmt: skip
    page = results_page.render_results_page(records, "t")
    assert page.count('<p class="doubt">') == 1
    assert '<p class="doubt">nearly black: &lt;97%&gt; of its pixels' in page
    assert page.count("nothing marked, but see the note above") == 2  # below the picture, and in its place
    assert "1 photo with a note" in page
    assert "with a note" not in results_page.render_results_page([record()], "t")


def test_render__failures() -> None:
    page = results_page.render_results_page(
        [{"source": "bad.jpg", "error": "bad.jpg: the file is empty"}], "t"
    )
    assert "1 failure<" in page
    assert "bad.jpg: the file is empty" in page


def test_write__needs_nothing_from_the_network(tmp_path: Path) -> None:
    path = results_page.write_results_page(tmp_path / "out", [record()])
    page = path.read_text("utf-8")
    assert "http" not in page
    assert "@import" not in page


def test_render_results_page__says_where_the_photo_shows_no_line() -> None:
    page = results_page.render_results_page([record(unseen=0.25)], "t")
    assert "4.0% marked, no line in 25% of the outline" in page
    assert "no line" not in results_page.render_results_page([record(unseen=0.0)], "t")
