"""Determine how many threads are useful. A container may see more cores than it is allowed to use.

Linux reports the cores that a process may run on (its affinity). Separately, it reports the CPU time quota of
the process's control groups: version 2 in `cpu.max`, version 1 in `cpu.cfs_quota_us` and `cpu.cfs_period_us`.
Threads beyond the quota only wait for each other. See
https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ROOT = Path("/")
# The usual mounts, for a container that hides `proc`. The tuples have the form that `_mounts` yields.
_USUAL = (
    ((), "/", "/sys/fs/cgroup"),
    (("cpu",), "/", "/sys/fs/cgroup/cpu"),
    (("cpu", "cpuacct"), "/", "/sys/fs/cgroup/cpu,cpuacct"),
)
_PERIOD = 100_000.0  # µs, the kernel's default


def available_threads(root: Path = _ROOT) -> int:
    """Return the number of threads that this process's CPU quota allows to run at the same time.

    Args:
        root: The folder that contains `proc` and `sys`.

    Returns:
        At least 1. A quota of 1.5 cores is rounded up to 2 threads.
    """
    return max(1, math.ceil(min(visible_cores(), _quota(root))))


def visible_cores() -> int:
    """Return the number of cores that this process may run on, ignoring its CPU quota."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def limit_library_threads() -> None:
    """Limit the threads of OpenMP, which torch and OpenBLAS use, to the CPU quota of this process.

    These libraries count the cores when they are loaded, so this function must be called before they are
    loaded. If the user has set OMP_NUM_THREADS, its value is kept.
    """
    threads = available_threads()
    if threads < visible_cores():
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))


def _quota(root: Path) -> float:
    """Return the smallest CPU quota, in cores, of this process's control groups and their parent groups."""
    return min((_quota_of(folder) for folder in _groups(root)), default=math.inf)


def _groups(root: Path) -> Iterator[Path]:
    """Yield the folders of the control groups that limit this process, innermost first."""
    mounts = list(_mounts(root)) or _USUAL
    for line in _lines(root / "proc/self/cgroup") or ("0::/", "0:cpu:/"):
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        group = PurePosixPath(path)
        for options, top, folder in mounts:
            # Version 2 has one tree and lists no controllers. Version 1 has one tree per set of controllers.
            if ("cpu" in options) if controllers else (options == ()):
                inside = group.is_relative_to(top) and ".." not in group.parts
                below = group.relative_to(top) if inside else PurePosixPath()
                yield from (root / folder.lstrip("/") / part for part in (below, *below.parents))


def _mounts(root: Path) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield the controllers (none in version 2), top group and folder of each mounted control-group tree."""
    for line in _lines(root / "proc/self/mountinfo"):
        place, _, kind = line.partition(" - ")
        fields, described = place.split(), kind.split()
        if len(fields) > 4 and described and described[0] in ("cgroup", "cgroup2"):
            controllers = tuple(described[-1].split(",")) if described[0] == "cgroup" else ()
            yield controllers, fields[3], fields[4]


def _quota_of(group: Path) -> float:
    allowed, period = [*"".join(_lines(group / "cpu.max")).split(), "", ""][:2]
    if not allowed:
        allowed = "".join(_lines(group / "cpu.cfs_quota_us"))
        period = "".join(_lines(group / "cpu.cfs_period_us"))
    try:
        quota = float(allowed) / (float(period) if period else _PERIOD)
    except (ValueError, ZeroDivisionError):  # "max" or empty
        return math.inf
    return quota if quota > 0 else math.inf  # version 1 writes -1 for no quota


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text("utf-8", "replace").splitlines() if line]
    except (OSError, ValueError):
        return []
