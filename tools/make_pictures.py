"""Create the image for the README, which shows each example wall of `drywallqa demo` with its masks.

Usage: python tools/make_pictures.py DEMO_OUTPUT PICTURES
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from drywallqa.imaging import mask_files
from drywallqa.synthetic.examples import EXAMPLES
from drywallqa.workflows.demo import PROMPTS

SIDE, GAP, STRIP = 300, 6, 22
# Blue and orange also differ in lightness, so that people with colour blindness can distinguish them.
COLOURS = {"crack": (255, 140, 0), "taping area": (0, 90, 220), "seam line": (170, 0, 90)}


def marked(photo: Path, results: Path) -> Image.Image:
    """Draw one photo with its masks. Each mask is a transparent area with an opaque edge."""
    with Image.open(photo) as opened:
        picture = np.asarray(opened.convert("RGB"), np.float32)
    for concept, prompt in PROMPTS.items():
        mask = mask_files.read_mask(results / mask_files.file_name(photo.stem, prompt))
        padded = np.pad(mask, 3)
        inner = mask.copy()
        for rows, columns in ((0, 3), (6, 3), (3, 0), (3, 6)):
            inner &= padded[rows : rows + mask.shape[0], columns : columns + mask.shape[1]]
        colour = np.array(COLOURS[concept], np.float32)
        picture[mask] = 0.7 * picture[mask] + 0.3 * colour
        picture[mask & ~inner] = colour
    return Image.fromarray(picture.astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def sheet(demo: Path) -> Image.Image:
    """Draw all example walls in two rows, below a legend of the colours."""
    columns = len(EXAMPLES) // 2
    size = (columns * (SIDE + GAP) - GAP, STRIP + 2 * (SIDE + GAP) - GAP)
    page = Image.new("RGB", size, "white")
    draw, left = ImageDraw.Draw(page), 0
    for concept, prompt in PROMPTS.items():
        draw.rectangle((left, 4, left + 14, STRIP - 4), fill=COLOURS[concept])
        draw.text((left + 20, 3), f'"{prompt}"', fill="black", font=ImageFont.load_default(13))
        left += 200
    for place, example in enumerate(EXAMPLES):
        corner = (place // 2 * (SIDE + GAP), STRIP + place % 2 * (SIDE + GAP))
        page.paste(marked(demo / "photos" / f"{example.name}.png", demo / "results"), corner)
    return page


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    target = Path(sys.argv[2]) / "rendered-walls-with-masks.jpg"
    sheet(Path(sys.argv[1])).save(target, quality=88)
    print(target)
