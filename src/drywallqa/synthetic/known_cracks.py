"""Walls with cracks of exactly known geometry, for measuring the accuracy of widths, lengths and areas.

A crack is computed, not drawn: the wall's brightness is multiplied by the analytic profile of a blurred bar,
whose width changes along an analytic centre line. Nothing is rounded to a pixel grid.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.synthetic.camera import light, smooth_noise
from drywallqa.synthetic.canvas import Generator, Mask, Path, Photo
from drywallqa.synthetic.surfaces import surface

Array = NDArray[np.float64]
Form = Literal["straight", "curved", "natural", "branched"]

KNOWN_WIDTHS = (0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0)
"""Mean widths of the cracks in px."""
FORMS: tuple[Form, ...] = ("straight", "curved", "natural", "branched")
CALIBRATION_SURFACES = ("paint", "grey board", "plaster", "rough plaster")
TEST_SURFACES = ("green board", "pink board", "brown board", "concrete")
SIDE = 640  # px

# Waves of a centre line's direction: their mean lengths in px, and the range of their amplitudes in radians.
_PERIODS: dict[Form, tuple[float, ...]] = {
    "straight": (), "curved": (140.0,), "natural": (16.0, 32.0, 64.0, 128.0),
}  # fmt: skip
_SWING = (0.1, 0.45)
_TIGHTEST = 2.5  # widths; least radius of a curve
_STEP = 0.25  # px between the points of a centre line
_LENGTH, _LENGTH_ALONE = (0.35, 0.6), (0.6, 0.82)  # of a cell's side
_WIDEST_BRANCHED = 12.0  # px; branches of wider cracks would leave the cell
_PIECE = 24  # points of a centre line that are searched together for the nearest point
_ERF = np.linspace(-4, 4, 4001)
_ERF_VALUES = np.array([math.erf(value) for value in _ERF])


@dataclass(frozen=True, eq=False)
class KnownLine:
    """One path of a crack: points x, y [N,2] in px, and the crack's width in px at each point, [N]."""

    points: Path
    widths: Array

    @property
    def length(self) -> float:
        """Length in px."""
        return float(np.hypot(*np.diff(self.points, axis=0).T).sum())


@dataclass(frozen=True, eq=False)
class KnownCrack:
    """A crack whose geometry is known.

    Attributes:
        width: Mean width of the main line in px, one of `KNOWN_WIDTHS`.
        form: Form of the main line, or "branched".
        angle: Direction of a straight crack in degrees, 0–180: 0 is horizontal, 90 is vertical.
        lines: The main line, and the branch of a branched crack, which begins on the main line.
        mask: Pixels in which the blurred crack has at least half its largest darkness, bool [H,W].
        area: Covered area in px².
        contrast: Darkness of the crack relative to the wall, 0–1.
    """

    width: float
    form: Form
    angle: float
    lines: tuple[KnownLine, ...]
    mask: Mask
    area: float
    contrast: float

    @property
    def length(self) -> float:
        """Length of all lines in px."""
        return sum(line.length for line in self.lines)


@dataclass(frozen=True, eq=False)
class KnownWall:
    """A photo, uint8 [H,W,3], its cracks, and what makes the photo hard.

    Attributes:
        photo: The photo, uint8 [H,W,3].
        cracks: The cracks.
        surface: Name of the wall's surface.
        blur: Standard deviation of the blur in px, which includes the pixel's own area.
        noise: Standard deviation of the noise in grey levels.
        quality: JPEG quality, or None without compression.
        raking: Strength of raking light, 0–1.
    """

    photo: Photo
    cracks: tuple[KnownCrack, ...]
    surface: str
    blur: float
    noise: float
    quality: int | None
    raking: float


