"""One document, three forms: nothing gets lost, nothing that users typed marks anything up."""

import html
import io
import re

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
    bold,
    code,
    escape,
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
        Pictures([shown]), Pictures([other, other]),
    ]  # fmt: skip
    return Document(f"Title {words}", words, [("fact", words)], [Chapter(f"First {words}", blocks)])


def test_marks__of_texts_from_elsewhere_mark_nothing() -> None:
    assert escape("`b` **c**") == "'b' * *c* *"
    assert code("a`b") == "`a'b`"
    assert bold("a ** b ") == "**a * * b**"


def test_sentence__capital_and_stop() -> None:
    assert as_sentence("photos were skipped") == "Photos were skipped."
    assert as_sentence("LEAK: all.") == "LEAK: all."


def test_html__stands_alone_and_says_everything() -> None:
    page = document_html.render_html(make()).decode()
    assert "http" not in page
    assert "<script" not in page
    assert page.count("data:image/png;base64,") == 1
    assert page.count("data:image/jpeg;base64,") == 2
    for source in ("log.jsonl", "points.csv", "table.json", "one.png"):
        assert f"<em>Source: run/{source}</em>" in page
    assert "<code>code</code>" in page
    assert "<strong>bold</strong>" in page
    assert '<td class="number" data-name="IoU">0.512 <small>(0.401–0.623)</small></td>' in page
    assert '<h2 id="chapter-1">1. First plain</h2>' in page
    assert 'alt="alt plain"' in page


def test_html__nothing_typed_is_markup() -> None:
    page = document_html.render_html(make(NASTY)).decode()
    assert "<img src=x" not in page
    assert page.count("<img ") == 3
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "[link](x) #1 &quot;q&quot; &amp; é łŻ 漢 →" in page


@pytest.mark.parametrize(
    "words",
    [
        "- a",
        "+ a",
        "1. a",
        "2) a",
        "---",
        "# a",
        "> a",
        "~~~",
        "&lt;",
        "a_b_c",
        "*a*",
        "a|b\\",
        "http://a.b",
    ],
)
def test_html__words_stay_what_they_are_wherever_they_stand(words: str) -> None:
    blocks = [Paragraph(words), BulletList([words]), Callout(words), Table((words,), [(code(words),)], words)]
    document = Document(words, words, [(words, words)], [Chapter(words, blocks)])
    page = document_html.render_html(document).decode()
    body = page[page.index("<h1>") :]
    assert html.unescape(re.sub(r"<[^>]+>", "", body)).count(words) == 12
    assert len(re.findall("<li[ >]", body)) == 2, "of the contents and of the list"


def test_markdown__tables_keep_their_columns_and_pictures_their_files() -> None:
    text = document_markdown.render_markdown(make(NASTY)).decode()
    rows = [line for line in text.splitlines() if line.startswith("|") and "0.512" in line]
    assert len(rows) == 1
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 3
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
    assert "0.401–0.623" in " ".join(text.split())
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
