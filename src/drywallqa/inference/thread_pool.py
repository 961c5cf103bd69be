"""Several photos through the model at a time, each on few threads: quicker than one by one on all."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

from drywallqa.background import map_in_threads
from drywallqa.inference.segmenter import Segmenter
from drywallqa.processors import available_threads

T = TypeVar("T")
R = TypeVar("R")

MANY = 16
"""Photos from which opening the model once more, on fewer threads, is worth its time."""
MOST = 4
"""Photos at a time, whatever the cores: each holds its pixels and its masks."""


class SegmenterPool:
    """Works on several photos at a time.

    Args:
        segmenter: The model as it was loaded.
        photos: How many photos there are.

    Attributes:
        size: Photos at a time.
        segmenter: The model to use, which all of them share; its threads are shared out among them.
    """

    def __init__(self, segmenter: Segmenter, photos: int) -> None:
        how = segmenter.runtime
        threads = int(how["threads"] or available_threads())
        on_processors = (how["name"], how["device"]) == ("onnxruntime", "cpu")
        self.size = min(threads, MOST) if photos >= MANY and on_processors else 1
        self.segmenter = segmenter
        if self.size > 1:
            share = threads // self.size
            self.segmenter = Segmenter(segmenter.bundle, threads=share, precision=segmenter.precision)

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
        """Yield what work makes of each item, in order; one more than `size` is taken from `items` ahead."""
        return map_in_threads(work, items, self.size)
