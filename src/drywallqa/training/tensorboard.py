"""What TensorBoard shows of a validation besides figures: photos with truth and mask, threshold curves."""

from __future__ import annotations

from typing import Any

import lightning
import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from PIL import Image

from drywallqa.datasets.dataset import Dataset, Sample
from drywallqa.training.validation import ValidationPart

PHOTOS = 3
"""Photos shown of each concept."""
SIDE = 256
"""Longer side of a photo shown, in px."""
_INK, _FADE = np.array([255, 106, 0], np.float32), 0.55


class TensorBoardPictures(lightning.Callback):
    """Draws into the run's TensorBoard.

    Args:
        dataset: The val part.
        validation: Knows the model's way to a mask, and the last validation's curves.
    """

    def __init__(self, dataset: Dataset, validation: ValidationPart) -> None:
        self.dataset, self.validation = dataset, validation

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """Draw a validation."""
        boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if not boards or not trainer.is_global_zero:
            return
        writer, epoch = boards[0].experiment, trainer.current_epoch
        for concept, rows in self.validation.curves.items():
            for row in rows:
                # the axis that TensorBoard calls step is the threshold in per cent
                name, percent = f"threshold curve: {concept}/epoch {epoch:03d}", round(100 * row.level)
                writer.add_scalar(name, row.iou, percent)
        for concept in self.validation.concepts:
            shown = [sample for sample in self.dataset if sample.labels.get(concept)][:PHOTOS]
            for sample in shown:
                picture = self._picture(module.average.module, sample, concept)
                writer.add_image(f"val {concept}/{sample.image_id}", picture, epoch, dataformats="HWC")
        writer.flush()

    def _picture(self, model: Any, sample: Sample, concept: str) -> NDArray[np.uint8]:
        """Draw photo, truth and mask side by side: RGB [h,3w,3]."""
        look = self.validation.evaluator(model, self.dataset, [concept]).predict(sample)
        return side_by_side(look.photo, look.truths[concept], look.predictions[0].mask)


def side_by_side(
    photo: NDArray[np.uint8], truth: NDArray[np.bool_], mask: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Put a photo [H,W,3], the same with its truth, and with a mask in one picture, SIDE px a photo."""
    height, width = photo.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(Image.fromarray(photo).resize(size), np.float32)
    tiles = [small]
    for marked in (truth, mask):
        shape = Image.fromarray(marked.astype(np.uint8) * np.uint8(255)).resize(size, Image.Resampling.BOX)
        # a thin line shows where it covers any good part of a pixel
        share = np.minimum(1, np.asarray(shape, np.float32)[:, :, None] / 100) * _FADE
        tiles.append(np.asarray(small * (1 - share) + _INK * share, np.float32))
    return np.concatenate(tiles, axis=1).round().astype(np.uint8)
