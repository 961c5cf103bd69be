"""Deep samples to 8 bits: which range a file's 10-, 12- or 16-bit, whole or fractional samples really use."""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from PIL import ImageFile

_BITS_PER_SAMPLE, _MAX_SAMPLE = 258, 281  # TIFF tags
_USUAL_BITS = (8, 10, 12, 14, 16)
_HIGH = 2**14 >> 8  # the high byte from which on a sample needs all 16 bits
_OTHER_BYTE = {"B": "L", "L": "B", "N": "B"}  # Pillow's names of byte orders; N is this machine's


def deep_colour(image: Image.Image) -> bool:
    """Tell of a picture that is not decoded yet whether it has 16 bits a colour, of which Pillow keeps 8."""
    tiles: Any = getattr(image, "tile", None) if image.mode in ("RGB", "RGBA") else None
    return bool(tiles) and _raw_mode(tiles[0][3]).endswith((";16B", ";16L", ";16N"))


def eight_bits(image: Image.Image, deep: bool, stream: IO[bytes] | None) -> tuple[Image.Image, str | None]:
    """Return a decoded picture with 8 bits a sample, scaled by the range that its samples use.

    Args:
        image: The picture.
        deep: What `deep_colour` told of it.
        stream: The file that it comes from, if it is at hand; left anywhere.

    Returns:
        The picture, itself where it has 8 bits, and a note where the range is not that of its type.
    """
    stream = None if stream is None or stream.closed else stream
    if image.mode.startswith(("I", "F")):
        samples = np.asarray(image)
        if (
            image.format == "PNG"
        ):  # which holds 16 unsigned bits at most; older Pillow makes wider ones of them
            samples = samples.astype(np.uint16)
        grey, note = _scaled(samples, _declared(image, stream))
        return Image.fromarray(grey), note
    if not deep or stream is None or np.asarray(image)[:, :, :3].max() >= _HIGH:
        return image, None
    declared, page = _declared(image, stream), image.tell()
    stream.seek(0)
    with Image.open(stream, formats=(image.format or "",)) as again:
        again.seek(page)
        return _with_low_bytes(image, again, declared)


def _with_low_bytes(
    high: Image.Image, again: ImageFile.ImageFile, declared: float | None
) -> tuple[Image.Image, str | None]:
    """Join the high bytes that Pillow keeps with the low ones, which it yields in the other byte order."""
    again.tile = [_swapped(tile) for tile in again.tile]
    deep = np.asarray(high).astype(np.uint16) * np.uint16(256) + np.asarray(again)
    colours, note = _scaled(deep[:, :, :3], declared)
    if deep.shape[2] == 3:
        return Image.fromarray(colours), note
    alpha, _ = _scaled(deep[:, :, 3:], declared)
    return Image.fromarray(np.concatenate([colours, alpha], axis=2)), note


def _raw_mode(arguments: Any) -> str:
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _swapped(tile: Any) -> Any:
    arguments = tile[3]
    raw = _raw_mode(arguments)
    other = raw[:-1] + _OTHER_BYTE[raw[-1]]
    whole = (other, *arguments[1:]) if isinstance(arguments, tuple) else other
    # Pillow 11 made a named tuple of what was a plain one.
    return tile._replace(args=whole) if hasattr(tile, "_replace") else (*tile[:3], whole)


def _declared(image: Image.Image, stream: IO[bytes] | None) -> float | None:
    """Return the full scale that a file states for its samples, None where it states none."""
    tags = getattr(image, "tag_v2", None)
    if tags is not None:
        bits, most = (_first(tags.get(tag)) for tag in (_BITS_PER_SAMPLE, _MAX_SAMPLE))
        full = 2 ** min(max(bits or 16, 1), 16) - 1
        # A greatest sample of 65535 is what the tag means when it is absent, so it says nothing.
        return float(most) if most and most < full else float(full) if full < 65535 else None
    stated = _significant_bits(stream) if image.format == "PNG" and stream is not None else 0
    return float(2**stated - 1) if stated else None


def _first(value: Any) -> int:
    return int(value[0] if isinstance(value, tuple) else value or 0)


def _significant_bits(stream: IO[bytes]) -> int:
    """Return what a PNG file's sBIT chunk says, 0 where it has none."""
    stream.seek(8)
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"sBIT":
            return max(stream.read(length)[:3], default=0)
        if kind == b"IDAT":
            break
        stream.seek(length + 4, 1)
    return 0


def _scaled(samples: NDArray[Any], declared: float | None) -> tuple[NDArray[np.uint8], str | None]:
    """Scale deep samples to 0–255 by the range that the file states, or failing that their values show."""
    values = np.nan_to_num(samples.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    unsigned = samples.dtype.kind == "u"
    low, largest = 0.0 if unsigned else min(0.0, float(values.min())), float(values.max())
    high = declared if declared and largest <= declared else _full_scale(largest, samples.dtype.kind != "f")
    scaled: NDArray[np.float32] = (values - low) * np.float32(255.0 / (high - low))
    eight = np.asarray(np.clip(np.rint(scaled), 0, 255), dtype=np.uint8)
    return eight, _note(high, largest, declared, unsigned)


def _full_scale(largest: float, whole: bool) -> float:
    """Return the smallest usual full scale that holds the largest value."""
    usual = [*([] if whole else [1.0]), *(float(2**bits - 1) for bits in _USUAL_BITS)]
    return next((scale for scale in usual if largest <= scale), largest)


def _note(high: float, largest: float, declared: float | None, unsigned: bool) -> str | None:
    natural = (65535.0, declared) if unsigned else (1.0, 255.0, 65535.0, declared)
    if high in natural or largest <= 0:
        return None
    bits = int(high).bit_length()
    kind = f"{bits} bits in a deeper type" if high == 2**bits - 1 else "an unusual range"
    return (
        f"{kind}: its samples reach only {largest:.6g}, so {high:.6g} was taken for white; if that is "
        "wrong, save it with 8 bits"
    )
