"""Whole photos of walls, drawn by ourselves, with exactly known truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from drywallqa.errors import ConfigError
from drywallqa.imaging.straight_lines import StraightLine
from drywallqa.synthetic.canvas import Canvas, Float, Mask, Photo
from drywallqa.synthetic.cracks import Crack, add_crack
from drywallqa.synthetic.joints import add_seam, clipped
from drywallqa.synthetic.lighting import light, photograph
from drywallqa.synthetic.objects import OBJECTS, add_object
from drywallqa.synthetic.surfaces import BOARDS, JOINTED, WALLS, surface

Kind = Literal["crack", "seam", "both", "neither"]
KINDS: tuple[Kind, ...] = ("crack", "seam", "both", "neither")
CRACK, TAPING_AREA, SEAM_LINE = "crack", "taping area", "seam line"

_COARSE = ("rough plaster", "concrete", "brick")  # a hairline would be lost in their grain
_ATTEMPTS = 20  # draws of a crack that may fall beside its board
_LEAST_SIDE = 32  # px; nothing can be drawn on less


@dataclass(frozen=True)
class Wall:
    """A rendered photo and what is on it.

    Attributes:
        photo: uint8 [H,W,3].
        kind: "crack", "seam", "both" or "neither".
        surface: What the wall is made of.
        masks: Exact truth for "crack" (the crack's own pixels) and "taping area" (a band along the joint),
            bool [H,W] each; empty where absent.
        labels: The same as people label it: outlines several times as wide as the crack, and axis-aligned
            boxes around joints.
        seam_lines: The joints' lines.
        crack_width: Width of the widest crack in px; 0 without one.
    """

    photo: Photo
    kind: Kind
    surface: str
    masks: dict[str, Mask]
    labels: dict[str, Mask]
    seam_lines: tuple[StraightLine, ...] = ()
    crack_width: float = 0.0


@dataclass(frozen=True)
class Wish:
    """What a rendered wall shall be like; None leaves it to chance.

    Attributes:
        surface: A name of `surfaces.BOARDS`, `WALLS` or `JOINTED`.
        objects: Names of `objects.OBJECTS`.
        raking: Strength of grazing light within 0–1.
        crack_width: Width of cracks in px of a 640 px photo.
        label_width: Width of the outline drawn around cracks, in px of a 640 px photo.
        scene: Whether the board stands in front of something else.
    """

    surface: str | None = None
    objects: tuple[str, ...] | None = None
    raking: float | None = None
    crack_width: float | None = None
    label_width: float | None = None
    scene: bool | None = None


def render_wall(
    seed: int | np.random.Generator,
    size: tuple[int, int] = (640, 640),
    kind: Kind | None = None,
    wish: Wish | None = None,
) -> Wall:
    """Render one photo of a wall.

    Args:
        seed: Seed or generator; the same seed gives the same wall.
        size: Height and width in px.
        kind: What the wall shows; by chance if None.
        wish: What else is wanted of it.

    Returns:
        The photo with its truth.

    Raises:
        ConfigError: The kind, the surface or an object is unknown, or the size is too small.
    """
    generator = np.random.default_rng(seed)
    wish = wish or Wish()
    kind = kind or KINDS[generator.integers(len(KINDS))]
    name = wish.surface or _choose_surface(kind, generator)
    _check(size, kind, name, wish)
    canvas = surface(name, size, generator)
    board = stand(size, generator) if _wants_scene(name, wish, generator) else None
    objects = choose_objects(name, wish, generator)
    # Things that belong to the wall itself lie below cracks and seams, the others above them.
    add_objects(canvas, [item for item in objects if item in BELOW])
    lines = add_seams(canvas, board) if kind in ("seam", "both") else ()
    cracks = _add_cracks(canvas, name, wish, board) if kind in ("crack", "both") else ()
    if board is not None:
        canvas = before_background(canvas, board)
    hidden = add_objects(canvas, [item for item in objects if item not in BELOW])
    if not _visible(cracks, hidden):
        return render_wall(generator, size, kind, wish)
    photo = photograph(light(canvas, wish.raking), generator, canvas.scale)
    return _wall(photo, kind, name, lines, cracks, hidden, wish, generator)


def add_objects(canvas: Canvas, names: list[str]) -> Mask:
    """Draw objects; returns what they hide, bool [H,W]."""
    before = canvas.colour[1].copy()
    for name in names:
        add_object(canvas, name)
    hidden: Mask = np.abs(canvas.colour[1] - before) > 0.2
    return hidden


def _visible(cracks: tuple[Crack, ...], hidden: Mask) -> bool:
    """Whether at least half of the cracks is left to be seen beside the things in front of the wall."""
    total = sum(int(crack.core.sum()) for crack in cracks)
    covered = sum(int((crack.core & hidden).sum()) for crack in cracks)
    return total == 0 or covered <= total / 2


_ON_BOARDS = ("mud", "print", "nails")
BELOW = ("corner", "stain", "mud", "nails", "print", "scuffs", "pencil")
"""Objects that belong to the wall itself and lie below cracks and joints."""


def _check(size: tuple[int, int], kind: str, name: str, wish: Wish) -> None:
    if kind not in KINDS:
        raise ConfigError(f"'{kind}' is no kind of wall; choose one of {', '.join(KINDS)}")
    if name not in BOARDS + WALLS + JOINTED:
        raise ConfigError(f"'{name}' is no surface; choose one of {', '.join(BOARDS + WALLS + JOINTED)}")
    for item in wish.objects or ():
        if item not in OBJECTS:
            raise ConfigError(f"'{item}' is no object; choose among {', '.join(OBJECTS)}")
    if min(size) < _LEAST_SIDE:
        raise ConfigError(f"a wall of {size[1]}×{size[0]} px is too small; {_LEAST_SIDE} px is the least")


def _choose_surface(kind: Kind, generator: np.random.Generator) -> str:
    if kind in ("seam", "both"):
        return str(generator.choice(BOARDS, p=[0.5, 0.25, 0.17, 0.08]))
    if kind == "crack":
        return str(generator.choice((*WALLS, "grey board", "brick"), p=[0.26, 0.26, 0.18, 0.18, 0.07, 0.05]))
    return str(generator.choice(BOARDS + WALLS + JOINTED))


def choose_objects(name: str, wish: Wish, generator: np.random.Generator) -> tuple[str, ...]:
    """Names of up to four objects that can stand on a surface; those wished for, if any were."""
    if wish.objects is not None:
        return wish.objects
    count = int(generator.choice([0, 1, 2, 3, 4], p=[0.25, 0.3, 0.25, 0.12, 0.08]))
    names = OBJECTS if name in BOARDS else tuple(item for item in OBJECTS if item not in _ON_BOARDS)
    return tuple(str(item) for item in generator.choice(names, count, replace=False))


def _wants_scene(name: str, wish: Wish, generator: np.random.Generator) -> bool:
    if wish.scene is not None:
        return wish.scene
    return name in BOARDS and generator.random() < 0.3


def stand(size: tuple[int, int], generator: np.random.Generator) -> Float:
    """Where a board stands in the photo: a slightly crooked four-cornered shape, 0–1 [H,W]."""
    height, width = size
    low, high = generator.uniform(0.02, 0.28, 4), generator.uniform(0.72, 0.98, 4)
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    image = Image.new("L", (width, height))
    jitter = generator.normal(0, 0.03, (4, 2))
    points = [
        (float((x + dx) * width), float((y + dy) * height))
        for (x, y), (dx, dy) in zip(corners, jitter, strict=True)
    ]
    ImageDraw.Draw(image).polygon(points, fill=255)
    turned = image.rotate(generator.normal(0, 9), Image.Resampling.BILINEAR).filter(ImageFilter.BoxBlur(0.7))
    return np.asarray(turned, np.float32) / np.float32(255)


def before_background(canvas: Canvas, board: Float) -> Canvas:
    """Stand a board in front of another wall and a floor."""
    generator, size = canvas.generator, canvas.size
    names = ("paint", "concrete", "wood", "plaster", "grey board")
    behind = surface(str(generator.choice(names)), size, generator)
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
    """One to three joints: through the whole photo, parallel ones, or one that ends at another."""
    generator = canvas.generator
    height, width = canvas.size
    inside = board > 0.5 if board is not None else None
    lines: list[StraightLine] = []
    first_angle = _angle(generator)
    count = int(generator.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))
    for number in range(count):
        angle = first_angle + (
            0 if number == 0 else generator.choice([0, np.pi / 2]) + generator.normal(0, 0.01)
        )
        spread = 0.35 if inside is None else 0.15
        middle = generator.uniform(0.5 - spread, 0.5 + spread, 2) * (width, height)
        step = 1.5 * max(height, width) * np.array([np.cos(angle), np.sin(angle)])
        begin = middle if number and generator.random() < 0.5 else middle - step
        raw = StraightLine(
            (float(begin[0]), float(begin[1])), (float((middle + step)[0]), float((middle + step)[1]))
        )
        line = clipped(raw, inside, canvas.size)
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


def _angle(generator: np.random.Generator) -> float:
    """Mostly near upright or level, sometimes any."""
    if generator.random() < 0.25:
        return float(generator.uniform(0, np.pi))
    return float(generator.choice([0, np.pi / 2]) + generator.normal(0, 0.09))


def _too_near(line: StraightLine, other: StraightLine, canvas: Canvas) -> bool:
    across, _ = other.place(canvas.size)
    ends = [(int(y), int(x)) for x, y in (line.start, line.end)]
    inside = [across[min(y, canvas.size[0] - 1), min(x, canvas.size[1] - 1)] for y, x in ends]
    return max(abs(float(value)) for value in inside) < 60 * canvas.scale


def _add_cracks(canvas: Canvas, name: str, wish: Wish, board: Float | None) -> tuple[Crack, ...]:
    count = int(canvas.generator.choice([1, 2, 3], p=[0.75, 0.18, 0.07]))
    region = board > 0.5 if board is not None else None
    width = wish.crack_width
    if width is None and name in _COARSE:
        width = float(np.exp(canvas.generator.uniform(np.log(1.6), np.log(7.0))))
    for _ in range(_ATTEMPTS):
        drawn = [add_crack(canvas, width, region) for _ in range(count)]
        cracks = tuple(crack for crack in drawn if crack.core.any())
        if cracks:
            return cracks
    return (add_crack(canvas, width),)


def _wall(
    photo: Photo,
    kind: Kind,
    name: str,
    lines: tuple[StraightLine, ...],
    cracks: tuple[Crack, ...],
    hidden: Mask,
    wish: Wish,
    generator: np.random.Generator,
) -> Wall:
    """Put the truth together: exact masks and labels as people draw them."""
    size = (photo.shape[0], photo.shape[1])
    scale = max(size) / 640
    masks = {CRACK: np.zeros(size, np.bool_), TAPING_AREA: np.zeros(size, np.bool_)}
    labels = {CRACK: np.zeros(size, np.bool_), TAPING_AREA: np.zeros(size, np.bool_)}
    for crack in cracks:
        drawn = wish.label_width or float(generator.uniform(9, 22) + crack.width / scale)
        masks[CRACK] |= crack.core
        labels[CRACK] |= crack.label(drawn * scale, generator)
    for line in lines:
        masks[TAPING_AREA] |= line.band(size, 5 * scale)
        labels[TAPING_AREA] |= line.box(size, generator.uniform(6, 26) * scale)
    # People draw across a cable, but not over a door frame.
    blocks = Image.fromarray(hidden.astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(8 * scale))
    solid = np.asarray(blocks) > 230
    for concept in (CRACK, TAPING_AREA):
        masks[concept] &= ~hidden
        labels[concept] &= ~solid
    width = max((crack.width for crack in cracks), default=0.0)
    return Wall(photo, kind, name, masks, labels, lines, width)
