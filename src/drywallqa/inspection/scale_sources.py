"""Find the scale of a photo from the sources that a user names, and refuse sources that disagree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drywallqa.errors import ScaleError
from drywallqa.imaging.camera_tags import CameraTags
from drywallqa.imaging.straight_lines import StraightLine
from drywallqa.inspection.board_spacing import board_spacing
from drywallqa.inspection.lengths import (
    check_inside,
    check_positive,
    parse_known_length,
    parse_known_rectangle,
    parse_mm,
)
from drywallqa.inspection.markers import DEFAULT_FAMILY, FoundMarker, check_marker_family, find_markers
from drywallqa.inspection.scale import TILT_RELATIVE_SIGMA, Scale, homography_of

Floats = NDArray[np.float64]

POINT_SIGMA = 2.0  # px, of each coordinate of a point that a person reads off a photo
LENGTH_SIGMA = 0.5  # mm, of a length that a person reads off a ruler
FLATNESS_SIGMA = 0.003  # relative, for lens distortion and for bends of a sheet that the checks let pass
FOCAL_SIGMA = 0.03  # relative, of a focal length in EXIF, which is rounded and changes with the focus
DISTANCE_SIGMA = 0.03  # relative, of a distance that a person measures from the camera to the wall
FOCUS_SIGMA = 0.1  # relative, of a distance that a camera derives from its focus
_LEAST_POINTS = 20.0  # px between two points that a person reads off a photo


@dataclass(frozen=True, eq=False)
class ScaleOptions:
    """The sources of a scale. Without any source, everything is measured in pixels.

    Attributes:
        mm_per_pixel: Size of a pixel in mm.
        line: Two points [2,2] in px and their distance in mm.
        rectangle: The corners [4,2] of a rectangle in px (top left, top right, bottom right, bottom left) and
            its width and height in mm.
        marker_mm: Side of the printed black square of the markers in the photo in mm.
        marker_family: A key of `markers.FAMILIES`.
        board_mm: Distance between neighbouring parallel joints in mm. The joints are found by the model.
        distance_mm: Distance between camera and wall in mm. The focal length comes from EXIF.
        exif_distance: Use the distance that the camera stored in EXIF.
    """

    mm_per_pixel: float | None = None
    line: tuple[Floats, float] | None = None
    rectangle: tuple[Floats, tuple[float, float]] | None = None
    marker_mm: float | None = None
    marker_family: str = DEFAULT_FAMILY
    board_mm: float | None = None
    distance_mm: float | None = None
    exif_distance: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ScaleError: A length is not above zero, or the family is unknown.
        """
        lengths = {
            "--mm-per-pixel": self.mm_per_pixel,
            "--line": self.line and self.line[1],
            "--rectangle": self.rectangle and min(self.rectangle[1]),
            "--marker": self.marker_mm,
            "--board": self.board_mm,
            "--distance": self.distance_mm,
        }
        for option, value in lengths.items():
            if value is not None:
                check_positive(value, option, f"{value:g}")
        check_marker_family(self.marker_family)

    @property
    def for_one_photo(self) -> bool:
        """Whether the options contain positions in one photo, so that they do not suit a second photo."""
        return self.line is not None or self.rectangle is not None

    @property
    def has_source(self) -> bool:
        """Whether the options name a source."""
        lengths = (self.mm_per_pixel, self.marker_mm, self.board_mm, self.distance_mm)
        return self.for_one_photo or self.exif_distance or any(length is not None for length in lengths)


