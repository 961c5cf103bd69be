"""Ray: a cluster is reached, or started on this machine, and hands blocks of photos out to workers."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from drywallqa.errors import BackendError, ConfigError, DrywallQAError, MissingExtraError
from drywallqa.fleet.photo_listing import FleetPhoto
from drywallqa.fleet.worker import AttemptCounts, Opener, SegmentationRequest, Worker
from drywallqa.processors import available_threads

_TIMEOUT = 5.0  # seconds until an address that does not answer is given up
_STORE = 200_000_000  # bytes of shared memory on this machine: only rows travel, never photos
_BLOCKS_A_WORKER = 4  # at least, so that none idles while others have much left


@dataclass(frozen=True)
class Fleet:
    """The workers of a run.

    Attributes:
        address: `HOST:PORT` of a Ray cluster, "auto" for one that runs on this machine, None to start one.
        workers: How many processes; None takes as many as cores and GPUs allow.
        threads: Cores of each worker.
        gpus: GPUs of each worker.
        block: The most photos that a worker takes at once, and that are done again where it is lost. Blocks
            are handed out one by one, so large fleets want larger ones.
    """

    address: str | None = None
    workers: int | None = None
    threads: int = 1
    gpus: float = 0
    block: int = 16


@contextmanager
def reached(address: str | None) -> Iterator[Any]:
    """Reach a cluster, or start Ray on this machine; yields the module `ray`.

    Ray that runs in this process already is used as it is, and goes on running.

    Args:
        address: `HOST:PORT` of a cluster, "auto" for one that runs on this machine; None starts one.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: The address is malformed.
        BackendError: No cluster answers there, or Ray cannot be started.
    """
    if address not in (None, "auto"):
        _check_answers(str(address))
    # Ray reports usage to its makers unless told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("segmenting with --engine ray", "fleet") from error
    if ray.is_initialized():
        yield ray
        return
    how: dict[str, Any] = {"address": address}
    if address is None:
        how = {
            "address": "local",
            "num_cpus": available_threads(),
            "include_dashboard": False,
            "object_store_memory": _STORE,
        }
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **how)
    except Exception as error:  # Ray raises plain ones, too, such as for a machine too busy to start it
        where = f"at {address}" if address else "on this machine"
        raise BackendError(f"Ray cannot be reached or started {where} ({_last_line(error)})") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Make sure that a cluster answers, since Ray itself waits for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise ConfigError(f"the address is '{address}'; give HOST:PORT of a Ray cluster, or auto")
    try:
        socket.create_connection((host, int(port)), _TIMEOUT).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise BackendError(
            f"no Ray cluster answers at {address} ({reason.lower()}); check the address, or start one there "
            "with: ray start --head"
        ) from error


def segment_blocks(
    ray: Any,
    fleet: Fleet,
    opener: Opener,
    request: SegmentationRequest,
    work: Sequence[tuple[FleetPhoto, list[str]]],
) -> Iterator[Any]:
    """Have photos segmented by workers that each load the model once.

    Ray replaces a worker that ends, and the block that it worked on is done again.

    Args:
        ray: The module, connected.
        fleet: The workers.
        opener: Loads the segmenter.
        request: The prompts and options for every photo.
        work: Photos, each with the prompts that it has still to be asked.

    Yields:
        The table's rows, a `pyarrow.Table` a block, as blocks are done.

    Raises:
        ConfigError: There is no room for so many workers.
        DrywallQAError: A worker's own, or that all workers failed.
    """
    import pyarrow

    workers = _room_for(fleet, ray.cluster_resources())
    size = max(1, min(fleet.block, len(work) // (workers * _BLOCKS_A_WORKER)))
    rows = [asdict(photo) | {"todo": todo} for photo, todo in work]
    blocks = [pyarrow.Table.from_pylist(rows[start : start + size]) for start in range(0, len(rows), size)]
    # On this process's own node: a node that is lost takes no count with it.
    counts = ray.remote(AttemptCounts).options(num_cpus=0, scheduling_strategy=_on_this_node()).remote()
    ray.data.DataContext.get_current().enable_progress_bars = False
    done = ray.data.from_arrow(blocks).map_batches(
        Worker,
        batch_size=None,
        batch_format="pyarrow",
        fn_constructor_args=(opener, request, counts),
        concurrency=workers,
        num_cpus=fleet.threads,
        num_gpus=fleet.gpus or None,
    )
    try:
        yield from done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    except ray.exceptions.RayError as error:
        raise own_error(error) from error
    finally:
        ray.kill(counts)


def _room_for(fleet: Fleet, resources: dict[str, float]) -> int:
    """Count the workers of a run, of those that a cluster's resources have room for."""
    room = int(resources.get("CPU", 0)) // fleet.threads
    if fleet.gpus:
        room = min(room, int(resources.get("GPU", 0) / fleet.gpus))
    wanted = fleet.workers or room
    if not 1 <= wanted <= room:
        gpus = f" and {fleet.gpus:g} GPUs" if fleet.gpus else ""
        raise ConfigError(
            f"{max(wanted, 1)} workers with {fleet.threads} threads{gpus} each are asked for, and there is "
            f"room for {room}; ask for fewer"
        )
    return wanted


def _on_this_node() -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def own_error(error: BaseException) -> DrywallQAError:
    """Find our own error among the causes of one of Ray's, or turn Ray's into one of ours."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop()
        if isinstance(found, DrywallQAError):
            return found
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            waiting += [found.__context__, found.__cause__, getattr(found, "cause", None)]
    return BackendError(f"a worker of Ray failed ({_last_line(error)}); what is done is kept: run it again")


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
