"""Render synthetic photos of walls with exact ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from drywallqa.errors import ConfigError
from drywallqa.imaging.straight_lines import StraightLine
from drywallqa.synthetic.camera import light, photograph
from drywallqa.synthetic.canvas import Canvas, Float, Generator, Mask, Photo, Size
from drywallqa.synthetic.cracks import Crack, add_crack, pixels_of
from drywallqa.synthetic.joints import add_seam, clipped, line_mask
from drywallqa.synthetic.objects import OBJECTS, draw_objects
from drywallqa.synthetic.surfaces import BOARDS, JOINTED, WALLS, surface

Kind = Literal["crack", "seam", "both", "neither"]
KINDS: tuple[Kind, ...] = ("crack", "seam", "both", "neither")
CRACK, TAPING_AREA, SEAM_LINE = "crack", "taping area", "seam line"
TAPING_HALF_WIDTH = 5.0
"""Half width of the ground-truth taping area along a joint, in px of a photo whose longer side is 640 px."""

_SURFACES = BOARDS + WALLS + JOINTED
_COARSE = ("rough plaster", "concrete", "brick")  # surfaces whose grain would hide a hairline crack
_ATTEMPTS = 20  # attempts to place a crack on the board
_LEAST_SIDE = 32  # px; minimum height and width of a photo
_ON_BOARDS = ("mud", "print", "nails")  # objects that are drawn only on boards
BELOW = ("corner", "stain", "mud", "nails", "print", "scuffs", "pencil")
"""Objects below the cracks and joints. Other objects are in front of the cracks and joints."""


@dataclass(frozen=True)
class Wall:
    """A rendered photo of a wall with its ground truth.

    Attributes:
        photo: The photo, uint8 [H,W,3].
        kind: "crack", "seam", "both" or "neither".
        surface: Name of the wall's surface.
        masks: Exact masks, bool [H,W]. "crack" contains the pixels of the cracks. "taping area" contains a
            band along each joint.
        labels: Imitations of hand-drawn masks, bool [H,W]. "crack" contains outlines that are much wider than
            the cracks. "taping area" contains an axis-aligned box around each joint.
        seam_lines: Centre lines of the joints.
    """

    photo: Photo
    kind: Kind
    surface: str
    masks: dict[str, Mask]
    labels: dict[str, Mask]
    seam_lines: tuple[StraightLine, ...] = ()


@dataclass(frozen=True)
class WallOptions:
    """Requested properties of a rendered wall. If a property is None, it is random.

    Attributes:
        surface: A name from `surfaces.BOARDS`, `WALLS` or `JOINTED`.
        objects: Names from `objects.OBJECTS`.
        raking: Strength of the shading, from 0 (frontal light) to 1 (grazing light).
        crack_width: Width of each crack in px of a photo whose longer side is 640 px.
        scene: Whether the photo shows a board that stands in front of a background.
    """

    surface: str | None = None
    objects: tuple[str, ...] | None = None
    raking: float | None = None
    crack_width: float | None = None
    scene: bool | None = None


def render_wall(
    seed: int | Generator,
    size: Size = (640, 640),
    kind: Kind | None = None,
    options: WallOptions | None = None,
) -> Wall:
    """Render one photo of a wall.

    Args:
        seed: Seed or random generator. The same seed always gives the same wall.
        size: Height and width in px.
        kind: One of `KINDS`. Random if None.
        options: Other requested properties.

    Returns:
        The photo with its ground truth.

    Raises:
        ConfigError: The kind, the surface or an object is unknown, or the size is too small.
    """
    generator = np.random.default_rng(seed)
    options = options or WallOptions()
    kind = kind or KINDS[generator.integers(len(KINDS))]
    name = options.surface or _choose_surface(kind, generator)
    check_known("kind of wall", kind, KINDS)
    check_known("surface", name, _SURFACES)
    for item in options.objects or ():
        check_known("object", item, tuple(OBJECTS))
    if min(size) < _LEAST_SIDE:
        raise ConfigError(f"a wall of {size[1]}×{size[0]} px is too small; the minimum is {_LEAST_SIDE} px")
    canvas = surface(name, size, generator)
    scene = name in BOARDS and generator.random() < 0.3 if options.scene is None else options.scene
    board = board_shape(size, generator) if scene else None
    objects = choose_objects(name, generator) if options.objects is None else options.objects
    draw_objects(canvas, [item for item in objects if item in BELOW], OBJECTS)
    lines = add_seams(canvas, board) if kind in ("seam", "both") else ()
    cracks = _add_cracks(canvas, name, options, board) if kind in ("crack", "both") else ()
    if board is not None:
        canvas = before_background(canvas, board)
    hidden = draw_objects(canvas, [item for item in objects if item not in BELOW], OBJECTS)
    covered = sum(int((crack.core & hidden).sum()) for crack in cracks)
    if covered > sum(int(crack.core.sum()) for crack in cracks) / 2:
        # Objects hide more than half of the cracks, so the wall is rendered again.
        return render_wall(generator, size, kind, options)
    photo = photograph(light(canvas, options.raking), generator, canvas.scale)
    masks, labels = _truth(canvas, lines, cracks, hidden)
    return Wall(photo, kind, name, masks, labels, lines)


def check_known(what: str, name: str, known: Sequence[str]) -> None:
    """Reject an unknown name.

    Raises:
        ConfigError: The name is unknown. The message lists the known names.
    """
    if name not in known:
        raise ConfigError(f"'{name}' is not a known {what}; choose from {', '.join(known)}")


def _choose_surface(kind: Kind, generator: Generator) -> str:
    if kind in ("seam", "both"):
        return str(generator.choice(BOARDS, p=[0.5, 0.25, 0.17, 0.08]))
    if kind == "crack":
        return str(generator.choice((*WALLS, "grey board", "brick"), p=[0.26, 0.26, 0.18, 0.18, 0.07, 0.05]))
    return str(generator.choice(_SURFACES))


def choose_objects(name: str, generator: Generator) -> tuple[str, ...]:
    """Choose up to four random objects that are plausible on a surface."""
    count = int(generator.choice([0, 1, 2, 3, 4], p=[0.25, 0.3, 0.25, 0.12, 0.08]))
    names = [item for item in OBJECTS if name in BOARDS or item not in _ON_BOARDS]
    return tuple(generator.choice(names, count, replace=False).tolist())


def board_shape(size: Size, generator: Generator) -> Float:
    """Create the outline of a board: an irregular quadrilateral, as coverage [H,W] in 0–1."""
    low, high = generator.uniform(0.02, 0.28, 4), generator.uniform(0.72, 0.98, 4)
    regular = np.array([(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])])
    corners = (regular + generator.normal(0, 0.03, (4, 2))) * size[::-1]
    image = Image.new("L", size[::-1])
    ImageDraw.Draw(image).polygon([(x, y) for x, y in corners.tolist()], fill=255)
    turned = image.rotate(generator.normal(0, 9), Image.Resampling.BILINEAR).filter(ImageFilter.BoxBlur(0.7))
    return np.asarray(turned, np.float32) / np.float32(255)


def before_background(canvas: Canvas, board: Float) -> Canvas:
    """Draw the background of a board: another wall and often a floor."""
    generator, size = canvas.generator, canvas.size
    name = generator.choice(("paint", "concrete", "wood", "plaster", "grey board"))
    behind = surface(str(name), size, generator)
    behind.colour *= np.float32(generator.uniform(0.3, 1.1))
    if generator.random() < 0.7:
        top = int(generator.uniform(0.55, 0.9) * size[0])
        behind.colour[:, top:] = surface("concrete", (size[0] - top, size[1]), generator).colour
    shadow = np.roll(board, (round(5 * canvas.scale), round(6 * canvas.scale)), (0, 1))
    behind.darken(shadow * np.float32(generator.uniform(0.1, 0.6)))
    behind.colour += board * (canvas.colour - behind.colour)
    behind.height += board * (canvas.height - behind.height)
    return behind


def add_seams(canvas: Canvas, board: Float | None) -> tuple[StraightLine, ...]:
    """Draw one to three roughly parallel or perpendicular joints, and return their centre lines."""
    generator, (height, width) = canvas.generator, canvas.size
    inside, spread = (None, 0.35) if board is None else (board > 0.5, 0.15)
    lines: list[StraightLine] = []
    any_angle = generator.random() < 0.25  # the other joints are nearly vertical or horizontal
    first_angle = generator.uniform(0, np.pi) if any_angle else _right_angle(generator, 0.09)
    for number in range(int(generator.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))):
        angle = first_angle + (_right_angle(generator, 0.01) if number else 0.0)
        middle = generator.uniform(0.5 - spread, 0.5 + spread, 2) * (width, height)
        step = 1.5 * max(height, width) * np.array([np.cos(angle), np.sin(angle)])
        begin = middle if number and generator.random() < 0.5 else middle - step
        (x0, y0), (x1, y1) = begin.tolist(), (middle + step).tolist()
        line = clipped(StraightLine((x0, y0), (x1, y1)), inside, canvas.size)
        if line is not None and not any(_too_near(line, other, canvas) for other in lines):
            lines.append(line)
    if not lines:
        straight = StraightLine((0.5 * width, 0.0), (0.5 * width, float(height - 1)))
        lines.append(clipped(straight, inside, canvas.size) or straight)
    if generator.random() < 0.4:
        across, _ = lines[0].place(canvas.size)
        canvas.darken(np.where(across > 0, np.float32(generator.normal(0, 0.04)), np.float32(0)))
    for line in lines:
        add_seam(canvas, line)
    return tuple(lines)


def _right_angle(generator: Generator, deviation: float) -> float:
    return float(generator.choice([0, np.pi / 2]) + generator.normal(0, deviation))


def _too_near(line: StraightLine, other: StraightLine, canvas: Canvas) -> bool:
    across, _ = other.place(canvas.size)
    rows, columns = pixels_of(np.floor([line.start, line.end]), canvas.size)
    return float(np.abs(across[rows, columns]).max()) < 60 * canvas.scale


def _add_cracks(canvas: Canvas, name: str, options: WallOptions, board: Float | None) -> tuple[Crack, ...]:
    count = int(canvas.generator.choice([1, 2, 3], p=[0.75, 0.18, 0.07]))
    region = board > 0.5 if board is not None else None
    width = options.crack_width
    if width is None and name in _COARSE:
        width = float(np.exp(canvas.generator.uniform(np.log(1.6), np.log(7.0))))
    for _ in range(_ATTEMPTS):
        drawn = [add_crack(canvas, width, region) for _ in range(count)]
        cracks = tuple(crack for crack in drawn if crack.core.any())
        if cracks:
            return cracks
    return (add_crack(canvas, width),)


def _truth(
    canvas: Canvas, lines: tuple[StraightLine, ...], cracks: tuple[Crack, ...], hidden: Mask
) -> tuple[dict[str, Mask], dict[str, Mask]]:
    """Create the exact mask and the imitation of a hand-drawn mask for each concept."""
    size, scale, generator = canvas.size, canvas.scale, canvas.generator
    masks = {CRACK: np.zeros(size, np.bool_), TAPING_AREA: line_mask(lines, size, TAPING_HALF_WIDTH)}
    labels = {CRACK: np.zeros(size, np.bool_), TAPING_AREA: np.zeros(size, np.bool_)}
    for crack in cracks:
        width = float(generator.uniform(9, 22) + crack.width / scale)
        masks[CRACK] |= crack.core
        labels[CRACK] |= crack.label(width * scale, generator)
    for line in lines:
        labels[TAPING_AREA] |= line.box(size, generator.uniform(6, 26) * scale)
    # People extend labels across a cable, but not across a door frame.
    blocks = Image.fromarray(hidden.astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(8 * scale))
    solid = np.asarray(blocks) > 230
    for concept in (CRACK, TAPING_AREA):
        masks[concept] &= ~hidden
        labels[concept] &= ~solid
    return masks, labels
