"""Measure how long it takes to encode and decode a mask of 12 megapixels as a Label Studio brush.

    python tools/bench_brush.py [--repeats 9]

The masks show wavy lines, thin diagonal lines, nothing, and a full area. The
times are medians of the CPU time. Each mask is compared with its decoded copy.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Iterator

import numpy as np

from drywallqa.formats.rle import decode_brush, encode_brush

HEIGHT, WIDTH = 3000, 4000


def masks() -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and masks [HEIGHT,WIDTH]."""
    y, x = np.indices((HEIGHT, WIDTH))
    waves = 40 * np.sin(x / 180) + 15 * np.sin(x / 37)
    yield "12 wavy lines, 5 px wide", np.abs((y + waves) % 250 - 125) < 3
    yield "diagonal lines, 1 px wide, 40 px apart", (x + y) % 40 == 0
    yield "empty", np.zeros((HEIGHT, WIDTH), np.bool_)
    yield "full", np.ones((HEIGHT, WIDTH), np.bool_)


def main() -> None:
    """Print a row for each mask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    print(f"{WIDTH}×{HEIGHT} px, {platform.platform()}, load average {os.getloadavg()[0]:.1f}")
    for name, mask in masks():
        times = []
        for _ in range(repeats):
            start = time.process_time()
            encoded = encode_brush(mask)
            middle = time.process_time()
            decoded = decode_brush(encoded, HEIGHT, WIDTH)
            times.append((middle - start, time.process_time() - middle))
        if not (decoded == mask).all():
            raise SystemExit(f"error: {name}: the decoded mask differs")
        encoding, decoding = np.median(times, axis=0)
        print(f"{name}: {mask.sum():,} px marked, {len(encoded):,} bytes, encoded in {encoding:.3f} s "
              f"(at most {np.max(times, axis=0)[0]:.3f} s), decoded in {decoding:.3f} s")  # fmt: skip


if __name__ == "__main__":
    main()
