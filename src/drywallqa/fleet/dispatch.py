"""Blocks of photos, handed out by Ray Data to workers that each load the model once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any

from drywallqa.errors import ConfigError
from drywallqa.fleet.cluster import Fleet, own_error
from drywallqa.fleet.photo_listing import FleetPhoto
from drywallqa.fleet.worker import AttemptCounts, Opener, SegmentationRequest, Worker

_BLOCKS_A_WORKER = 4  # at least, so that none idles while others have much left


class BlockDispatcher:
    """The workers of a run, and the count of the photos that they began.

    Ray replaces a worker that ends, and the block that it worked on is done again.

    Args:
        ray: The module, connected.
        fleet: The workers.

    Raises:
        ConfigError: There is no room for so many workers.
    """

    def __init__(self, ray: Any, fleet: Fleet) -> None:
        self._ray, self._fleet = ray, fleet
        self._workers = _room_for(fleet, ray.cluster_resources())
        # On this process's own node: a node that is lost takes no count with it.
        counting = ray.remote(AttemptCounts).options(num_cpus=0, scheduling_strategy=_on_this_node())
        self._counts = counting.remote()

    def __enter__(self) -> BlockDispatcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.kill(self._counts)

    def begun(self) -> int:
        """Return how often a photo was begun; more often than there are photos where workers were lost."""
        return int(self._ray.get(self._counts.total.remote()))

    def segmented(
        self, opener: Opener, request: SegmentationRequest, work: Sequence[tuple[FleetPhoto, list[str]]]
    ) -> Iterator[Any]:
        """Have photos segmented; yields the table's rows, a `pyarrow.Table` a block, as blocks are done.

        Args:
            opener: Loads the segmenter.
            request: The prompts and options for every photo.
            work: Photos, each with the prompts that it has still to be asked.

        Raises:
            DrywallQAError: A worker's own, or that all workers failed.
        """
        import pyarrow

        size = max(1, min(self._fleet.block, len(work) // (self._workers * _BLOCKS_A_WORKER)))
        rows = [asdict(photo) | {"todo": todo} for photo, todo in work]
        blocks = [
            pyarrow.Table.from_pylist(rows[start : start + size]) for start in range(0, len(rows), size)
        ]
        data = self._ray.data
        data.DataContext.get_current().enable_progress_bars = False
        done = data.from_arrow(blocks).map_batches(
            Worker,
            batch_size=None,
            batch_format="pyarrow",
            fn_constructor_args=(opener, request, _RemoteCounts(self._counts)),
            concurrency=self._workers,
            num_cpus=self._fleet.threads,
            num_gpus=self._fleet.gpus or None,
        )
        try:
            yield from done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
        except self._ray.exceptions.RayError as error:
            raise own_error(error) from error


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


class _RemoteCounts:
    """The `AttemptCounts` of an actor, as workers call them."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def begin_block(self, sources: Sequence[str]) -> list[int]:
        return list(_get(self._actor.begin_block.remote(sources)))

    def begin(self, source: str) -> int:
        return int(_get(self._actor.begin.remote(source)))

    def finish(self, sources: Sequence[str]) -> None:
        _get(self._actor.finish.remote(sources))


def _on_this_node() -> Any:
    """Place an actor on the node of this process."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def _get(reference: Any) -> Any:
    import ray

    return ray.get(reference)
