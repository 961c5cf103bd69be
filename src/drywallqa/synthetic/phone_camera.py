"""A phone's camera: lens, sensor, noise reduction, sharpening, tone curve and JPEG, at the photo's own px.

The order is that of a usual image signal processor. Noise is reduced by coring: differences to a blurred copy
shrink where they are small against the noise. Flat parts become smooth with soft grain, fine texture is
smeared a little, edges stay.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from drywallqa.synthetic.canvas import Float, Photo, noise

Generator = np.random.Generator

ISOS = (50, 100, 200, 400, 800, 1600)
_FULL_WELL = 4500.0  # electrons of a phone's pixel of about 1 µm at ISO 50
_READ_NOISE = 2.5  # electrons
_GAMMA = 2.2
_STEEPEST = 8.0  # slope of the display's curve near black
_STRIP = 512  # rows; noise of whole photos would need hundreds of MB more


@dataclass(frozen=True)
class Camera:
    """How a phone takes a photo.

    Attributes:
        iso: Amplification; shot noise grows with it.
        blur: Standard deviation of the lens blur in px.
        denoise: How strongly noise is reduced, 0–1.
        sharpen: How much of the difference to a blurred copy is added.
        radius: Standard deviation of that blur in px.
        contrast: Strength of the S-shaped tone curve, 0–1.
        quality: Of the JPEG, whose colours have half the resolution (4:2:0).
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
        """Draw a usual camera and its settings."""
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
    """Take the photo of a lit wall.

    Args:
        lit: Brightness as displayed, float32 [3,H,W], about 0–1; used up.
        camera: The camera.
        generator: Source of the noise.

    Returns:
        The photo, uint8 [H,W,3].
    """
    for plane in lit:
        smooth_noise(plane, camera.blur)
    np.clip(lit, 0.004, 1.0, out=lit)
    luma = np.float32(0.3) * lit[0] + np.float32(0.59) * lit[1] + np.float32(0.11) * lit[2]
    processed, level = _noisy(luma, camera.iso, generator)
    _denoise(processed, level, camera.denoise)
    soft = smooth_noise(processed.copy(), camera.radius)
    processed += np.float32(camera.sharpen) * (processed - soft)
    processed -= luma
    lit += processed
    _colour_noise(lit, level * (1.2 - camera.denoise), generator)
    np.clip(lit, 0, 1, out=lit)
    return _jpeg(_toned(lit, camera.contrast), camera.quality)


def smooth_noise(plane: Float, deviation: float) -> Float:
    """Blur a plane [H,W] in place by about a Gaussian of that standard deviation in px; edges repeat."""
    passes = max(1, int(np.ceil(deviation**2 / 0.5)))
    share = np.float32(deviation**2 / passes / 2)
    for _ in range(passes):
        for view in (plane, plane.T):
            change = np.diff(view, axis=0) * share
            view[:-1] += change
            view[1:] -= change
    return plane


def _noisy(luma: Float, iso: int, generator: Generator) -> tuple[Float, float]:
    """Add shot and read noise; returns the noisy plane and the noise's deviation at a middle grey."""
    gain = iso / 50 / _FULL_WELL
    read = (_READ_NOISE / _FULL_WELL) ** 2 * (iso / 50)
    noisy = luma.copy()
    for top in range(0, len(luma), _STRIP):
        part = noisy[top : top + _STRIP]
        linear = part**_GAMMA
        deviation = np.sqrt(linear * np.float32(gain) + np.float32(read))
        deviation *= np.minimum(part / (linear * np.float32(_GAMMA)), _STEEPEST)  # slope of the curve
        part += deviation * generator.standard_normal(part.shape, dtype=np.float32)
    middle = 0.6**_GAMMA
    return noisy, float(np.sqrt(middle * gain + read) * 0.6 / (middle * _GAMMA))


def _denoise(noisy: Float, level: float, strength: float) -> None:
    """Shrink differences to the surroundings that are small against the noise."""
    base = smooth_noise(noisy.copy(), 1.2)
    bound = np.float32((2.5 * strength * level) ** 2 + 1e-9)
    noisy -= base
    square = noisy * noisy
    noisy *= np.float32(1 - strength) + np.float32(strength) * square / (square + bound)
    noisy += base


def _colour_noise(lit: Float, level: float, generator: Generator) -> None:
    """What a phone's chroma denoising leaves: weak blotches of several px."""
    size = (lit.shape[1], lit.shape[2])
    for plane in (0, 2):
        lit[plane] += noise(size, generator.uniform(3, 9), generator) * np.float32(0.35 * level)


def _toned(lit: Float, contrast: float) -> Photo:
    """Apply the tone curve; uint8 [H,W,3]."""
    place = np.linspace(0, 1, 1024, dtype=np.float32)
    curve = place + contrast * (place * place * (3 - 2 * place) - place)
    table = np.round(curve * 255).astype(np.uint8)
    photo = np.empty((*lit.shape[1:], 3), np.uint8)
    for channel in range(3):
        photo[:, :, channel] = table[(lit[channel] * np.float32(1023)).astype(np.uint16)]
    return photo


def _jpeg(photo: Photo, quality: int) -> Photo:
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "JPEG", quality=quality, subsampling=2)
    with Image.open(stream) as image:
        return np.asarray(image.convert("RGB"))
