"""Draw the screens of docs/page-design, and simulate colour blindness: make_page_design.py [NAME...].

Needs Chromium. Each screen is plain HTML and CSS. The palette of each PNG file contains the colours of
tokens.css, so that the colours of the design stay exact although the files are small.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FOLDER = Path(__file__).parents[1] / "docs" / "page-design"
DESK, PHONES = (1280, 800), (1560, 828)  # width and height in px
DARK = ("threshold",)
SIMULATED = ("result", "phone")
DEUTERANOPIA = (
    (0.367322, 0.860646, -0.227968),
    (0.280085, 0.672501, 0.047413),
    (-0.01182, 0.04294, 0.968881),
)
"""Machado, Oliveira, Fernandes 2009, severity 1.0, for linear RGB."""
GREY = ((0.2126, 0.7152, 0.0722),) * 3


def main(names: list[str]) -> None:
    """Draw the screens, all if no name is given."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed. On Debian: apt-get install chromium")
    for page in sorted(FOLDER.glob("*.html")):
        if not names or page.stem in names:
            pack(draw(chromium, page), page.with_suffix(".png"))
    pack(simulate(), FOLDER / "simulation.png")


def draw(chromium: str, page: Path) -> Image.Image:
    """Return a screenshot of a page."""
    width, height = PHONES if page.stem == "phone" else DESK
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "page"
        shutil.copytree(FOLDER, copy)
        if page.stem in DARK:
            text = page.read_text(encoding="utf-8").replace('data-theme="light"', 'data-theme="dark"')
            (copy / page.name).write_text(text, encoding="utf-8")
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
        places = (f"--user-data-dir={folder}/profile", f"--screenshot={folder}/shot.png")
        size = f"--window-size={width},{height}"
        command = (chromium, *options, *places, size, (copy / page.name).as_uri())
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        return Image.open(f"{folder}/shot.png").convert("RGB")


def pack(picture: Image.Image, path: Path, colours: int = 120) -> None:
    """Write a picture with the colours of the design and `colours` colours of its photos."""
    flat = np.asarray(picture).reshape(-1, 3)
    found, counts = np.unique(flat, axis=0, return_counts=True)
    frequent = [tuple(colour) for colour in found[np.argsort(-counts)[:24]].tolist()]
    tokens = re.findall(r"#([0-9a-f]{6})", (FOLDER / "tokens.css").read_text(encoding="utf-8"))
    named = [tuple(bytes.fromhex(token)) for token in tokens]
    reduced = picture.quantize(colours, dither=Image.Dither.NONE).getpalette() or []
    photo = list(zip(reduced[::3], reduced[1::3], reduced[2::3], strict=True))
    palette = list(dict.fromkeys((*frequent, *named, *photo)))[:256]
    index = Image.new("P", (1, 1))
    index.putpalette([value for colour in palette for value in colour])
    picture.quantize(palette=index, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def simulate() -> Image.Image:
    """Return the simulated screens: in grey on the left, with deuteranopia on the right."""
    rows = [Image.open(FOLDER / f"{name}.png").convert("RGB") for name in SIMULATED]
    rows = [row.resize((640, round(640 * row.height / row.width)), Image.Resampling.LANCZOS) for row in rows]
    whole = Image.new("RGB", (1280, sum(row.height for row in rows)))
    top = 0
    for row in rows:
        whole.paste(seen_with(row, GREY), (0, top))
        whole.paste(seen_with(row, DEUTERANOPIA), (640, top))
        top += row.height
    return whole


def seen_with(picture: Image.Image, matrix: tuple[tuple[float, ...], ...]) -> Image.Image:
    """Return a picture after a linear change of its linear RGB values."""
    values: NDArray[np.float64] = np.asarray(picture) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    changed = np.clip(linear @ np.array(matrix).T, 0, 1)
    encoded = np.where(changed <= 0.0031308, changed * 12.92, 1.055 * changed ** (1 / 2.4) - 0.055)
    return Image.fromarray(np.round(encoded * 255).astype(np.uint8))


if __name__ == "__main__":
    main(sys.argv[1:])
