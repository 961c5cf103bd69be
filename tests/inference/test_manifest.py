import json
from pathlib import Path

from drywallqa.inference.manifest import Manifest


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def test_manifest__last_line_counts_and_compacts(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    for area in (0.1, 0.2):
        manifest.add({"mask": "a.png", "source": "a.jpg", "area": area})
    assert len(lines(tmp_path)) == 2
    manifest.compact()
    assert [line["area"] for line in lines(tmp_path)] == [0.2]


def test_manifest__success_takes_the_place_of_an_error(tmp_path: Path) -> None:
    Manifest(tmp_path).add({"source": "a.jpg", "error": "damaged"})
    manifest = Manifest(tmp_path)
    manifest.add({"mask": "a.png", "source": "a.jpg"})
    manifest.compact()
    assert lines(tmp_path) == [{"mask": "a.png", "source": "a.jpg"}]


def test_manifest__cut_off_line_is_dropped(tmp_path: Path) -> None:
    Manifest(tmp_path).add({"mask": "a.png", "source": "a.jpg"})
    with (tmp_path / "manifest.jsonl").open("a") as stream:
        stream.write('{"mask": "b.png", "sour')
    manifest = Manifest(tmp_path)
    assert manifest.of_mask("a.png") is not None
    manifest.add({"mask": "c.png", "source": "c.jpg"})
    assert [line["mask"] for line in lines(tmp_path)] == ["a.png", "c.png"]


def test_manifest__names_that_are_no_text(tmp_path: Path) -> None:
    Manifest(tmp_path).add({"mask": "a.png", "source": "bad\udce4name.jpg", "prompt": "🔥"})
    assert lines(tmp_path)[0]["source"] == "bad\udce4name.jpg"
    assert "🔥" in (tmp_path / "manifest.jsonl").read_text(encoding="utf-8")
