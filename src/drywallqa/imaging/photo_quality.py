"""Faults of a photo that would hide a crack: nearly black, blown out, one flat tone, out of focus, moved."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE = 640  # px of the longer side, about the size at which a model sees a whole photo
_LEAST_SIDE = 128  # px; smaller photos are not judged for sharpness
_EACH = 4  # sharpness is measured on every fourth row and column

_BLACK, _WHITE = 8, 253  # grey values below or above show nothing
_NEARLY_ALL, _LARGE_PART = 0.9, 0.45
_LEAST_RANGE = 3  # grey values between the darkest and the brightest 0.1 %

_FAR = 8  # px; a sharp edge rises nearly as much over one pixel as over these
_STEEPEST, _COMMON = 0.001, 0.1  # of all steps
_LEAST_STEEPEST, _LEAST_COMMON = 16, 5  # grey values over `_FAR` px, needed to judge a photo
# Chosen on photos of walls at 640 px: none of 2,984 sharp ones is noted; of those blurred by 2 px (Gaussian)
# four in ten are, of 3 or 4 px more than eight, of 6 px more than seven, of 15 px of movement four.
_OUT_OF_FOCUS = 0.2
_MOVED = 0.17


def quality_notes(photo: NDArray[np.uint8]) -> tuple[str, ...]:
    """Describe a fault that would hide a crack in a photo.

    A smooth wall is no fault. Sharpness is judged only if the photo shows enough edges, and only a photo
    without any sharp edge is called out of focus.

    Args:
        photo: RGB uint8 [H,W,3]; it is judged at about 640 px of its longer side.

    Returns:
        One sentence with a remedy; () for a good photo.
    """
    step = max(1, round(max(photo.shape[:2]) / _SIDE))
    rows = photo[min((step - 1) // 2, (len(photo) - 1) // 2) :: step]  # one row of several
    image = Image.fromarray(np.ascontiguousarray(rows)).convert("L")
    grey = np.asarray(image.reduce((step, 1)) if step > 1 else image)
    note = _exposure(np.bincount(grey.ravel(), minlength=256) / grey.size) or _sharpness(grey)
    return (note,) if note else ()


def _exposure(shares: NDArray[np.float64]) -> str | None:
    """Judge the share of pixels that has each grey value 0–255."""
    black, white = float(shares[:_BLACK].sum()), float(shares[_WHITE + 1 :].sum())
    dark = f"{black:.0%} of its pixels are below {_BLACK} of 255"
    bright = f"{white:.0%} of its pixels are above {_WHITE} of 255"
    if black >= _NEARLY_ALL:
        return f"nearly black: {dark}; take it again with more light"
    if white >= _NEARLY_ALL:
        return f"blown out: {bright}; take it again with less light"
    lowest, highest = np.searchsorted(np.cumsum(shares), (_STEEPEST, 1 - _STEEPEST))
    if highest - lowest < _LEAST_RANGE:
        tone = f"its pixels differ by {int(highest - lowest)} of 255"
        return f"one flat tone: {tone}; take it again closer or in better light"
    if black >= _LARGE_PART:
        return f"black in large part: {dark}; nothing can be found there: take it again with more light"
    if white >= _LARGE_PART:
        return f"blown out in large part: {bright}; nothing can be found there: take it again with less light"
    return None


def _sharpness(grey: NDArray[np.uint8]) -> str | None:
    if min(grey.shape) < _LEAST_SIDE:
        return None
    along = _measure_steps(grey[::_EACH]), _measure_steps(np.ascontiguousarray(grey[:, ::_EACH].T))
    judged = [s for (steepest, common), s in along if steepest >= _LEAST_STEEPEST and common >= _LEAST_COMMON]
    if judged and max(sharpness for _, (sharpness, _) in along) < _OUT_OF_FOCUS:
        return "may be out of focus: none of its edges is sharp; take it again with the wall in focus"
    # A straight line that leans a little changes slowly along itself. That is no movement, so all edges have
    # to be soft in this direction.
    if any(max(sharpness) < _MOVED for sharpness in judged):
        return "may be blurred by movement: its edges are soft in one direction; take it again, held steady"
    return None


def _measure_steps(rows: NDArray[np.uint8]) -> tuple[tuple[int, int], tuple[float, float]]:
    """Measure the steepest and the common steps along rows.

    Returns:
        Their sizes over `_FAR` px, and their sharpness: the sizes over one pixel as a share of those.
    """
    values = rows.astype(np.int16)
    near = _reached(np.abs(values[:, 1:] - values[:, :-1]))
    far = _reached(np.abs(values[:, _FAR:] - values[:, :-_FAR]))
    return far, (near[0] / max(far[0], _LEAST_STEEPEST), near[1] / max(far[1], 1))


def _reached(steps: NDArray[np.int16]) -> tuple[int, int]:
    shares = np.cumsum(np.bincount(steps.ravel())) / steps.size
    steepest, common = np.searchsorted(shares, (1 - _STEEPEST, 1 - _COMMON))
    return int(steepest), int(common)
