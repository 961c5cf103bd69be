"""Draw a mask over its photo. The result is also readable in greyscale and for colour-blind people."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.imaging.letterbox import resize_photo
from drywallqa.inference.mask_kinds import describe_unseen
from drywallqa.inference.outputs import Output
from drywallqa.inference.prediction import Prediction

FILL = (0, 114, 178)  # blue, which is rare on walls and visible to most colour-blind people
_FILL_SHARE = 0.35
_JPEG_LIMIT = 65_000  # px per side
_LINES = 320  # ratio of photo side to line width; lines are 2 px wide at 640 px
_NARROWEST = 360  # minimum width in px, to keep the legend of a small photo readable
THUMBNAIL_SIZE = 480  # px, the longer side
THUMBNAIL_FOLDER = "index_files"


def draw_mask(photo: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Draw a translucent mask [H,W] with a white and a black outline over a photo [H,W,3].

    The outlines are outside the mask, so that they do not hide a thin crack. At least one of the two outlines
    has a strong contrast to the wall, even in greyscale.
    """
    drawn = photo.copy()
    if not mask.any():
        return drawn
    inside = drawn[mask].astype(np.float32)
    drawn[mask] = (inside * (1 - _FILL_SHARE) + np.asarray(FILL, np.float32) * _FILL_SHARE).astype(np.uint8)
    line = max(1, round(max(mask.shape) / _LINES))
    white = _dilate_square(mask, line)
    black = _dilate_square(white, line)
    drawn[black & ~white] = 0
    drawn[white & ~mask] = 255
    return drawn


def _dilate_square(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Dilate a mask with a square, which is faster than a disc and good enough for an outline."""
    for axis in (0, 1):
        source, mask = mask, mask.copy()
        for shift in range(1, min(pixels, source.shape[axis] - 1) + 1):
            later = np.s_[shift:] if axis == 0 else np.s_[:, shift:]
            earlier = np.s_[:-shift] if axis == 0 else np.s_[:, :-shift]
            mask[later] |= source[earlier]
            mask[earlier] |= source[later]
    return mask


def encode_overlay(photo: NDArray[np.uint8], prediction: Prediction) -> bytes:
    """Draw a mask over its photo at the photo's size, with a legend below, and encode the result as JPEG."""
    picture = Image.fromarray(draw_mask(photo, prediction.mask))
    picture.thumbnail((_JPEG_LIMIT, _JPEG_LIMIT - 200), Image.Resampling.BILINEAR)
    return image_bytes(_with_legend(picture, prediction), "JPEG", quality=90)


def _with_legend(picture: Image.Image, prediction: Prediction) -> Image.Image:
    from PIL import ImageDraw, ImageFont  # imported here, so that the import does not delay the first mask

    width = max(picture.width, _NARROWEST)
    size = int(np.clip(round(min(width, 2 * picture.height) / 36), 15, 72))
    font = ImageFont.load_default(size)
    height = round(size * 2.1)
    canvas = Image.new("RGB", (width, picture.height + height), (255, 255, 255))
    canvas.paste(picture, (0, 0))
    pen = ImageDraw.Draw(canvas)
    middle = picture.height + height // 2
    box, left = size // 2, size // 2
    faded = tuple(round(255 * (1 - _FILL_SHARE) + value * _FILL_SHARE) for value in FILL)
    pen.rectangle((left, middle - box, left + 2 * box, middle + box), fill=faded, outline=(0, 0, 0))
    start = left + 2 * box + size // 2
    prompt, colon, rest = legend(prediction).rpartition(": ")
    while prompt and font.getlength(prompt + colon + rest) > width - start - left:
        prompt = prompt[:-2] + "…" if len(prompt) > 2 else ""
    text = prompt + colon + rest if prompt else rest
    pen.text((start, middle), text, fill=(0, 0, 0), font=font, anchor="lm")
    return canvas


def legend(prediction: Prediction) -> str:
    """Return one line with the prompt, the share of marked pixels and the presence."""
    marked = f"{prediction.area:.1%} marked" if prediction.mask.any() else "nothing marked"
    found = ", ".join(filter(None, (marked, describe_unseen(prediction.unseen))))
    prompt = " ".join(prediction.prompt.split())
    shown = prompt if len(prompt) <= 60 else prompt[:59] + "…"
    return f"{shown}: {found}, presence {prediction.presence:.2f}"


def encode_thumbnail(photo: NDArray[np.uint8], prediction: Prediction) -> bytes:
    """Draw a mask over a reduced photo for the results page, and encode the result as JPEG."""
    height, width = photo.shape[:2]
    scale = min(1.0, THUMBNAIL_SIZE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = resize_photo(photo, size[1], size[0])
    covered = Image.fromarray(prediction.mask.view(np.uint8) * np.uint8(255))
    share = np.asarray(covered.resize(size, Image.Resampling.BOX))
    # Mark a thumbnail pixel if the mask covers a quarter of it, so that thin cracks stay visible.
    return image_bytes(Image.fromarray(draw_mask(small, share >= 64)), "JPEG", quality=85)


def image_bytes(image: Image.Image, form: str, **options: Any) -> bytes:
    """Encode an image in one of Pillow's formats, with Pillow's options for the format."""
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


OVERLAY = Output("overlay", ".overlay.jpg", encode_overlay)
THUMBNAIL = Output("thumbnail", ".jpg", encode_thumbnail, folder=THUMBNAIL_FOLDER, replaceable=True)
