"""Scale deep samples to 8 bits by the range that a file with 10, 12 or 16 bits or fractions really uses."""

from __future__ import annotations

import struct
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BITS_PER_SAMPLE, _MAX_SAMPLE = 258, 281  # TIFF tags
_USUAL_BITS = (8, 10, 12, 14, 16)
_HIGH = 2**14 >> 8  # the high byte from which on a sample needs all 16 bits
_OTHER_BYTE = {"B": "L", "L": "B", "N": "B"}  # Pillow's names of byte orders; N is this machine's


def deep_colour(image: Image.Image) -> bool:
    """Tell whether a picture that is not decoded yet has 16 bits per colour, of which Pillow keeps 8."""
    tiles: Any = getattr(image, "tile", None) if image.mode in ("RGB", "RGBA") else None
    return bool(tiles) and _raw_mode(tiles[0][3]).endswith((";16B", ";16L", ";16N"))


def eight_bits(image: Image.Image, deep: bool, stream: IO[bytes] | None) -> tuple[Image.Image, str | None]:
    """Return a decoded picture with 8 bits per sample, scaled by the range that its samples use.

    Args:
        image: The picture.
        deep: The result of `deep_colour` before it was decoded.
        stream: Its file, which decoding may have closed. The position changes.

    Returns:
        The picture, unchanged if it has 8 bits, and a note if the range is not that of its type.
    """
    stream = None if stream is None or stream.closed else stream
    if image.mode.startswith(("I", "F")):
        samples = np.asarray(image)
        if image.format == "PNG":  # has 16 unsigned bits at most; older Pillow makes wider ones of them
            samples = samples.astype(np.uint16)
        grey, note = _scale(samples, _declared_maximum(image, stream))
        return Image.fromarray(grey), note
    if not deep or stream is None or np.asarray(image)[:, :, :3].max() >= _HIGH:
        return image, None
    # Pillow keeps the high bytes, and yields the low ones when it is told the other byte order.
    declared, page = _declared_maximum(image, stream), image.tell()
    stream.seek(0)
    with Image.open(stream, formats=(image.format or "",)) as low:
        low.seek(page)
        low.tile = [_other_byte_order(tile) for tile in low.tile]
        samples = np.asarray(image).astype(np.uint16) * np.uint16(256) + np.asarray(low)
    colours, note = _scale(samples[:, :, :3], declared)
    alpha = [_scale(samples[:, :, 3:], declared)[0]] if samples.shape[2] > 3 else []
    return Image.fromarray(np.concatenate([colours, *alpha], axis=2)), note


def _raw_mode(arguments: Any) -> str:
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _other_byte_order(tile: Any) -> Any:
    arguments = tile[3]
    raw = _raw_mode(arguments)
    other = raw[:-1] + _OTHER_BYTE[raw[-1]]
    whole = (other, *arguments[1:]) if isinstance(arguments, tuple) else other
    # Pillow 11 turned the plain tuple into a named one.
    return tile._replace(args=whole) if hasattr(tile, "_replace") else (*tile[:3], whole)


def _declared_maximum(image: Image.Image, stream: IO[bytes] | None) -> float | None:
    """Return the greatest sample that a file declares, or None."""
    tags = getattr(image, "tag_v2", None)
    if tags is not None:
        values = [tags.get(tag) for tag in (_BITS_PER_SAMPLE, _MAX_SAMPLE)]
        bits, most = (int(value[0] if isinstance(value, tuple) else value or 0) for value in values)
        full = 2 ** min(max(bits or 16, 1), 16) - 1
        # 65535 is the default of the tag for the greatest sample, so it says nothing.
        return float(most) if most and most < full else float(full) if full < 65535 else None
    bits = _significant_bits(stream) if image.format == "PNG" and stream is not None else 0
    return float(2**bits - 1) if bits else None


def _significant_bits(stream: IO[bytes]) -> int:
    """Return the greatest number in a PNG file's sBIT chunk, or 0 without that chunk."""
    stream.seek(8)
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"sBIT":
            return max(stream.read(length)[:3], default=0)
        if kind == b"IDAT":
            break
        stream.seek(length + 4, 1)
    return 0


def _scale(samples: NDArray[Any], declared: float | None) -> tuple[NDArray[np.uint8], str | None]:
    """Scale deep samples to 0–255 by the declared range, or else by the smallest usual range that fits.

    Returns:
        The samples, and a note if the range is neither declared nor that of the type.
    """
    values = np.nan_to_num(samples.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    kind = samples.dtype.kind
    low, largest = 0.0 if kind == "u" else min(0.0, float(values.min())), float(values.max())
    usual = [*([1.0] if kind == "f" else []), *(float(2**bits - 1) for bits in _USUAL_BITS)]
    if declared and largest <= declared:
        high = declared
    else:
        high = next((scale for scale in usual if largest <= scale), largest)
    scaled: NDArray[np.float32] = (values - low) * np.float32(255.0 / (high - low))
    eight = np.asarray(np.clip(np.rint(scaled), 0, 255), dtype=np.uint8)
    if high in ((65535.0, declared) if kind == "u" else (1.0, 255.0, 65535.0, declared)) or largest <= 0:
        return eight, None
    bits = int(high).bit_length()
    found = f"{bits} bits in a deeper type" if high == 2**bits - 1 else "an unusual range"
    return eight, (
        f"{found}: its samples reach only {largest:.6g}, so {high:.6g} was taken for white; if that is "
        "wrong, save it with 8 bits"
    )
