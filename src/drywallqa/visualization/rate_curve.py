"""The learning-rate finder's picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from drywallqa.files import write_whole
from drywallqa.visualization.charts import Chart, Line, Mark, draw_chart, png_bytes

if TYPE_CHECKING:
    from drywallqa.training.rate_finder import RateCurve

PICTURE = "rates.png"


def write_rate_curve(curve: RateCurve, run: Path) -> Path:
    """Draw the loss over the decoder's rate into the run's folder.

    Raises:
        OutputError: The picture cannot be written.
    """
    powers = [math.log10(factor * curve.decoder_rate) for factor in curve.factors]
    low, high = min(curve.losses), max(curve.losses[: max(2, len(curve.losses) // 2)])
    room = 0.15 * max(high - low, 1e-6)
    best = curve.best * curve.decoder_rate
    chart = Chart(
        title="Loss while the rates rise",
        x_title="decoder's rate, as a power of ten",
        y_title="loss, smoothed",
        lines=[Line("loss", list(zip(powers, curve.losses, strict=True)))],
        marks=[Mark(math.log10(best), f"falls fastest: {best:.2g}")],
        x_range=(powers[0], powers[-1]),
        y_range=(low - room, high + room),
        notes=[
            f"The encoder's rate is {curve.encoder_rate / curve.decoder_rate:.3g} times the decoder's "
            f"throughout. Suggested: {' '.join(f'--set {s}' for s in curve.settings())}"
        ],
    )
    path = run / PICTURE
    write_whole(path, png_bytes(draw_chart(chart)))
    return path
