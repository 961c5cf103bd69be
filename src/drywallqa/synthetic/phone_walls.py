"""Renders walls as phone photos of 8 to 16 megapixels with exact ground truth.

A wall from `walls.render_wall` looks the same at every size. It therefore lacks details that are visible only
in large photos, such as fine grain, thin marks, camera noise and sharpening. This module uses the layout and
the objects of `walls` and adds these details. The sizes of the details are in px of the final photo.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from drywallqa.errors import ConfigError
from drywallqa.imaging.straight_lines import StraightLine
from drywallqa.synthetic.camera import Camera, develop_photo, light
from drywallqa.synthetic.canvas import Canvas, Generator, Mask, Photo, Size
from drywallqa.synthetic.joints import line_mask
from drywallqa.synthetic.objects import OBJECTS, draw_objects
from drywallqa.synthetic.phone_cracks import WIDTHS, PhoneCrack, add_phone_cracks
from drywallqa.synthetic.phone_details import DETAILS, GRAINS
from drywallqa.synthetic.surfaces import BOARDS, WALLS, surface
from drywallqa.synthetic.walls import (
    BELOW,
    KINDS,
    TAPING_HALF_WIDTH,
    Kind,
    add_seams,
    before_background,
    board_shape,
    check_known,
    choose_objects,
)

SIZES = ((2448, 3264), (3000, 4000), (3024, 4032), (3456, 4608))
"""Height and width in px of common phone photos in landscape format, 8 to 16 megapixels."""
SURFACES = BOARDS + WALLS
_COARSE = ("rough plaster", "concrete")  # surfaces whose grain would hide a hairline crack
_HAIRLINE = 2  # px; greatest width of a hairline crack
_BELOW = (*BELOW, "fine pencil", "scratches", "screws", "fibres")
_RELIEF = 0.8  # the relief is multiplied by scale ** _RELIEF, which keeps shading visible in large photos


@dataclass(frozen=True, eq=False)
class PhoneWall:
    """A rendered phone photo of a wall with its ground truth.

    Attributes:
        photo: The photo, uint8 [H,W,3].
        kind: "crack", "seam", "both" or "neither".
        surface: Name of the wall's surface.
        objects: Names of the other objects, from `objects.OBJECTS` and `phone_details.DETAILS`.
        cracks: The visible parts of the cracks and their branches.
        seam_lines: Centre lines of the joints.
        camera: Settings of the simulated camera.
    """

    photo: Photo
    kind: Kind
    surface: str
    objects: tuple[str, ...]
    cracks: tuple[PhoneCrack, ...]
    seam_lines: tuple[StraightLine, ...]
    camera: Camera

    @property
    def crack_mask(self) -> Mask:
        """Mask of all cracks, bool [H,W]."""
        mask = np.zeros(self.photo.shape[:2], np.bool_)
        for crack in self.cracks:
            mask[crack.box] |= crack.mask
        return mask

    @property
    def taping_area(self) -> Mask:
        """Mask with a band along each joint, bool [H,W]."""
        return line_mask(self.seam_lines, (self.photo.shape[0], self.photo.shape[1]), TAPING_HALF_WIDTH)


def render_phone_wall(
    seed: int | Sequence[int] | Generator,
    size: Size | None = None,
    kind: Kind | None = None,
    widths: Sequence[int] | None = None,
    surface_name: str | None = None,
) -> PhoneWall:
    """Render one phone photo of a wall.

    Args:
        seed: Seed or random generator. The same seed always gives the same wall.
        size: Height and width in px. If None, one of `SIZES` at random, in landscape or portrait format.
        kind: One of `walls.KINDS`. Random if None. Joints need a board as the surface.
        widths: Width in px of each crack, which does not apply to its branches. If None or empty, one to four
            random values from `phone_cracks.WIDTHS`.
        surface_name: A name from `SURFACES`. Random if None.

    Returns:
        The photo with its ground truth.

    Raises:
        ConfigError: The kind or the surface is unknown, the kind needs joints but the surface is not a board,
            or the size is too small.
    """
    generator = np.random.default_rng(seed)
    kind = kind or KINDS[generator.integers(len(KINDS))]
    if size is None:
        size = SIZES[generator.integers(len(SIZES))]
        size = size[::-1] if generator.random() < 0.5 else size
    if kind not in ("crack", "both"):
        widths = ()
    elif not widths:
        widths = generator.choice(WIDTHS, int(generator.integers(1, 5)), replace=False).tolist()
    name = surface_name or _choose_surface(kind, widths, generator)
    check_known("kind of wall", kind, KINDS)
    check_known("surface of a phone photo", name, SURFACES)
    if kind in ("seam", "both") and name not in BOARDS:
        raise ConfigError(f"joints need a board surface, not '{name}'; choose one of {', '.join(BOARDS)}")
    if min(size) < 64:
        raise ConfigError(f"a phone photo of {size[1]}×{size[0]} px is too small; the minimum side is 64 px")
    canvas = surface(name, size, generator)
    canvas.height *= np.float32(canvas.scale**_RELIEF)
    GRAINS[name](canvas, generator)
    canvas.zoom = generator.uniform(0.3, 1.0)
    board = board_shape(size, generator) if name in BOARDS and generator.random() < 0.25 else None
    objects = choose_objects(name, generator)
    objects += tuple(generator.choice(list(DETAILS), int(generator.integers(0, 4)), replace=False).tolist())
    _draw(canvas, [item for item in objects if item in _BELOW])
    lines = add_seams(canvas, board) if kind in ("seam", "both") else ()
    cracks = add_phone_cracks(canvas, widths, None if board is None else board > 0.5)
    if board is not None:
        canvas = before_background(canvas, board)
    hidden = _draw(canvas, [item for item in objects if item not in _BELOW])
    camera = Camera.draw(generator)
    photo = develop_photo(light(canvas), camera, generator)
    visible = (crack.without(hidden) for crack in cracks)
    shown = tuple(crack for crack in visible if len(crack.centreline) and crack.mask.any())
    return PhoneWall(photo, kind, name, objects, shown, lines, camera)


def _choose_surface(kind: Kind, widths: Sequence[int], generator: Generator) -> str:
    if kind in ("seam", "both"):
        return str(generator.choice(BOARDS))
    fine = min(widths, default=_HAIRLINE + 1) <= _HAIRLINE
    return str(generator.choice([name for name in SURFACES if not (fine and name in _COARSE)]))


def _draw(canvas: Canvas, names: Iterable[str]) -> Mask:
    """Draw first the objects and then the details. Return the pixels that are hidden, bool [H,W]."""
    hidden = draw_objects(canvas, [name for name in names if name in OBJECTS], OBJECTS)
    return hidden | draw_objects(canvas, [name for name in names if name in DETAILS], DETAILS)
