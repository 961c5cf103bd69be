"""What a training run asks of the process around it: memory kept, and remarks that mean nothing held back."""

from __future__ import annotations

import ctypes
import logging
import warnings


def keep_memory() -> None:
    """Ask glibc to keep freed memory instead of handing it back to the system.

    A training step frees and asks for the same large blocks again; without this half of a step on a CPU went
    into the kernel clearing pages. Does nothing where there is no glibc.
    """
    try:
        tune = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    tune(mmap_max, 0)
    tune(trim_threshold, 2**31 - 1)


def one_thread_for_pictures() -> None:
    """Turn cv2's own threads off, before any process is forked.

    Workers take one core each; one that is forked after cv2 made its pool waits forever when it resizes it.
    """
    import cv2

    cv2.setNumThreads(0)


def quieten() -> None:
    """Keep Lightning's tips and its remarks about what is meant here out of the user's sight."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for remark in (
        ".*in eval mode at the start.*",
        ".*number of training batches.*",
        ".*exists and is not empty.*",
        ".*LeafSpec.*",
        ".*dataloader is not resumable.*",  # ours is, by its sampler
        ".*does not have many workers.*",
        ".*GPU available but not used.*",
    ):
        warnings.filterwarnings("ignore", remark)
