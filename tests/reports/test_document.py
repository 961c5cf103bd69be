"""One document, three forms: nothing gets lost, nothing that users typed marks anything up."""

import io

import pytest
from PIL import Image

from drywallqa.reports import document_html, document_markdown
from drywallqa.reports.document import (
    BulletList,
    Callout,
    Chapter,
    CodeBlock,
    Document,
    Heading,
    Paragraph,
    Picture,
    Pictures,
    Table,
    as_sentence,
    code,
    escape,
    text_spans,
    with_interval,
)

NASTY = 'a|b <img src=x onerror=alert(1)> `code` **bold** [link](x) #1 "q" & é łŻ 漢 →'


def picture(kind: str = "PNG", side: int = 40) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (2 * side, side), (10, 90, 160)).save(stream, kind)
    return stream.getvalue()


def make(words: str = "plain") -> Document:
    shown = Picture(picture(), "one.png", f"alt {words}", f"Caption {words}.", "run/one.png")
    other = Picture(picture("JPEG"), "two.jpg", "two")
    blocks = [
        Paragraph(f"{words} with `code` and **bold**.", "run/log.jsonl"), Callout(words), Heading(words),
        BulletList([words, "second point"], "run/points.csv"), CodeBlock(f"drywallqa report  x\n{words}"),
        Table(("name", "IoU"), [(words, "0.512 (0.401–0.623)")], f"Table {words}", "run/table.json"),
        shown, Pictures([other, other]),
    ]  # fmt: skip
    return Document(f"Title {words}", words, [("fact", words)], [Chapter(f"First {words}", blocks)])


def test_spans__marks_and_rest() -> None:
    found = list(text_spans("a `b` **c** d"))
    assert found == [("", "a "), ("code", "b"), ("", " "), ("bold", "c"), ("", " d")]
    assert list(text_spans(escape("`b` **c**"))) == [("", "'b' * *c* *")]
    assert list(text_spans(code("a`b"))) == [("code", "a'b")]


def test_sentence__capital_and_stop() -> None:
    assert as_sentence("photos were skipped") == "Photos were skipped."
    assert as_sentence("LEAK: all.") == "LEAK: all."


def test_with_interval__parts_a_figure_from_its_brackets() -> None:
    assert with_interval("0.5 (0.4–0.6)") == ("0.5", "0.4–0.6")
    assert with_interval("no interval") == ("no interval", "")
    assert with_interval("a (b) c") == ("a (b) c", "")


def test_html__stands_alone_and_says_everything() -> None:
    page = document_html.render_html(make()).decode()
    assert "http" not in page
    assert "<script" not in page
    assert page.count("data:image/png;base64,") == 1
    assert page.count("data:image/jpeg;base64,") == 2
    for source in ("log.jsonl", "points.csv", "table.json", "one.png"):
        assert f"Source: run/{source}" in page
    assert "<code>code</code>" in page
    assert "<strong>bold</strong>" in page
    assert '<td class="figure">0.512<small>0.401–0.623</small></td>' in page
    assert 'alt="alt plain"' in page


def test_html__nothing_typed_is_markup() -> None:
    page = document_html.render_html(make(NASTY)).decode()
    assert "<img src=x" not in page
    assert page.count("<img ") == 3
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_markdown__tables_keep_their_columns_and_pictures_their_files() -> None:
    text = document_markdown.render_markdown(make(NASTY)).decode()
    rows = [line for line in text.splitlines() if line.startswith("|") and "0.512" in line]
    assert len(rows) == 1
    assert rows[0].count(" | ") == 1
    assert f"]({document_markdown.PICTURES}/one.png)" in text
    assert "\\<img src=x" in text
    assert "## 1. First" in text


def test_pdf__pages_outline_and_letters() -> None:
    pypdf = pytest.importorskip("pypdf")
    pytest.importorskip("reportlab")
    from drywallqa.reports import document_pdf

    content = document_pdf.render_pdf(make(NASTY))
    found = pypdf.PdfReader(io.BytesIO(content))
    text = "\n".join(page.extract_text() for page in found.pages)
    assert "0.512" in text
    assert "0.401–0.623" in text
    assert "é" in text
    assert "->" in text  # no font has an arrow
    assert "??" not in text.replace("漢", "")
    assert found.outline[0]["/Title"].startswith("1 First")
    assert sum(len(page.images) for page in found.pages) == 2, "the pair shows one picture twice"
    assert content == document_pdf.render_pdf(make(NASTY)), "the same document gives the same file"


def test_pdf__long_tables_run_over_pages() -> None:
    pypdf = pytest.importorskip("pypdf")
    pytest.importorskip("reportlab")
    from drywallqa.reports import document_pdf

    rows = [(f"row {number}", f"{number}") for number in range(150)]
    document = Document("Long", "", [("a", "b")], [Chapter("Rows", [Table(("name", "count"), rows)])])
    found = pypdf.PdfReader(io.BytesIO(document_pdf.render_pdf(document)))
    assert len(found.pages) > 2
    assert all("count" in page.extract_text() for page in found.pages), "the head stands on every page"
