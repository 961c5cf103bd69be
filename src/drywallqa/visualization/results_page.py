"""Write `index.html`, a page that shows the results in a folder and needs no server."""

from __future__ import annotations

import html
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from drywallqa.files import write_whole
from drywallqa.inference.mask_kinds import describe_unseen

NAME = "index.html"

Record = dict[str, Any]


def write_results_page(folder: Path, records: Iterable[Record]) -> Path:
    """Write the results page of a folder from the records of its manifest.

    Args:
        folder: Folder of the results. The links in the page are relative, so that users can move the folder.
        records: The records of the manifest.

    Raises:
        OutputError: The page cannot be written.
    """
    path = folder / NAME
    write_whole(path, render_results_page(list(records), folder.resolve().name).encode("utf-8", "replace"))
    return path


def render_results_page(records: list[Record], title: str) -> str:
    """Render the results page as HTML."""
    photos: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if "mask" in record:
            folder = str(record["mask"]).rpartition("/")[0]
            photos.setdefault((folder, str(record["image_id"])), []).append(record)
    shown = [record for own in photos.values() for record in own]
    marked = sum(record["area"] > 0 for record in shown)
    noted = sum(any(record.get("quality") for record in own) for own in photos.values())
    errors = [_shorten(str(record["error"]), 400) for record in records if "error" in record]
    summary = f"{_count(len(photos), 'photo')}, {_count(len(shown), 'mask')}, {marked} with something marked"
    failures = "".join(f"<li>{html.escape(error)}</li>" for error in errors)
    head = f"<details open><summary>{_count(len(errors), 'failure')}</summary>"
    template = resources.files("drywallqa.visualization").joinpath("templates", "results.html")
    return Template(template.read_text("utf-8")).substitute(
        title=html.escape(title),
        summary=html.escape(summary + (f", {_count(noted, 'photo')} with a note" if noted else "")),
        failures=f"{head}<ul>{failures}</ul></details>" if errors else "",
        cards="\n".join(_card(folder, name, own) for (folder, name), own in sorted(photos.items())),
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _card(folder: str, name: str, records: list[Record]) -> str:
    found = any(record["area"] > 0 for record in records)
    words = " ".join([folder, name, *(str(record["prompt"]) for record in records)]).lower()
    size = f"{records[0]['width']} × {records[0]['height']} px"
    place = f'<span class="place">{html.escape(folder)}/</span>' if folder else ""
    # The page shows defects of a photo, because an empty mask of a bad photo does not mean an intact wall.
    notes = dict.fromkeys(str(note) for record in records for note in record.get("quality") or ())
    doubts = "".join(f'<p class="doubt">{html.escape(note)}</p>' for note in notes)
    return (
        f'<article data-words="{html.escape(words)}" data-found="{int(found)}">'
        f"<h2>{place}{html.escape(name)} <small>{size}</small></h2>{doubts}"
        f'<div class="row">{"".join(map(_figure, records))}</div></article>'
    )


def _figure(record: Record) -> str:
    prompt, concept = html.escape(_shorten(str(record["prompt"]))), record["concept"]
    meaning = f" <span class=concept>{html.escape(str(concept))}</span>" if concept else ""
    presence, area = float(record["presence"]), float(record["area"])
    # A small share must not be rounded to zero.
    share = f"{area:.1%}" if area >= 0.01 else f"{area:.2%}" if area >= 0.0001 else "under 0.01%"
    empty = "nothing marked" + (", but see the note above" if record.get("quality") else "")
    found = ", ".join(
        filter(None, (f"{share} marked" if area > 0 else empty, describe_unseen(record.get("unseen"))))
    )
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
        f'<p class="{"marked" if area > 0 else "nothing"}">{found}</p>'
        f'<p><span class="presence"><span class="bar"><i style="width:{presence:.1%}"></i></span> '
        f"presence {presence:.2f}</span>"
        f'<span class="links">{" · ".join(links)}</span></p></figcaption></figure>'
    )


def _shorten(text: str, longest: int = 80) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _address(path: str) -> str:
    return quote(str(path).encode("utf-8", "surrogateescape"), safe="/")
