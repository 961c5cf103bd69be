"""Pictures of two visits side by side: the later photo is warped to the earlier photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from drywallqa.files import write_whole
from drywallqa.imaging.mask_files import name_digest, safe_stem
from drywallqa.inspection.ledger import Ledger, Observation
from drywallqa.inspection.visit_changes import Change, FindingChange
from drywallqa.inspection.visits import PhotoPair
from drywallqa.visualization.finding_labels import BLACK, WHITE, Colour, Label, label_size, place_labels
from drywallqa.visualization.finding_strokes import edges_of
from drywallqa.visualization.overlay import image_bytes
from drywallqa.visualization.panels import fit_text, font

COLOURS: dict[Change, Colour] = {
    "new": (176, 42, 0), "grown": (200, 120, 0), "unchanged": (0, 98, 163), "repaired": (20, 120, 70),
    "not comparable": (88, 92, 98),
}  # fmt: skip
PICTURES = "comparison"
_SIDE = 900  # px of the longer side of each photo
_GAP, _HEAD = 12, 42  # px between and above the photos
_TEXT = 24  # px
_RAIL = 4  # px between the edge of a crack and the line beside it

EdgePair = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class ComparisonPicture:
    """A picture of two aligned photos.

    Attributes:
        path: Path relative to the folder of results.
        before: Path of the earlier photo in the ledger.
        after: Path of the later photo in the ledger.
    """

    path: str
    before: str
    after: str


def write_comparison_picture(
    photos: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    pair: PhotoPair,
    ledger: Ledger,
    changes: Sequence[FindingChange],
    folder: Path,
) -> ComparisonPicture:
    """Draw two photos of one wall side by side, and write the picture.

    Args:
        photos: The earlier and the later photo, uint8 [H,W,3].
        pair: Their records and the alignment.
        ledger: The ledger with both visits as the last two.
        changes: Changes of the findings.
        folder: Folder of results.

    Raises:
        OutputError: The picture cannot be written.
    """
    factor = min(1.0, _SIDE / max(photos[0].shape[:2]))
    height, width = (max(1, round(side * factor)) for side in photos[0].shape[:2])
    left = Image.fromarray(photos[0]).resize((width, height), Image.Resampling.BOX)
    right = _warped(photos[1], pair, factor, (width, height))
    before, after = ledger.visits[-2:]
    own = _edges(ledger, before.number, pair.first.path)
    backward = pair.alignment.inverse()
    mapped = {
        number: [(backward.map(one), backward.map(other)) for one, other in edges]
        for number, edges in _edges(ledger, after.number, pair.second.path).items()
    }
    whole = Image.new("RGB", (2 * width + _GAP, height + _HEAD), WHITE)
    for place, (canvas, edges, title) in enumerate(
        ((left, own, f"Before: {before.date}"), (right, mapped, f"After: {after.date}, aligned"))
    ):
        _draw_findings(canvas, edges, {one.number: one.change for one in changes}, factor)
        offset = place * (width + _GAP)
        whole.paste(canvas, (offset, _HEAD))
        ImageDraw.Draw(whole).text((offset + 4, 8), fit_text(title, _TEXT, width - 8), BLACK, font(_TEXT))
    digest = name_digest(f"{pair.first.path}\n{pair.second.path}")
    name = f"{PICTURES}/{safe_stem(Path(pair.second.path).stem)[:60]}-{digest}.jpg"
    write_whole(folder / name, image_bytes(whole, "JPEG", quality=88))
    return ComparisonPicture(name, pair.first.path, pair.second.path)


def _warped(photo: NDArray[np.uint8], pair: PhotoPair, factor: float, size: tuple[int, int]) -> Image.Image:
    """Warp the later photo to the earlier photo at a reduced size; what it does not show is white."""
    shrink = Image.fromarray(photo)
    scale = float(np.sqrt(abs(np.linalg.det(pair.alignment.homography[:2, :2])))) / factor
    reduced = 1.0
    if scale > 1:
        reduced = 1 / scale
        sides = (max(1, round(photo.shape[1] * reduced)), max(1, round(photo.shape[0] * reduced)))
        shrink = shrink.resize(sides, Image.Resampling.BOX)
    corner = np.array(
        [[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]]
    )  # Pillow's origin is the corner of the first pixel
    homography = corner @ pair.alignment.homography @ np.linalg.inv(corner)
    matrix = np.diag([reduced, reduced, 1.0]) @ homography @ np.diag([1 / factor, 1 / factor, 1.0])
    data = (matrix / matrix[2, 2]).ravel()[:8].tolist()
    return shrink.transform(
        size, Image.Transform.PERSPECTIVE, data, Image.Resampling.BICUBIC, fillcolor=WHITE
    )


def _edges(ledger: Ledger, visit: int, photo: str) -> dict[int, list[EdgePair]]:
    """Return the edges of each finding on a photo. Merged findings get the new number."""
    edges: dict[int, list[EdgePair]] = {}
    for finding in ledger.findings:
        if finding.state not in ("split", "deleted"):
            number = finding.into[0] if finding.state == "merged" else finding.number
            for one in finding.observations:
                if (one.visit, one.photo) == (visit, photo):
                    edges.setdefault(number, []).extend(_edges_on(one))
    return edges


def _edges_on(observation: Observation) -> list[EdgePair]:
    edges = [edges_of(line) for line in observation.centre_lines if len(line.points) > 1]
    rings = [np.asarray([*ring, ring[0]]) for ring in observation.polygon]
    return edges or [(ring, ring) for ring in rings]


def _draw_findings(
    canvas: Image.Image, edges: dict[int, list[EdgePair]], changes: dict[int, Change], factor: float
) -> None:
    """Draw thin lines beside the cracks, and labels with number and change."""
    pen = ImageDraw.Draw(canvas)
    labels, colours = [], []
    busy = Image.new("1", canvas.size)
    for number, pairs in sorted(edges.items()):
        change = changes.get(number, "not comparable")
        for one, other in pairs:
            _draw_rails(pen, (one + 0.5) * factor, (other + 0.5) * factor, COLOURS[change], 3)
            _draw_rails(ImageDraw.Draw(busy), (one + 0.5) * factor, (other + 0.5) * factor, 1, 5)
        middle = pairs[0][0][len(pairs[0][0]) // 2] * factor
        labels.append(Label(f"{number} {change}", "no rule", (float(middle[0]), float(middle[1]))))
        colours.append(COLOURS[change])
    boxes = place_labels(labels, _TEXT * 1.4, font(_TEXT), canvas.size, np.asarray(busy))
    for label, box, colour in zip(labels, boxes, colours, strict=True):
        if box is not None:
            _draw_tag(pen, box, label.text, colour)


def _draw_rails(
    pen: Any, one: NDArray[np.float64], other: NDArray[np.float64], colour: Colour | int, width: int
) -> None:
    """Draw a line outside of both edges [N,2] of a crack, so that the crack stays visible."""
    outward = one - other
    outward = outward / (np.hypot(*outward.T)[:, None] + 1e-9)
    for rail in (one + _RAIL * outward, other - _RAIL * outward):
        pen.line([tuple(point) for point in rail.tolist()], fill=colour, width=width)


def _draw_tag(pen: Any, box: tuple[float, float, float, float], text: str, colour: Colour) -> None:
    left, top, _, bottom = box
    width, _ = label_size(text, bottom - top, font(_TEXT))
    pen.rounded_rectangle((left, top, left + width, bottom), 4, fill=WHITE, outline=colour, width=2)
    pen.text(
        (left + (bottom - top) * 0.4, (top + bottom) / 2), text, fill=colour, font=font(_TEXT), anchor="lm"
    )
