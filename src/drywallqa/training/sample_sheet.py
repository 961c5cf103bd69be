"""A picture sheet of what the model really sees: training pictures after every change, truth drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from drywallqa.files import write_whole
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.sampling.pairs import TrainingPairs, TrainingPicture

INKS = ((255, 106, 0), (0, 130, 255), (200, 0, 200), (0, 170, 90))
"""One a concept, in the order of the data set; told apart also by those who see red and green alike."""
_GAP, _CAPTION, _COLUMNS = 8, 18, 4


def write_sample_sheet(pairs: TrainingPairs, path: Path, count: int = 12) -> None:
    """Draw the first pictures of an epoch into a PNG.

    Raises:
        OutputError: The file cannot be written.
    """
    items = [pairs[index] for index in range(min(count, len(pairs)))]
    stream = BytesIO()
    draw_pictures(items, list(pairs.phrases), pairs.window).save(stream, "PNG")
    write_whole(path, stream.getvalue())


def draw_pictures(
    items: Sequence[TrainingPicture], concepts: Sequence[str], window: Letterbox
) -> Image.Image:
    """Draw pictures in a grid, each above a line that says what of it is foreground."""
    side = items[0]["image"].shape[2]
    columns = min(_COLUMNS, len(items))
    rows = -(-len(items) // columns)
    cell = (side + _GAP, side + _GAP + _CAPTION * len(concepts))
    sheet = Image.new("RGB", (columns * cell[0] + _GAP, rows * cell[1] + _GAP), (255, 255, 255))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for number, item in enumerate(items):
        left, top = _GAP + number % columns * cell[0], _GAP + number // columns * cell[1]
        sheet.paste(Image.fromarray(_overlaid(item, window)), (left, top))
        for line, concept in enumerate(concepts):
            share = float(item["truth"][line].mean())
            told = f"{share:.1%}" if item["known"][line] else "not labelled"
            y, ink = top + side + 1 + line * _CAPTION, INKS[line % len(INKS)]
            pen.rectangle((left, y + 4, left + 9, y + 13), fill=ink)
            pen.text((left + 15, y), f"{concept}: {told}", fill=(30, 30, 30), font=font)
    return sheet


def _overlaid(item: TrainingPicture, window: Letterbox) -> NDArray[np.uint8]:
    """Undo the normalisation [3,S,S] and outline each concept's truth: RGB [S,S,3]."""
    pixels = item["image"].numpy().transpose(1, 2, 0)
    photo = (pixels * np.array(window.std) + np.array(window.mean)) * 255
    picture: NDArray[np.uint8] = np.clip(photo, 0, 255).round().astype(np.uint8)
    for line, truth in enumerate(item["truth"].numpy()):
        mask = Image.fromarray(np.asarray(truth, np.float32)).resize((picture.shape[1], picture.shape[0]))
        inside = np.pad(np.asarray(mask) > 0.5, 2)
        core = inside[4:, 2:-2] & inside[:-4, 2:-2] & inside[2:-2, 4:] & inside[2:-2, :-4]
        edge = inside[2:-2, 2:-2] & ~core
        picture[edge] = INKS[line % len(INKS)]
    return picture