def parse_scale_options(
    mm_per_pixel: float | None = None,
    line: str | None = None,
    rectangle: str | None = None,
    marker: str | None = None,
    marker_family: str | None = None,
    board: str | None = None,
    distance: str | None = None,
) -> ScaleOptions:
    """Parse the scale's options of the command line.

    Args:
        mm_per_pixel: Size of a pixel in mm.
        line: Two points and their distance, such as "120,80 940,85 = 500mm".
        rectangle: Four points and a size, such as "120,80 940,85 935,610 115,600 = 1200mm x 800mm".
        marker: Side of the markers, such as "100mm".
        marker_family: A key of `markers.FAMILIES`; only together with `marker`.
        board: Distance between neighbouring parallel joints, such as "1200mm".
        distance: Distance between camera and wall, such as "1.5m", or "exif".

    Raises:
        ScaleError: An option has another form; the message names the option.
    """
    if marker_family is not None and marker is None:
        raise ScaleError(
            "--marker-family also needs --marker, the size of the marker, such as --marker 100mm"
        )
    from_exif = distance is not None and distance.strip().lower() == "exif"
    return ScaleOptions(
        mm_per_pixel,
        parse_known_length(line, 2, "--line") if line is not None else None,
        parse_known_rectangle(rectangle, "--rectangle") if rectangle is not None else None,
        parse_mm(marker, "--marker") if marker is not None else None,
        marker_family or DEFAULT_FAMILY,
        parse_mm(board, "--board") if board is not None else None,
        parse_mm(distance, "--distance") if distance is not None and not from_exif else None,
        from_exif,
    )


def find_scale(
    photo: NDArray[np.uint8],
    options: ScaleOptions,
    tags: CameraTags | None = None,
    joints: Sequence[StraightLine] = (),
) -> Scale | None:
    """Find the scale of a photo. The most certain source gives the scale, and all others must agree with it.

    Args:
        photo: RGB uint8 [H,W,3].
        options: The sources to use.
        tags: EXIF tags of the photo's file.
        joints: The joints between boards that were found in the photo.

    Returns:
        The scale, or None if `options` names no source.

    Raises:
        ScaleError: A source cannot be used in this photo, or two sources disagree.
        MissingExtraError: A marker is to be read and OpenCV is not installed.
    """
    sources = sorted(_sources(photo, options, tags, joints), key=lambda source: source.sigma)
    if not sources:
        return None
    for other in sources[1:]:
        _check_agreement(sources[0], other)
    return sources[0].scale


@dataclass(frozen=True, eq=False)
class _Source:
    """A scale, and the segment [2,2] in px where it is most certain, with the relative uncertainty there."""

    scale: Scale
    segment: Floats
    sigma: float


def _sources(
    photo: NDArray[np.uint8], options: ScaleOptions, tags: CameraTags | None, joints: Sequence[StraightLine]
) -> Iterator[_Source]:
    height, width = size = photo.shape[:2]
    middle = np.array([[width / 4, height / 2], [width * 3 / 4, height / 2]])
    if options.mm_per_pixel is not None:
        scale = Scale(options.mm_per_pixel, TILT_RELATIVE_SIGMA, "mm per pixel as given")
        yield _Source(scale, middle, scale.relative_sigma)
    if options.line is not None:
        check_inside(options.line[0], size, "--line")
        yield _line_source(*options.line)
    if options.rectangle is not None:
        check_inside(options.rectangle[0], size, "--rectangle")
        yield _plane_source(_rectangle_scale(*options.rectangle, size), options.rectangle[0])
    if options.marker_mm is not None:
        for marker in find_markers(photo, options.marker_mm, options.marker_family):
            yield _plane_source(_marker_scale(marker, options, size), marker.corners)
    if options.board_mm is not None:
        pixels, sigma = board_spacing(joints, size)
        source = f"joints {options.board_mm:g} mm apart"
        scale = Scale(options.board_mm / pixels, math.hypot(sigma, TILT_RELATIVE_SIGMA), source)
        yield _Source(scale, middle, scale.relative_sigma)
    if options.distance_mm is not None or options.exif_distance:
        scale = _distance_scale(options.distance_mm, tags or CameraTags(), size)
        yield _Source(scale, middle, scale.relative_sigma)


def _line_source(points: Floats, length: float) -> _Source:
    pixels = _separate(points, "--line")
    local = math.hypot(POINT_SIGMA * math.sqrt(2) / pixels, LENGTH_SIGMA / length)
    scale = Scale(length / pixels, math.hypot(local, TILT_RELATIVE_SIGMA), f"two points {length:g} mm apart")
    return _Source(scale, points, local)