def render_known_wall(
    seed: Sequence[int],
    widths: Sequence[float],
    surfaces: Sequence[str],
    forms: Sequence[Form] = FORMS,
) -> KnownWall:
    """Render one wall with one crack, or with four cracks in four cells.

    Args:
        seed: Seed of all random choices.
        widths: Mean width in px of each of the cracks, one or four.
        surfaces: Names of the surfaces to choose from.
        forms: Forms to choose from.
    """
    generator = np.random.default_rng(seed)
    name = str(generator.choice(surfaces))
    canvas = surface(name, (SIDE, SIDE), generator)
    raking = float(generator.uniform(0.5, 1.0) if generator.random() < 0.3 else generator.uniform(0, 0.3))
    lit = light(canvas, raking)
    blur = float(generator.uniform(0.5, 1.5))
    for plane in lit:
        smooth_noise(plane, blur)
    cracks = []
    for number, width in enumerate(widths):
        cell = SIDE if len(widths) == 1 else SIDE // 2
        form = forms[int(generator.choice(len(forms)))]
        if form == "branched" and width > _WIDEST_BRANCHED:
            form = "natural"
        corner = (number % 2 * cell, number // 2 * cell)
        cracks.append(_add_crack(lit, (*corner, cell), form, width, blur, raking, generator))
    noise = float(generator.uniform(1, 6))
    values = lit * 255 + generator.normal(0, noise, (SIDE, SIDE)) + generator.normal(0, noise / 3, lit.shape)
    photo = np.clip(values + 0.5, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    quality = int(generator.integers(60, 97)) if generator.random() < 0.7 else None
    if quality is not None:
        stream = io.BytesIO()
        Image.fromarray(photo).save(stream, "JPEG", quality=quality, subsampling=2)
        photo = np.asarray(Image.open(stream).convert("RGB"))
    return KnownWall(np.ascontiguousarray(photo), tuple(cracks), name, blur, noise, quality, raking)


def _add_crack(
    lit: NDArray[np.float32],
    place: tuple[int, int, int],
    form: Form,
    width: float,
    blur: float,
    raking: float,
    generator: Generator,
) -> KnownCrack:
    """Darken a crack into one cell of a brightness [3,H,W]; `place` is the cell's x, y and side."""
    x, y, side = place
    angle = float(generator.uniform(0, np.pi))
    share = generator.uniform(*(_LENGTH_ALONE if side == SIDE else _LENGTH))
    lines = _lines(form, angle, width, share * side, generator)
    lines = [KnownLine(line.points + side / 2, line.widths) for line in lines]
    dark, bright = np.zeros((side, side)), np.zeros((side, side))
    lit_flank = raking > 0.5 and width >= 2 and generator.random() < 0.7
    flank = float(generator.choice([-1.0, 1.0]))
    for line in lines:
        along, across, widths = _coordinates(line, (side, side), blur)
        bar = _bar(across, widths, blur) * _step(along, blur) * _step(line.length - along, blur)
        dark = 1 - (1 - dark) * (1 - bar)
        if lit_flank:  # the flank towards the light is brighter than the wall
            rim = _bar(across - flank * (widths / 2 + 0.5), np.ones_like(widths), blur)
            bright = np.maximum(bright, rim * _step(along, blur) * _step(line.length - along, blur))
    contrast = float(generator.uniform(0.25, 0.9))
    part = lit[:, y : y + side, x : x + side]
    part *= (1 - contrast * dark + generator.uniform(0.05, 0.25) * bright * (1 - dark)).astype(np.float32)
    mask = np.zeros(lit.shape[1:], np.bool_)
    mask[y : y + side, x : x + side] = dark > min(0.5, 0.5 * float(dark.max()))
    moved = tuple(KnownLine(line.points + np.array([x, y]), line.widths) for line in lines)
    return KnownCrack(width, form, math.degrees(angle), moved, mask, float(dark.sum()), contrast)


def _lines(form: Form, angle: float, width: float, length: float, generator: Generator) -> list[KnownLine]:
    """Create the lines of a crack around the point 0, 0."""
    shape: Form = "natural" if form == "branched" else form
    main = _line(shape, angle, width, length, generator)
    main = KnownLine(main.points - main.points.mean(axis=0), main.widths)
    if form != "branched":
        return [main]
    index = int(len(main.points) * generator.uniform(0.35, 0.65))
    heading = main.points[index + 20] - main.points[index - 20]
    turn = generator.choice([-1, 1]) * generator.uniform(0.7, 1.3)
    branch = _line(
        "straight",
        math.atan2(heading[1], heading[0]) + turn,
        max(0.7, width * generator.uniform(0.5, 0.9)),
        2.5 * width + generator.uniform(40, 70),
        generator,
    )
    return [main, KnownLine(branch.points + main.points[index], branch.widths)]


def _line(form: Form, angle: float, width: float, length: float, generator: Generator) -> KnownLine:
    """Integrate a centre line from its heading; no curve is tighter than the crack is wide."""
    place = np.arange(0, length + _STEP / 2, _STEP)
    heading = np.full(len(place), angle)
    for period in _PERIODS[form]:
        swing = min(generator.uniform(*_SWING), period / (2 * np.pi) / (_TIGHTEST * max(width, 2.0)))
        period = period * generator.uniform(0.7, 1.4)
        heading = heading + swing * np.sin(2 * np.pi * (place / period + generator.random()))
    middle = (heading[1:] + heading[:-1]) / 2
    steps = np.stack([np.cos(middle), np.sin(middle)], axis=1) * _STEP
    points = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    shape = np.ones(len(place))
    if generator.random() < 0.6:
        swell = generator.uniform(0.05, 0.35) * np.sin(
            2 * np.pi * (place / generator.uniform(60, 250) + generator.random())
        )
        ragged = np.interp(
            place, np.arange(0, length + 6, 6.0), generator.normal(0, 0.07, int(length / 6) + 2)
        )
        shape = np.maximum(1 + swell + ragged, 0.3)
    return KnownLine(points, width * shape / shape.mean())


def _coordinates(line: KnownLine, size: tuple[int, int], blur: float) -> tuple[Array, Array, Array]:
    """Return each pixel's place along a line, its distance across it in px, and the width there, [H,W] each.

    Pixels that the blurred line does not reach have an infinite distance.
    """
    reach = float(line.widths.max()) / 2 + 4 * blur + 3
    nearest = np.full(size, np.inf)
    index = np.zeros(size, np.intp)
    for start in range(0, len(line.points), _PIECE):
        piece = line.points[start : start + _PIECE]
        left, top = np.maximum(np.floor(piece.min(axis=0) - reach).astype(int), 0)
        right, bottom = np.ceil(piece.max(axis=0) + reach).astype(int) + 1
        box = np.s_[top : min(bottom, size[0]), left : min(right, size[1])]
        rows, columns = np.mgrid[box]
        squares = (columns[..., None] - piece[:, 0]) ** 2 + (rows[..., None] - piece[:, 1]) ** 2
        best = squares.argmin(axis=-1)
        value = np.take_along_axis(squares, best[..., None], axis=-1)[..., 0]
        closer = value < nearest[box]
        nearest[box][closer] = value[closer]
        index[box][closer] = best[closer] + start
    rows, columns = np.mgrid[: size[0], : size[1]]
    tangent = np.gradient(line.points, axis=0)
    tangent /= np.hypot(*tangent.T)[:, None]
    from_x, from_y = columns - line.points[index, 0], rows - line.points[index, 1]
    along = index * _STEP + from_x * tangent[index, 0] + from_y * tangent[index, 1]
    across = from_y * tangent[index, 0] - from_x * tangent[index, 1]
    return along, np.where(np.isfinite(nearest), across, np.inf), line.widths[index]


def _step(distance: Array, blur: float) -> Array:
    """Return the share of a blurred half plane at a distance inside its edge."""
    return np.asarray(0.5 + 0.5 * np.interp(distance / (blur * math.sqrt(2)), _ERF, _ERF_VALUES))


def _bar(across: Array, widths: Array, blur: float) -> Array:
    """Return the profile of a blurred bar, 0–1."""
    return np.asarray(_step(across + widths / 2, blur) - _step(across - widths / 2, blur))
