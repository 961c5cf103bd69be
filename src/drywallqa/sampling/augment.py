"""Augment photos, so that training photos are as varied as photos from building sites.

Masks get the same geometric changes as their photos. To preserve thin cracks, a single warp applies all
geometric changes, and blur is mild.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from drywallqa.imaging.letterbox import resize_photo

Photo = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Truth = dict[str, NDArray[np.float32]]
"""Concept → foreground share of each pixel in [0,1], float32 [window,window]."""
Generator = np.random.Generator
Colour = tuple[int, int, int]


def warp_photo(
    photo: Photo,
    masks: Mapping[str, Mask],
    window: int,
    scale: tuple[float, float],
    generator: Generator,
    padding: Colour = (0, 0, 0),
) -> tuple[Photo, Truth]:
    """Flip, rotate, scale, slightly shear and crop a photo to window×window px in a single warp.

    Args:
        photo: uint8 [H,W,3].
        masks: Concept → bool [H,W].
        window: Side of the resulting picture in px.
        scale: Range of the photo's longer side in px before cropping.
        generator: The random number generator.
        padding: Colour of the area outside the photo, as in `Letterbox.padding`.

    Returns:
        The crop and its ground truth.
    """
    matrix, factor = _random_affine(photo.shape[0], photo.shape[1], window, scale, generator)
    if factor < 0.75:
        # cv2.warpAffine does not antialias, so shrink the photo by area averaging first
        photo = np.asarray(cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))
        matrix = matrix @ np.diag([1 / factor, 1 / factor, 1.0])
    border = cv2.BORDER_REFLECT_101 if generator.random() < 0.7 else cv2.BORDER_CONSTANT

    def warp(image: NDArray[Any], fill: Colour = (0, 0, 0)) -> NDArray[Any]:
        return cv2.warpAffine(
            image, matrix[:2], (window, window), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=fill
        )

    truth: Truth = {}
    for concept, mask in masks.items():
        share: NDArray[Any] = mask.astype(np.float32)
        if photo.shape[:2] != mask.shape:
            share = cv2.resize(share, (photo.shape[1], photo.shape[0]), interpolation=cv2.INTER_AREA)
        truth[concept] = warp(share)
    return warp(photo, padding), truth


def whole_photo(
    photo: Photo, masks: Mapping[str, Mask], window: int, padding: Colour = (0, 0, 0)
) -> tuple[Photo, Truth]:
    """Scale a photo without augmentation, and paste it into the top left corner of a square picture.

    Args:
        photo: uint8 [H,W,3].
        masks: Concept → bool [H,W].
        window: Side of the resulting picture in px.
        padding: Colour of the area outside the photo, as in `Letterbox.padding`.

    Returns:
        The picture and its ground truth.
    """
    factor = window / max(photo.shape[:2])
    rows, columns = (max(1, round(length * factor)) for length in photo.shape[:2])
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    picture = np.full((window, window, 3), padding, np.uint8)
    picture[:rows, :columns] = resize_photo(photo, rows, columns)  # same resizing as in inference
    truth = {concept: np.zeros((window, window), np.float32) for concept in masks}
    for concept, mask in masks.items():
        shares = cv2.resize(mask.astype(np.float32), (columns, rows), interpolation=method)
        truth[concept][:rows, :columns] = shares
    return picture, truth


def _random_affine(
    height: int, width: int, window: int, scale: tuple[float, float], generator: Generator
) -> tuple[NDArray[np.float64], float]:
    factor = float(np.exp(generator.uniform(*np.log(scale)))) / max(height, width)
    turn = np.radians(90.0 * generator.integers(4) + generator.normal(0.0, 4.0))
    stretch = float(np.exp(generator.normal(0.0, 0.06)))
    shear = generator.normal(0.0, 0.04)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = rotation @ np.array([[stretch, shear], [0.0, 1 / stretch]]) * factor
    if generator.random() < 0.5:
        linear = linear @ np.diag([-1.0, 1.0])
    # choose a random position at which the crop lies inside the photo, or the photo inside the crop
    free = np.abs(linear) @ np.array([width, height]) - window
    centre = window / 2 + generator.uniform(-0.5, 0.5, 2) * free
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centre - linear @ np.array([width / 2, height / 2])
    return matrix, factor


def vary_light(photo: Photo, generator: Generator) -> Photo:
    """Randomly change the light, colour, sharpness, noise and JPEG compression of a photo [H,W,3]."""
    picture = photo.astype(np.float32)
    if generator.random() < 0.8:
        gain = np.exp(generator.normal(0.0, 0.22)) * np.exp(generator.normal(0.0, 0.05, 3))
        contrast = np.exp(generator.normal(0.0, 0.18))
        mean = picture.mean()
        picture = ((picture - mean) * contrast + mean) * gain.astype(np.float32)
    if generator.random() < 0.25:
        picture *= _shade(photo.shape[0], photo.shape[1], generator)
    if generator.random() < 0.12:
        picture = picture.mean(2, keepdims=True).repeat(3, 2)
    if generator.random() < 0.25:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), float(generator.uniform(0.4, 1.3))))
    if generator.random() < 0.3:
        sigma = generator.uniform(2.0, 12.0)
        picture = picture + generator.standard_normal(picture.shape, dtype=np.float32) * np.float32(sigma)
    result = np.clip(picture, 0, 255).astype(np.uint8)
    if generator.random() < 0.3:
        quality = int(generator.integers(30, 90))
        _, data = cv2.imencode(".jpg", result, [cv2.IMWRITE_JPEG_QUALITY, quality])
        result = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)).astype(np.uint8)
    return result


def _shade(height: int, width: int, generator: Generator) -> NDArray[np.float32]:
    """Return brightness factors [H,W,1] from 0.45 to 1 for a random shadow with a soft or hard edge."""
    angle = generator.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    along = (columns / width - 0.5) * np.cos(angle) + (rows / height - 0.5) * np.sin(angle)
    softness = float(np.exp(generator.uniform(np.log(0.01), np.log(0.5))))
    step = 0.5 + 0.5 * np.tanh((along - generator.uniform(-0.3, 0.3)) / softness)
    depth = generator.uniform(0.15, 0.55)
    return np.asarray((1 - depth * step)[:, :, None], np.float32)
