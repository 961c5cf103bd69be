"""Rendered photos of a marker on a wall, with perspective, blur, noise and JPEG, and of faulty sheets."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drywallqa.inspection.markers import DEFAULT_FAMILY, marker_cells
from drywallqa.inspection.scale import project

Floats = NDArray[np.float64]
SUPERSAMPLING = 3


@dataclass(frozen=True)
class Scene:
    """A camera in front of a wall with a marker. The wall's origin is the marker's centre, in mm.

    Attributes:
        size: Height and width of the photo in px.
        side_mm: Side of the marker's black square.
        pixels: Side of the marker in px if the wall is not tilted.
        tilt: Angle in degrees between the line of sight and the wall's normal.
        towards: Direction of the tilt in the photo in degrees.
        roll: Turn of the marker on the wall in degrees.
        centre: Where the marker's centre lies, as shares of the photo's width and height.
        blur: Standard deviation of the blur in px.
        noise: Standard deviation of the noise in grey levels.
        quality: JPEG quality.
        bend: Angle in degrees that the sheet's arc spans over the marker; 0 is a flat sheet.
        bend_axis: Direction of the axis of the bend on the sheet in degrees.
        hidden: Share of the marker that something covers, from `hidden_from` degrees.
        mirrored: Whether the photo is mirrored.
        family, number: The marker.
        seed: Of texture and noise.
    """

    size: tuple[int, int] = (480, 640)
    side_mm: float = 100.0
    pixels: float = 150.0
    tilt: float = 0.0
    towards: float = 0.0
    roll: float = 0.0
    centre: tuple[float, float] = (0.5, 0.5)
    blur: float = 0.7
    noise: float = 2.0
    quality: int = 90
    bend: float = 0.0
    bend_axis: float = 0.0
    hidden: float = 0.0
    hidden_from: float = 0.0
    hidden_grey: float = 120.0
    mirrored: bool = False
    family: str = DEFAULT_FAMILY
    number: int = 17
    seed: int = 0

    def camera(self) -> Floats:
        """Return the 3 by 4 matrix from (x, y, z) in mm on and in front of the wall to photo px."""
        height, width = self.size
        focal = 0.8 * max(self.size)
        distance = focal * self.side_mm / self.pixels
        inner = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
        turn = _about_z(-self.towards) @ _about_y(self.tilt) @ _about_z(self.towards)
        aim = np.linalg.inv(inner) @ [self.centre[0] * (width - 1), self.centre[1] * (height - 1), 1]
        return inner @ np.hstack([turn, (distance * aim)[:, None]])

    def wall_to_photo(self) -> Floats:
        """Return the homography [3,3] from mm on the wall to photo px."""
        return self.camera()[:, [0, 1, 3]]

    def photo(self) -> NDArray[np.uint8]:
        """Render the photo, RGB uint8 [H,W,3]."""
        import cv2

        big = cv2.resize(self._radiance(), self.size[::-1], interpolation=cv2.INTER_AREA)
        grey = 255 * (cv2.GaussianBlur(big, (0, 0), self.blur) if self.blur else big) ** (1 / 2.2)
        noise = np.random.default_rng(self.seed).normal(0, self.noise, (*self.size, 3))
        pixels = np.clip(grey[..., None] * [1.0, 0.99, 0.96] + noise, 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=self.quality)
        read = np.asarray(Image.open(file))
        return read[:, ::-1].copy() if self.mirrored else read

    def _radiance(self) -> NDArray[np.float32]:
        """Return linear light [H*s,W*s] of the wall, with s by s jittered samples in each px."""
        s = SUPERSAMPLING
        rows, columns = np.mgrid[: self.size[0] * s, : self.size[1] * s]
        pixels = np.stack([columns.ravel(), rows.ravel()], 1) / s - 0.5
        pixels += np.random.default_rng(self.seed).uniform(0, 1 / s, pixels.shape)
        wall = project(np.linalg.inv(self.wall_to_photo()), pixels)
        light = self._texture(wall)
        sheet = self._on_sheet(pixels, wall) @ _about_z(self.roll)[:2, :2] / self.side_mm + 0.5
        cells = np.pad(marker_cells(self.family, self.number), 1, constant_values=True)
        index = np.floor(sheet * (len(cells) - 2) + 1).astype(int)
        on = ((index >= 0) & (index < len(cells))).all(1)
        light[on] = np.where(cells[index[on, 1], index[on, 0]], 0.8, 0.05)
        angle = math.radians(self.hidden_from)
        across = (sheet - 0.5) @ [math.cos(angle), math.sin(angle)]
        half = 0.5 * (abs(math.cos(angle)) + abs(math.sin(angle)))
        if self.hidden:
            light[on & (across < half * (2 * self.hidden - 1))] = (self.hidden_grey / 255) ** 2.2
        return light.reshape(rows.shape).astype(np.float32)

    def _texture(self, wall: Floats) -> Floats:
        """Return the light of a painted wall at positions [N,2] in mm: uneven light and a fine grain."""
        generator = np.random.default_rng(self.seed + 1)
        light = 0.45 + 0.0003 * wall @ generator.normal(0, 0.5, 2)
        for period in (300.0, 90.0, 20.0, 6.0):
            direction, phase = generator.normal(0, 1, 2), generator.uniform(0, 6)
            light += 0.02 * np.sin(wall @ direction * 6.28 / period + phase)
        return np.clip(light, 0.1, 0.9)

    def _on_sheet(self, pixels: Floats, wall: Floats) -> Floats:
        """Return the positions [N,2] in mm on the sheet that are seen at px [N,2].

        A bent sheet is a part of a cylinder whose axis lies behind the wall; its middle touches the wall.
        """
        if not self.bend:
            return wall
        radius = self.side_mm / math.radians(self.bend)
        angle = math.radians(self.bend_axis)
        axis, across = (
            np.array([math.cos(angle), math.sin(angle)]),
            np.array([-math.sin(angle), math.cos(angle)]),
        )
        eye = self._eye()
        # Rays from the eye to the wall meet the circle (a, z) with a² + (z - radius)² = radius².
        rays = np.column_stack([wall, np.zeros(len(wall))]) - eye
        a0, az = eye[:2] @ across, rays[:, :2] @ across
        z0, zz = eye[2] - radius, rays[:, 2]
        p, q, r = az**2 + zz**2, 2 * (a0 * az + z0 * zz), a0**2 + z0**2 - radius**2
        root = q**2 - 4 * p * r
        t = (-q - np.sqrt(np.maximum(root, 0))) / (2 * p)
        arc = radius * np.arctan2(a0 + t * az, -(z0 + t * zz))
        arc[root < 0] = 1e6
        along = (eye[:2] + t[:, None] * rays[:, :2]) @ axis
        return along[:, None] * axis + arc[:, None] * across

    def _eye(self) -> Floats:
        """Return the camera's position (x, y, z) in mm; z is negative in front of the wall."""
        camera = self.camera()
        return -np.linalg.inv(camera[:, :3]) @ camera[:, 3]


def _about_y(degrees: float) -> Floats:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _about_z(degrees: float) -> Floats:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
