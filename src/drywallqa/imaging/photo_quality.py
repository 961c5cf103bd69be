"""Detect photo faults that would hide a crack: darkness, overexposure, low contrast, defocus, motion blur."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE = 640  # px of the longer side, close to the input size of a model for a whole photo
_LEAST_SIDE = 128  # px; smaller photos are not judged for sharpness
_EACH = 4  # measure sharpness on every fourth row and column

_BLACK, _WHITE = 8, 253  # grey values outside this range carry no information
_NEARLY_ALL, _LARGE_PART = 0.9, 0.45
_LEAST_RANGE = 3  # grey values between the darkest and the brightest 0.1 %

_FAR = 8  # px; brightness changes at a sharp edge nearly as much over one pixel as over this distance
_STEEPEST, _COMMON = 0.001, 0.1  # shares of all steps
_LEAST_STEEPEST, _LEAST_COMMON = 16, 5  # grey values over `_FAR` px; photos with smaller steps are not judged
# These limits were chosen on photos of walls at 640 px. They report none of 2,984 sharp photos. With a
# Gaussian blur, they report about 40 % of the photos at 2 px, over 80 % at 3 or 4 px, and over 70 % at 6 px.
# With a motion blur of 15 px, they report about 40 % of the photos.
_OUT_OF_FOCUS = 0.2
_MOVED = 0.17


def quality_notes(photo: NDArray[np.uint8]) -> tuple[str, ...]:
    """Check a photo for faults that would hide a crack, and describe the first one.

    A smooth wall is not a fault. Sharpness is checked only if the photo shows enough edges. Only a photo
    without any sharp edge counts as out of focus.

    Args:
        photo: RGB uint8 [H,W,3]. It is first reduced to about 640 px on its longer side.

    Returns:
        One sentence that names the fault and a remedy; () if no fault was found.
    """
    step = max(1, round(max(photo.shape[:2]) / _SIDE))
    rows = photo[min((step - 1) // 2, (len(photo) - 1) // 2) :: step]  # one of every `step` rows
    image = Image.fromarray(np.ascontiguousarray(rows)).convert("L")
    grey = np.asarray(image.reduce((step, 1)) if step > 1 else image)
    note = _exposure(np.bincount(grey.ravel(), minlength=256) / grey.size) or _sharpness(grey)
    return (note,) if note else ()


def _exposure(shares: NDArray[np.float64]) -> str | None:
    """Check the exposure, given the share of pixels with each grey value 0–255."""
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
        return f"black in large part: {dark}; nothing is visible there; take it again with more light"
    if white >= _LARGE_PART:
        return f"blown out in large part: {bright}; nothing is visible there; take it again with less light"
    return None


def _sharpness(grey: NDArray[np.uint8]) -> str | None:
    if min(grey.shape) < _LEAST_SIDE:
        return None
    along = _measure_steps(grey[::_EACH]), _measure_steps(np.ascontiguousarray(grey[:, ::_EACH].T))
    judged = [s for (steepest, common), s in along if steepest >= _LEAST_STEEPEST and common >= _LEAST_COMMON]
    if judged and max(sharpness for _, (sharpness, _) in along) < _OUT_OF_FOCUS:
        return "may be out of focus: none of its edges is sharp; take it again with the wall in focus"
    # Along a slightly tilted straight line, brightness changes slowly even in a sharp photo. Motion blur is
    # therefore reported only if all edges in one direction are soft.
    if any(max(sharpness) < _MOVED for sharpness in judged):
        return "may be blurred by movement: its edges are soft in one direction; hold the camera steady"
    return None


def _measure_steps(rows: NDArray[np.uint8]) -> tuple[tuple[int, int], tuple[float, float]]:
    """Measure the steepest and the typical brightness steps along rows.

    Returns:
        The change of grey level across `_FAR` px at each edge, and the sharpness of the edge. The sharpness
        is the change across one pixel divided by the change across `_FAR` px.
    """
    values = rows.astype(np.int16)
    near = _reached(np.abs(values[:, 1:] - values[:, :-1]))
    far = _reached(np.abs(values[:, _FAR:] - values[:, :-_FAR]))
    return far, (near[0] / max(far[0], _LEAST_STEEPEST), near[1] / max(far[1], 1))


def _reached(steps: NDArray[np.int16]) -> tuple[int, int]:
    shares = np.cumsum(np.bincount(steps.ravel())) / steps.size
    steepest, common = np.searchsorted(shares, (1 - _STEEPEST, 1 - _COMMON))
    return int(steepest), int(common)
