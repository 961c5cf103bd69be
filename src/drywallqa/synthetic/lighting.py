"""Light on a wall and the camera that looks at it: from a canvas to a photo."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFilter

from drywallqa.synthetic.canvas import Canvas, Float, Photo, grid, noise

Generator = np.random.Generator


def light(canvas: Canvas, raking: float | None = None) -> Float:
    """Light a canvas.

    Args:
        canvas: What to light; its heights become light and shade.
        raking: How strongly heights show, from 0 (frontal light) to 1 (grazing); random by default.

    Returns:
        Brightness, float32 [3,H,W], about 0–1.
    """
    generator = canvas.generator
    raking = float(generator.beta(1.2, 3.0)) if raking is None else raking
    angle = generator.uniform(0, 2 * np.pi)
    slope = _slope(canvas.height, angle)
    shade = np.clip(1 + slope * np.float32(0.06 + 0.6 * raking), 0.25, 1.7)
    shade *= _falloff(canvas.size, generator, 0.08 + 0.5 * raking)
    if generator.random() < 0.2:
        shade *= _cast_shadow(canvas.size, canvas.scale, generator)
    warm = generator.normal(0, 0.05)
    tint = np.asarray([1 + warm, 1.0, 1 - warm], np.float32)
    tint *= np.float32(np.exp(generator.normal(0.15, 0.2)))
    lit: Float = canvas.colour * shade
    if generator.random() < 0.9:
        # A camera measures the light: the brightest spots mostly end just below white.
        brightest = float(np.percentile(lit[:, ::9, ::9], 96)) * float(tint.max())
        tint *= np.float32(np.clip(generator.uniform(0.7, 1.0) / max(brightest, 0.05), 0.4, 1.7))
    lit *= tint[:, None, None]
    return lit


def _slope(height: Float, angle: float) -> Float:
    """Slope of the relief towards the light (central differences), px per px."""
    slope = np.zeros_like(height)
    slope[:, 1:-1] += np.float32(np.cos(angle) / 2) * (height[:, 2:] - height[:, :-2])
    slope[1:-1] += np.float32(np.sin(angle) / 2) * (height[2:] - height[:-2])
    return slope


def _falloff(size: tuple[int, int], generator: Generator, strength: float) -> Float:
    """Light that falls off across the photo, vignetting, and a lamp's spot now and then."""
    rows, columns = grid(size)
    y, x = rows / size[0] - 0.5, columns / size[1] - 0.5
    angle = generator.uniform(0, 2 * np.pi)
    field = 1 + np.float32(strength) * (np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y)
    field = field * (1 - np.float32(generator.uniform(0, 0.5)) * (x * x + y * y))
    if generator.random() < 0.25:
        centre_y, centre_x = generator.uniform(-0.5, 0.5, 2)
        spread = np.float32(generator.uniform(0.05, 0.4))
        spot = np.exp(-((x - centre_x) ** 2 + (y - centre_y) ** 2) / spread)
        field = field * (0.6 + np.float32(generator.uniform(0.3, 0.7)) * spot)
    result: Float = np.asarray(field, np.float32)
    return result


def _cast_shadow(size: tuple[int, int], scale: float, generator: Generator) -> Float:
    """Shadow of something outside the photo: a straight soft edge, sometimes of a bar."""
    rows, columns = grid(size)
    angle = generator.uniform(0, 2 * np.pi)
    middle = generator.uniform(-0.35, 0.35) * max(size)
    distance = (columns - size[1] / 2) * np.float32(np.cos(angle)) + (rows - size[0] / 2) * np.float32(
        np.sin(angle)
    )
    softness = np.float32(scale * np.exp(generator.uniform(np.log(3), np.log(70))))
    dark = np.clip((distance - np.float32(middle)) / softness + 0.5, 0, 1)
    if generator.random() < 0.4:
        breadth = np.float32(generator.uniform(20, 160) * scale)
        dark = np.minimum(dark, np.clip((np.float32(middle) + breadth - distance) / softness + 0.5, 0, 1))
    shadow: Float = 1 - np.float32(generator.uniform(0.1, 0.45)) * dark
    return shadow


def photograph(lit: Float, generator: Generator, scale: float) -> Photo:
    """Take the photo: blur, clipping, sensor noise and, mostly, JPEG; uint8 [H,W,3]."""
    size = (lit.shape[1], lit.shape[2])
    values = lit * np.float32(255)
    strength = generator.gamma(1.5, 1.6)
    if strength > 0.4:
        values += noise(size, 1.0 if generator.random() < 0.7 else 1.8, generator) * np.float32(strength)
    np.clip(values, 0, 255, out=values)
    image = Image.merge("RGB", [Image.fromarray(plane) for plane in values.astype(np.uint8)])
    blur = generator.gamma(1.2, 0.45) * scale
    if blur > 0.3:
        image = image.filter(ImageFilter.BoxBlur(min(blur, 2.0 * scale)))
    pixels = np.asarray(image)
    if generator.random() < 0.6:
        pixels = _jpeg(pixels, int(generator.integers(45, 96)))
    return np.ascontiguousarray(pixels)


def _jpeg(pixels: Photo, quality: int) -> Photo:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    with Image.open(stream) as image:
        return np.asarray(image.convert("RGB"))
