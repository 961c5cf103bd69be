"""A crack's relief: how much darker or brighter it is than the wall that it was photographed on."""

from __future__ import annotations

import numpy as np
from PIL import Image

from drywallqa.synthetic.canvas import REFERENCE_SIDE, Float, Mask, Photo, blurred

_COARSE = 4  # px; grid on which the wall's brightness is estimated
_LEAST_RELIEF = 0.3  # a pasted crack is at least this much darker than its board at its core


def _surroundings(grey: Float, outside: Float, side: int) -> Float:
    """The wall's brightness [h,w] where the crack runs, carried in from outside its outline.

    Normalised convolution (Knutsson and Westin, 1993): blur(signal × weight) / blur(weight), from a wide
    radius where the outline is wide to a narrow one where the wall is near. Brightness of a wall changes
    slowly, so a coarse grid suffices.
    """
    rows, columns = grey.shape
    size = (max(1, columns // _COARSE), max(1, rows // _COARSE))
    signal, cover = (
        np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BOX), np.float32)
        for values in (grey * outside, outside)
    )
    filled = np.full_like(signal, float(signal.sum() / max(float(cover.sum()), 1e-3)))
    for share in (0.12, 0.05, 0.02):
        weight = blurred(cover, share * side / _COARSE)
        trust = np.clip(weight * 8.0, 0, 1)
        filled += trust * (blurred(signal, share * side / _COARSE) / np.maximum(weight, 0.02) - filled)
    smooth: Float = np.asarray(
        Image.fromarray(filled).resize((columns, rows), Image.Resampling.BILINEAR), np.float32
    )
    return smooth


def relief(photo: Photo, outline: Mask, mask: Mask, side: int) -> Float:
    """Factor [h,w] by which a crack darkens or brightens the wall; 1 away from it.

    `outline` is the whole crack's, `mask` the part of it that lies on board.
    """
    grey = np.asarray(Image.fromarray(photo).convert("L"), np.float32) / np.float32(255)
    # Black pixels outside are padding and no wall.
    outside = ((~outline) & (grey > 0.02)).astype(np.float32)
    wall = np.maximum(_surroundings(grey, outside, side), 0.06)
    deviation = grey / wall - 1.0
    dark, bright = np.maximum(-deviation, 0.0), np.maximum(deviation, 0.0)
    # Spread that ignores the wall's other things; but never so much that a faint crack is lost.
    ring = np.abs(deviation[outside > 0])
    grain = float(np.percentile(ring[::7], 68)) if ring.size else 0.05
    grain = min(grain, 0.3 * float(np.percentile(dark[mask], 97)))
    # Soft threshold at the wall's grain: what is no darker than grain is not crack.
    dark *= np.clip((dark - grain) / (2.0 * grain + 0.02), 0, 1)
    bright *= 0.6 * np.clip((bright - 2.0 * grain) / (2.0 * grain + 0.02), 0, 1)
    core = float(np.percentile(dark[mask], 95))
    if core > 0:
        dark *= max(1.0, min(3.0, _LEAST_RELIEF / core))
    feather = _feather(mask, side)
    factor: Float = 1.0 + feather * (np.minimum(bright, 0.35) - np.minimum(dark, 0.93))
    return factor


def _feather(mask: Mask, side: int) -> Float:
    """1 inside the outline, falling softly to 0 at its edge, also where a crack was cut off."""
    radius = max(0.6, 3.0 * side / REFERENCE_SIDE)
    border = max(1, round(2 * radius))
    padded = np.pad(mask.astype(np.float32), border)
    soft = blurred(padded, radius)[border:-border, border:-border]
    feather: Float = np.clip(soft * 2.0, 0, 1)
    return feather


def soft_paste(board: Float, photo: Photo, mask: Mask, side: int) -> Float:
    """The crack's own pixels over the board, its colours moved to the board's, under a soft outline."""
    pixels = photo.astype(np.float32)
    inside = mask[:, :, None]
    count = max(1, int(mask.sum()))
    bright = np.percentile(pixels[mask], 75, axis=0)
    target = (board * inside).sum((0, 1)) / count
    matched = pixels * np.clip(target / np.maximum(bright, 8.0), 0.3, 3.0)
    alpha = _feather(mask, side)[:, :, None]
    pasted: Float = board + alpha * (matched - board)
    return pasted