def _rectangle_scale(points: Floats, sides: tuple[float, float], size: tuple[int, int]) -> Scale:
    _separate(points, "--rectangle")
    edges = np.roll(points, -1, axis=0) - points
    turns = edges[:, 0] * np.roll(edges[:, 1], -1) - edges[:, 1] * np.roll(edges[:, 0], -1)
    if not (turns > 0).all() or edges[0, 0] <= 0 or edges[3, 1] >= 0:
        raise ScaleError(
            "--rectangle: the points are not the corners of a rectangle in the order top left, top right, "
            "bottom right, bottom left; write them in this order"
        )
    width, height = sides
    wall = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    moved = [points + POINT_SIGMA * step.reshape(4, 2) for step in np.eye(8)]
    variants = np.array([homography_of(corners, wall) for corners in moved])
    common = math.hypot(FLATNESS_SIGMA, LENGTH_SIGMA / min(sides))
    source = f"four points of a rectangle of {width:g} by {height:g} mm"
    return Scale.of_plane(homography_of(points, wall), variants, common, size, source)


def _marker_scale(marker: FoundMarker, options: ScaleOptions, size: tuple[int, int]) -> Scale:
    assert options.marker_mm is not None
    common = math.hypot(FLATNESS_SIGMA, LENGTH_SIGMA / 2 / options.marker_mm)  # read off half a division
    source = f"marker {marker.number} ({options.marker_family}) of {options.marker_mm:g} mm"
    return Scale.of_plane(marker.homography, marker.variants, common, size, source)


def _distance_scale(distance: float | None, tags: CameraTags, size: tuple[int, int]) -> Scale:
    height, width = size
    if tags.focal_share is None:
        raise ScaleError(
            "--distance: the photo's EXIF data does not state the focal length; use another source, such as "
            "a marker"
        )
    if tags.size and abs(max(tags.size) / min(tags.size) / (max(size) / min(size)) - 1) > 0.01:
        raise ScaleError(
            f"--distance: the photo was cropped from {tags.size[0]}×{tags.size[1]} to {width}×{height} px, "
            "so its focal length is no longer known; use the original photo"
        )
    used = distance if distance is not None else tags.distance_mm
    if used is None:
        raise ScaleError(
            "--distance exif: the camera stored no distance; measure it and write it, such as --distance 1.5m"
        )
    sigma = math.hypot(
        FOCAL_SIGMA, DISTANCE_SIGMA if distance is not None else FOCUS_SIGMA, TILT_RELATIVE_SIGMA
    )
    origin = "" if distance is not None else " in EXIF"
    source = f"distance of {used / 1000:.2f} m{origin} and focal length in EXIF"
    return Scale(used / (tags.focal_share * math.hypot(height, width)), sigma, source)


def _plane_source(scale: Scale, corners: Floats) -> _Source:
    """Make a source of a scale with perspective, which is most certain between its corners [4,2]."""
    diagonal = corners[[0, 2]]
    return _Source(scale, diagonal, scale.relative_sigma_of(diagonal))


def _check_agreement(best: _Source, other: _Source) -> None:
    """Compare two sources on the segment of the less certain one.

    Raises:
        ScaleError: Their 95 % intervals do not overlap.
    """
    pixels = float(np.hypot(*(other.segment[1] - other.segment[0])))
    sigma = best.scale.relative_sigma_of(other.segment)
    first, second = (source.scale.length_mm(other.segment) / pixels for source in (best, other))
    if abs(first - second) > 2 * (first * sigma + second * other.sigma):
        raise ScaleError(
            f"two sources of the scale disagree: {best.scale.source} gives {first:.4g} ± "
            f"{2 * first * sigma:.2g} mm per pixel, {other.scale.source} gives {second:.4g} ± "
            f"{2 * second * other.sigma:.2g}; "
            "measure again, and leave the wrong one out"
        )


def _separate(points: Floats, option: str) -> float:
    """Return the shortest distance in px between successive points [N,2].

    Raises:
        ScaleError: Two points are too near each other to give a scale.
    """
    shortest = float(np.hypot(*(np.roll(points, -1, axis=0) - points).T).min())
    if shortest < _LEAST_POINTS:
        raise ScaleError(
            f"{option}: two points are only {shortest:.0f} px apart; choose points at least "
            f"{_LEAST_POINTS:.0f} px apart"
        )
    return shortest
