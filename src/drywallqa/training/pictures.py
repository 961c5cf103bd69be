"""Draws training pictures with their ground truth, and validation photos with their masks."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from drywallqa.files import write_whole
from drywallqa.imaging.letterbox import Letterbox
from drywallqa.sampling.pairs import TrainingPairs, TrainingPicture
from drywallqa.training.validation import ValidationPart

INKS = ((255, 106, 0), (0, 130, 255), (200, 0, 200), (0, 170, 90))
"""Colours of the concepts, in the order of the data set. Colour-blind people can distinguish the colours."""
SHOWN = 3
"""Number of validation photos that TensorBoard shows per concept."""
SIDE = 256
"""Longer side in px of a validation photo in TensorBoard."""
_GAP, _CAPTION, _COLUMNS = 8, 18, 4
_OPACITY = 0.55


def write_sample_sheet(pairs: TrainingPairs, path: Path, count: int = 12) -> None:
    """Draw the first training pictures of an epoch in a grid, as the model receives them.

    Below each picture, one line per concept states the concept's share of the picture.

    Raises:
        OutputError: The file cannot be written.
    """
    items = [pairs[index] for index in range(min(count, len(pairs)))]
    concepts = list(pairs.phrases)
    side = items[0]["image"].shape[2]
    columns = min(_COLUMNS, len(items))
    rows = -(-len(items) // columns)
    cell = (side + _GAP, side + _GAP + _CAPTION * len(concepts))
    sheet = Image.new("RGB", (columns * cell[0] + _GAP, rows * cell[1] + _GAP), (255, 255, 255))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for number, item in enumerate(items):
        left, top = _GAP + number % columns * cell[0], _GAP + number // columns * cell[1]
        sheet.paste(Image.fromarray(_outlined(item, pairs.letterbox)), (left, top))
        for line, concept in enumerate(concepts):
            share = f"{float(item['truth'][line].mean()):.1%}" if item["known"][line] else "not labelled"
            y = top + side + 1 + line * _CAPTION
            pen.rectangle((left, y + 4, left + 9, y + 13), fill=INKS[line % len(INKS)])
            pen.text((left + 15, y), f"{concept}: {share}", fill=(30, 30, 30), font=font)
    stream = BytesIO()
    sheet.save(stream, "PNG")
    write_whole(path, stream.getvalue())


def _outlined(item: TrainingPicture, letterbox: Letterbox) -> NDArray[np.uint8]:
    """Convert a normalised picture [3,S,S] to RGB [S,S,3], and outline each concept's ground truth."""
    pixels = item["image"].numpy().transpose(1, 2, 0)
    photo = (pixels * np.array(letterbox.std) + np.array(letterbox.mean)) * 255
    picture: NDArray[np.uint8] = np.clip(photo, 0, 255).round().astype(np.uint8)
    for line, truth in enumerate(item["truth"].numpy()):
        mask = Image.fromarray(np.asarray(truth, np.float32)).resize((picture.shape[1], picture.shape[0]))
        inside = np.pad(np.asarray(mask) > 0.5, 2)
        core = inside[4:, 2:-2] & inside[:-4, 2:-2] & inside[2:-2, 4:] & inside[2:-2, :-4]
        picture[inside[2:-2, 2:-2] & ~core] = INKS[line % len(INKS)]
    return picture


class TensorBoardPictures(lightning.Callback):
    """Adds threshold curves and validation photos to TensorBoard after each validation."""

    def __init__(self, validation: ValidationPart) -> None:
        self.validation = validation

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """Add the curves and photos of the last validation."""
        if not trainer.is_global_zero:
            return
        # the trainer's first logger is the TensorBoard logger
        writer, epoch, dataset = trainer.logger.experiment, trainer.current_epoch, self.validation.dataset
        for concept, rows in self.validation.curves.items():
            for row in rows:
                # TensorBoard labels the axis "step", but it shows the threshold in per cent
                name, percent = f"threshold curve: {concept}/epoch {epoch:03d}", round(100 * row.level)
                writer.add_scalar(name, row.iou, percent)
        for concept in self.validation.concepts:
            evaluator = self.validation.evaluator(module.average.module, dataset, [concept])
            for sample in [sample for sample in dataset if sample.labels.get(concept)][:SHOWN]:
                shown = evaluator.predict(sample)
                picture = side_by_side(shown.photo, shown.truths[concept], shown.predictions[0].mask)
                writer.add_image(f"val {concept}/{sample.image_id}", picture, epoch, dataformats="HWC")
        writer.flush()


def side_by_side(
    photo: NDArray[np.uint8], truth: NDArray[np.bool_], mask: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Draw a photo [H,W,3] three times in a row [h,3w,3]: plain, with its ground truth, and with a mask."""
    height, width = photo.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(Image.fromarray(photo).resize(size), np.float32)
    tiles = [small]
    for marked in (truth, mask):
        shape = Image.fromarray(marked.astype(np.uint8) * np.uint8(255)).resize(size, Image.Resampling.BOX)
        # raise the opacity of partly covered pixels to keep thin lines visible
        share = np.minimum(1, np.asarray(shape, np.float32)[:, :, None] / 100) * _OPACITY
        tiles.append(np.asarray(small * (1 - share) + np.array(INKS[0], np.float32) * share, np.float32))
    return np.concatenate(tiles, axis=1).round().astype(np.uint8)
