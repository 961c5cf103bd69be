"""What a photo could not have shown: nearly black, blown out, one flat tone, out of focus, moved."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE = 640  # px of the longer side that are looked at, about what a model sees of a photo shown whole
_LEAST_SIDE = 128  # px; smaller photos are not judged for sharpness
_EACH = 4  # rows, and columns, of which one is looked at for sharpness

_BLACK, _WHITE = 8, 253  # grey values below, or above, show nothing
_NEARLY_ALL, _LARGE_PART = 0.9, 0.45
_LEAST_RANGE = 3  # grey values between the darkest and the brightest 0.1 %

_FAR = 8  # px; over one pixel a sharp edge rises nearly as much as over these
_STEEPEST, _COMMON = 0.001, 0.1  # of all steps
_LEAST_STEEPEST, _LEAST_COMMON = 16, 5  # grey values over `_FAR` px, without which there is nothing to judge
# Chosen on photos of walls at 640 px: none of 2,984 sharp ones is noted; of those blurred by 2 px (Gaussian)
# four in ten are, of 3 or 4 px more than eight, of 6 px more than seven, of 15 px of movement four.
_OUT_OF_FOCUS = 0.2
_MOVED = 0.17


def quality_notes(photo: NDArray[np.uint8]) -> tuple[str, ...]:
    """Say why a photo could not have shown a crack.

    A smooth wall is no reason. Sharpness is judged only where a photo shows enough to judge by, and only a
    photo without any sharp edge is called out of focus.

    Args:
        photo: RGB uint8 [H,W,3]; looked at on about 640 px of its longer side, whatever its size.

    Returns:
        One sentence for each fault, with its remedy; () for a good photo.
    """
    grey = _reduced(photo)
    note = _exposure(np.bincount(grey.ravel(), minlength=256) / grey.size) or _sharpness(grey)
    return (note,) if note else ()


def _reduced(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a photo's grey values at about 640 px; of a large photo one row of several is looked at."""
    step = max(1, round(max(photo.shape[:2]) / _SIDE))
    rows = photo[min((step - 1) // 2, (len(photo) - 1) // 2) :: step]
    grey = Image.fromarray(np.ascontiguousarray(rows)).convert("L")
    return np.asarray(grey.reduce((step, 1)) if step > 1 else grey)


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
        tones = int(highest - lowest) + 1
        return (
            f"one flat tone: its pixels differ by {tones - 1} of 255; take it again closer or in better light"
        )
    if black >= _LARGE_PART:
        return f"black in large part: {dark}; nothing can be found there: take it again with more light"
    if white >= _LARGE_PART:
        return f"blown out in large part: {bright}; nothing can be found there: take it again with less light"
    return None


class _Steps(NamedTuple):
    """How grey values change along one direction: steps over `_FAR` px, and those over 1 px as a share."""

    steepest: int
    common: int
    sharpness: float
    common_sharpness: float


def _sharpness(grey: NDArray[np.uint8]) -> str | None:
    if min(grey.shape) < _LEAST_SIDE:
        return None
    along = _steps(grey[::_EACH]), _steps(np.ascontiguousarray(grey[:, ::_EACH].T))
    judged = [one for one in along if one.steepest >= _LEAST_STEEPEST and one.common >= _LEAST_COMMON]
    if judged and max(one.sharpness for one in along) < _OUT_OF_FOCUS:
        return "may be out of focus: none of its edges is sharp; take it again with the wall in focus"
    # One straight line that leans a little changes slowly along itself: that alone is no movement, so all
    # that is seen has to be soft in this direction.
    if any(max(one.sharpness, one.common_sharpness) < _MOVED for one in judged):
        return "may be blurred by movement: its edges are soft in one direction; take it again, held steady"
    return None


def _steps(rows: NDArray[np.uint8]) -> _Steps:
    """Measure the steps along rows."""
    values = rows.astype(np.int16)
    near = _reached(np.abs(values[:, 1:] - values[:, :-1]))
    far = _reached(np.abs(values[:, _FAR:] - values[:, :-_FAR]))
    return _Steps(far[0], far[1], near[0] / max(far[0], _LEAST_STEEPEST), near[1] / max(far[1], 1))


def _reached(steps: NDArray[np.int16]) -> tuple[int, int]:
    """Return the values that the steepest and the common steps reach."""
    shares = np.cumsum(np.bincount(steps.ravel())) / steps.size
    steepest, common = np.searchsorted(shares, (1 - _STEEPEST, 1 - _COMMON))
    return int(steepest), int(common)
