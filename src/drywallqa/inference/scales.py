"""At which scales a photo is shown to the model: whole, then in tiles, closer and closer."""

from __future__ import annotations

from typing import Literal, NamedTuple, cast

from drywallqa.errors import ConfigError
from drywallqa.imaging.letterbox import Letterbox

Scale = float | Literal["auto", "fit", "native"]
"""At which scale a photo is shown to the model: whole, at its own pixels, or times a factor."""

LARGEST_FACTOR = 4.0
_LARGE = 2.0  # a photo is large where its longer side is more than this many windows
_LONG = 2.0  # a photo is a panorama where its longer side is more than this many times the shorter
_CLOSER = 2.0  # how much closer each view is than the one before it
_LAST_STEP = 4 / 3  # the least step to the closest view
_COARSE = 8  # a view between whole and closest is kept in memory if it is no larger than 8 by 8 windows


class ViewPlan(NamedTuple):
    """How a photo is shown.

    Attributes:
        whole: Whether the model sees all of it at once first.
        factors: Px of the scaled photo that one px of the photo becomes, of each view in tiles, the coarsest
            first.
    """

    whole: bool
    factors: tuple[float, ...]


WHOLE = ViewPlan(True, ())


def check_scale(scale: Scale) -> Scale:
    """Return the scale.

    Raises:
        ConfigError: It is neither "auto", "fit", "native" nor a usable factor.
    """
    if isinstance(scale, str) and scale in ("auto", "fit", "native"):
        return scale
    if isinstance(scale, int | float) and 0 < scale <= LARGEST_FACTOR:  # false for nan as well
        return float(scale)
    raise ConfigError(
        f"the scale is {scale!r}; give auto, fit, native or a factor above 0, at most {LARGEST_FACTOR:g}"
    )


def parse_scale(text: str) -> Scale:
    """Read a scale as it is typed.

    Raises:
        ConfigError: It is neither "auto", "fit", "native" nor a usable factor.
    """
    try:
        return check_scale(float(text))
    except ValueError:
        return check_scale(cast(Scale, text))


def plan_views(scale: Scale, native: bool, height: int, width: int, window: Letterbox) -> ViewPlan:
    """Say how a photo of height×width px is shown.

    "auto" leaves photos whole that are not much larger than the window, since the model has learnt from whole
    photos of that size. Larger ones are looked at ever closer for what is thin, up to their own pixels. The
    joints of a panorama would vanish if it was shown whole: it is shown in pieces as high as the window.

    Args:
        scale: What was asked for.
        native: Whether the concept is too thin to be found on a large photo scaled down.
        height: Of the photo in px.
        width: Of the photo in px.
        window: How photos are brought to the model.
    """
    longer, shorter = max(height, width), min(height, width)
    last = float(scale) if isinstance(scale, float) else 1.0
    if scale == "fit" or longer * last <= window.size or (scale == "auto" and longer <= _LARGE * window.size):
        return WHOLE
    whole = longer <= _LONG * shorter
    first = window.size / longer if whole else min(last, window.size / shorter)
    if scale == "auto" and not native:
        return WHOLE if whole else ViewPlan(False, (first,))
    factors = [] if whole else [first]
    most = (_COARSE * window.size) ** 2 * (1 + 1e-9)  # whatever the last digits of a factor
    closer = first * _CLOSER
    while closer * _LAST_STEP <= last and closer * closer * height * width <= most:
        factors.append(closer)
        closer *= _CLOSER
    if not factors or factors[-1] * _LAST_STEP <= last:
        factors.append(last)
    return ViewPlan(whole, tuple(factors))
