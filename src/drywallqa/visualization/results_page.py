"""`index.html`: one page that shows a folder of results, straight from the disk."""

from __future__ import annotations

import html
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from drywallqa.files import write_whole

NAME = "index.html"

Record = dict[str, Any]


def write_results_page(folder: Path, records: Iterable[Record]) -> Path:
    """Write the page of a folder from its manifest's lines.

    Args:
        folder: The results' folder; pictures are linked relative to it, so it can be moved or sent.
        records: The manifest's lines.

    Raises:
        OutputError: The page cannot be written.
    """
    path = folder / NAME
    write_whole(path, render_results_page(list(records), folder.resolve().name).encode("utf-8", "replace"))
    return path


def render_results_page(records: list[Record], title: str) -> str:
    """Make the page's HTML."""
    photos: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if "mask" in record:
            place = str(record["mask"]).rpartition("/")[0]
            photos.setdefault((place, str(record["image_id"])), []).append(record)
    failed = [record for record in records if "error" in record]
    results = sum(map(len, photos.values()))
    marked = sum(1 for each in photos.values() for record in each if record["area"] > 0)
    template = Template(
        resources.files("drywallqa.visualization").joinpath("templates", "results.html").read_text("utf-8")
    )
    return template.substitute(
        title=html.escape(title),
        summary=html.escape(
            f"{_count(len(photos), 'photo')}, {_count(results, 'mask')}, {marked} with something marked"
            + _doubtful(photos.values())
        ),
        failures=_failures(failed),
        cards="\n".join(_card(place, name, each) for (place, name), each in sorted(photos.items())),
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _card(place: str, name: str, records: list[Record]) -> str:
    found = any(record["area"] > 0 for record in records)
    words = " ".join([place, name, *(str(record["prompt"]) for record in records)]).lower()
    size = f"{records[0]['width']} × {records[0]['height']} px"
    where = f'<span class="place">{html.escape(place)}/</span>' if place else ""
    return (
        f'<article data-words="{html.escape(words)}" data-found="{int(found)}">'
        f"<h2>{where}{html.escape(name)} <small>{size}</small></h2>{_doubts(records)}"
        f'<div class="row">{"".join(map(_figure, records))}</div></article>'
    )


def _doubtful(photos: Iterable[list[Record]]) -> str:
    doubtful = sum(any(record.get("quality") for record in records) for records in photos)
    return f", {_count(doubtful, 'photo')} with a note" if doubtful else ""


def _doubts(records: list[Record]) -> str:
    """Say what the photo could not have shown, so that an empty mask of it is not taken for an all-clear."""
    notes = dict.fromkeys(str(note) for record in records for note in record.get("quality") or ())
    return "".join(f'<p class="doubt">{html.escape(note)}</p>' for note in notes)


def _figure(record: Record) -> str:
    prompt = html.escape(_abridged(str(record["prompt"])))
    concept = record["concept"]
    meaning = f" <span class=concept>{html.escape(str(concept))}</span>" if concept else ""
    presence = float(record["presence"])
    marked = record["area"] > 0
    found = f"{_percent(float(record['area']))} marked" if marked else "nothing marked"
    found += "" if marked or not record.get("quality") else ", but mind the note above"
    links = [
        f'<a href="{_address(record[kind])}">{label}</a>'
        for kind, label in (("mask", "mask"), ("overlay", "overlay"), ("probability_map", "probability"))
        if record.get(kind)
    ]
    picture = ""
    if record.get("thumbnail"):
        picture = (
            f'<a href="{_address(record.get("overlay") or record["mask"])}">'
            f'<img loading="lazy" src="{_address(record["thumbnail"])}" alt="{prompt}: {found}"></a>'
        )
    return (
        f"<figure>{picture}<figcaption><b>{prompt}</b>{meaning}"
        f'<p class="{"marked" if marked else "nothing"}">{found}</p>'
        f'<p><span class="presence"><span class="bar"><i style="width:{presence:.1%}"></i></span> '
        f"presence {presence:.2f}</span>"
        f'<span class="links">{" · ".join(links)}</span></p></figcaption></figure>'
    )


def _percent(share: float) -> str:
    """Write a share so that a small one does not become zero."""
    return f"{share:.1%}" if share >= 0.01 else f"{share:.2%}" if share >= 0.0001 else "under 0.01%"


def _failures(failed: list[Record]) -> str:
    if not failed:
        return ""
    lines = "".join(f"<li>{html.escape(_abridged(str(record['error']), 400))}</li>" for record in failed)
    return f"<details open><summary>{_count(len(failed), 'failure')}</summary><ul>{lines}</ul></details>"


def _abridged(text: str, longest: int = 80) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _address(path: str) -> str:
    return quote(str(path).encode("utf-8", "surrogateescape"), safe="/")
