"""Lighting and camera models that turn a canvas into a photo.

`photograph` models a simple camera. Its photos look the same at every size. `develop_photo` models a phone
camera at full resolution. It applies its steps in the order of a typical image signal processor. It reduces
noise by coring: differences between the photo and a blurred copy are reduced if they are small compared with
the noise. Flat areas become smooth, fine texture is slightly smeared, and edges stay sharp.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from drywallqa.synthetic.canvas import Canvas, Float, Generator, Photo, Size, distance_along, grid, noise

ISOS = (50, 100, 200, 400, 800, 1600)
_FULL_WELL = 4500.0  # electrons; capacity of a pixel of about 1 µm at ISO 50
_READ_NOISE = 2.5  # electrons
_GAMMA = 2.2
_STEEPEST = 8.0  # maximum slope of the tone curve, which is steep near black
_STRIP = 512  # rows; computing noise strip by strip saves hundreds of MB of memory


def light(canvas: Canvas, raking: float | None = None) -> Float:
    """Light a canvas and shade its relief.

    Args:
        canvas: The canvas.
        raking: Strength of the shading, from 0 (frontal light) to 1 (grazing light). Random if None.

    Returns:
        Brightness, float32 [3,H,W], roughly in 0–1.
    """
    generator = canvas.generator
    raking = float(generator.beta(1.2, 3.0)) if raking is None else raking
    angle = generator.uniform(0, 2 * np.pi)
    # Slope of the relief towards the light in px per px, from central differences.
    slope = np.zeros_like(canvas.height)
    slope[:, 1:-1] += np.float32(np.cos(angle) / 2) * (canvas.height[:, 2:] - canvas.height[:, :-2])
    slope[1:-1] += np.float32(np.sin(angle) / 2) * (canvas.height[2:] - canvas.height[:-2])
    shade = np.clip(1 + slope * np.float32(0.06 + 0.6 * raking), 0.25, 1.7)
    shade *= _falloff(canvas.size, generator, 0.08 + 0.5 * raking)
    if generator.random() < 0.2:
        shade *= _cast_shadow(canvas)
    warm = generator.normal(0, 0.05)
    tint = np.asarray([1 + warm, 1.0, 1 - warm], np.float32)
    tint *= np.float32(np.exp(generator.normal(0.15, 0.2)))
    lit = np.asarray(canvas.colour * shade)
    if generator.random() < 0.9:
        # Auto-exposure: the brightest spots usually end up just below white.
        brightest = float(np.percentile(lit[:, ::9, ::9], 96)) * float(tint.max())
        tint *= np.float32(np.clip(generator.uniform(0.7, 1.0) / max(brightest, 0.05), 0.4, 1.7))
    lit *= tint[:, None, None]
    return lit


def _falloff(size: Size, generator: Generator, strength: float) -> Float:
    """Compute factors for light falloff and vignetting, and sometimes for the bright spot of a lamp."""
    rows, columns = grid(size)
    y, x = rows / size[0] - 0.5, columns / size[1] - 0.5
    angle = generator.uniform(0, 2 * np.pi)
    gradient = 1 + np.float32(strength) * (np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y)
    field = gradient * (1 - np.float32(generator.uniform(0, 0.5)) * (x * x + y * y))
    if generator.random() < 0.25:
        centre_y, centre_x = generator.uniform(-0.5, 0.5, 2)
        spread = np.float32(generator.uniform(0.05, 0.4))
        spot = np.exp(-((x - centre_x) ** 2 + (y - centre_y) ** 2) / spread)
        field = field * (0.6 + np.float32(generator.uniform(0.3, 0.7)) * spot)
    return np.asarray(field, np.float32)


def _cast_shadow(canvas: Canvas) -> Float:
    """Compute the shadow of an object outside the photo. The shadow is a bar or has a single edge."""
    generator, scale, (height, width) = canvas.generator, canvas.scale, canvas.size
    angle = generator.uniform(0, 2 * np.pi)
    middle = generator.uniform(-0.35, 0.35) * max(canvas.size)
    distance = distance_along(canvas.size, (width / 2, height / 2), (np.cos(angle), np.sin(angle)))
    softness = np.float32(scale * np.exp(generator.uniform(np.log(3), np.log(70))))
    dark = np.clip((distance - np.float32(middle)) / softness + 0.5, 0, 1)
    if generator.random() < 0.4:
        breadth = np.float32(generator.uniform(20, 160) * scale)
        dark = np.minimum(dark, np.clip((np.float32(middle) + breadth - distance) / softness + 0.5, 0, 1))
    return np.asarray(1 - np.float32(generator.uniform(0.1, 0.45)) * dark)


def photograph(lit: Float, generator: Generator, scale: float) -> Photo:
    """Turn brightness [3,H,W] into a photo, uint8 [H,W,3], with noise, blur and often JPEG compression."""
    values = lit * np.float32(255)
    strength = generator.gamma(1.5, 1.6)
    if strength > 0.4:
        grain = 1.0 if generator.random() < 0.7 else 1.8
        values += noise((lit.shape[1], lit.shape[2]), grain, generator) * np.float32(strength)
    np.clip(values, 0, 255, out=values)
    image = Image.merge("RGB", [Image.fromarray(plane) for plane in values.astype(np.uint8)])
    blur = generator.gamma(1.2, 0.45) * scale
    if blur > 0.3:
        image = image.filter(ImageFilter.BoxBlur(min(blur, 2.0 * scale)))
    if generator.random() < 0.6:
        image = _jpeg(image, int(generator.integers(45, 96)))
    return np.asarray(image)


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Compress an image as JPEG with 4:2:0 chroma subsampling, and decode it again."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality, subsampling=2)
    return Image.open(stream).convert("RGB")


@dataclass(frozen=True)
class Camera:
    """Settings of a phone camera.

    Attributes:
        iso: Sensor gain. A higher gain gives more shot noise.
        blur: Standard deviation of the lens blur in px.
        denoise: Strength of noise reduction in 0–1.
        sharpen: Strength of the unsharp mask.
        radius: Standard deviation in px of the blur in the unsharp mask.
        contrast: Strength of the S-shaped tone curve in 0–1.
        quality: JPEG quality. The chroma subsampling is 4:2:0.
    """

    iso: int = 100
    blur: float = 0.7
    denoise: float = 0.6
    sharpen: float = 0.8
    radius: float = 1.0
    contrast: float = 0.3
    quality: int = 90

    @classmethod
    def draw(cls, generator: Generator) -> Camera:
        """Choose random but realistic settings."""
        return cls(
            iso=int(generator.choice(ISOS, p=[0.2, 0.25, 0.2, 0.15, 0.12, 0.08])),
            blur=float(generator.uniform(0.45, 1.1)),
            denoise=float(generator.uniform(0.3, 1.0)),
            sharpen=float(generator.uniform(0.3, 1.6)),
            radius=float(generator.uniform(0.7, 1.6)),
            contrast=float(generator.uniform(0.0, 0.6)),
            quality=int(generator.integers(75, 96)),
        )


def develop_photo(lit: Float, camera: Camera, generator: Generator) -> Photo:
    """Simulate a phone camera's photo of a lit wall.

    Args:
        lit: Gamma-encoded brightness, float32 [3,H,W], roughly in 0–1. The array is modified.
        camera: Camera settings.
        generator: Random generator for the noise.

    Returns:
        The photo, uint8 [H,W,3].
    """
    for plane in lit:
        smooth_noise(plane, camera.blur)
    np.clip(lit, 0.004, 1.0, out=lit)
    luma = np.float32(0.3) * lit[0] + np.float32(0.59) * lit[1] + np.float32(0.11) * lit[2]
    processed, level = _noisy(luma, camera.iso, generator)
    # Coring: differences between the noisy plane and a blurred copy are reduced if they are small.
    base = smooth_noise(processed.copy(), 1.2)
    processed -= base
    square = processed * processed
    bound = np.float32((2.5 * camera.denoise * level) ** 2 + 1e-9)
    processed *= np.float32(1 - camera.denoise) + np.float32(camera.denoise) * square / (square + bound)
    processed += base
    soft = smooth_noise(processed.copy(), camera.radius)
    processed += np.float32(camera.sharpen) * (processed - soft)
    processed -= luma
    lit += processed
    for plane in (lit[0], lit[2]):
        # The chroma denoising of a phone leaves faint colour blotches that are several px wide.
        blotches = noise((luma.shape[0], luma.shape[1]), generator.uniform(3, 9), generator)
        plane += blotches * np.float32(0.35 * (level * (1.2 - camera.denoise)))
    np.clip(lit, 0, 1, out=lit)
    place = np.linspace(0, 1, 1024, dtype=np.float32)
    curve = place + camera.contrast * (place * place * (3 - 2 * place) - place)
    table = np.round(curve * 255).astype(np.uint8)
    planes = [Image.fromarray(table[(plane * np.float32(1023)).astype(np.uint16)]) for plane in lit]
    return np.asarray(_jpeg(Image.merge("RGB", planes), camera.quality))


def smooth_noise(plane: Float, deviation: float) -> Float:
    """Blur a plane [H,W] in place with an approximate Gaussian. `deviation` is in px."""
    passes = max(1, int(np.ceil(deviation**2 / 0.5)))
    share = np.float32(deviation**2 / passes / 2)
    for _ in range(passes):
        for view in (plane, plane.T):
            change = np.diff(view, axis=0) * share
            view[:-1] += change
            view[1:] -= change
    return plane


def _noisy(luma: Float, iso: int, generator: Generator) -> tuple[Float, float]:
    """Add shot and read noise to a copy of a plane; return the copy and the noise level at middle grey."""
    gain = iso / 50 / _FULL_WELL
    read = (_READ_NOISE / _FULL_WELL) ** 2 * (iso / 50)
    noisy = luma.copy()
    for top in range(0, len(luma), _STRIP):
        part = noisy[top : top + _STRIP]
        linear = part**_GAMMA
        deviation = np.sqrt(linear * np.float32(gain) + np.float32(read))
        deviation *= np.minimum(part / (linear * np.float32(_GAMMA)), _STEEPEST)  # slope of the tone curve
        part += deviation * generator.standard_normal(part.shape, dtype=np.float32)
    middle = 0.6**_GAMMA
    return noisy, float(np.sqrt(middle * gain + read) * 0.6 / (middle * _GAMMA))
