"""A stand-in for Ray that does everything in this process, so that tests need not wait for a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from drywallqa.fleet import cluster, worker


class InlineRay:
    """The part of the module `ray` that a fleet's run uses; `starts` counts how often it was reached."""

    def __init__(self) -> None:
        self.starts = 0
        self.blocks = 0
        self.fails_after: int | None = None
        self.exceptions = SimpleNamespace(RayError=InlineRayError)
        context = SimpleNamespace(enable_progress_bars=True)
        self.data = SimpleNamespace(
            DataContext=SimpleNamespace(get_current=lambda: context), from_arrow=self._from_arrow
        )

    @contextmanager
    def reached(self, address: str | None) -> Iterator[InlineRay]:
        self.starts += 1
        yield self

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def remote(self, kind: type) -> Any:
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda: Actor(kind())))

    def get(self, value: Any) -> Any:
        return value

    def kill(self, actor: Actor) -> None:
        actor.killed = True

    def _from_arrow(self, tables: list[Any]) -> Any:
        def map_batches(worker: type, *, fn_constructor_args: tuple, **_: Any) -> Any:
            return SimpleNamespace(iter_batches=lambda **_: self._run(worker(*fn_constructor_args), tables))

        return SimpleNamespace(map_batches=map_batches)

    def _run(self, worker: Any, tables: list[Any]) -> Iterator[Any]:
        for table in tables:
            if self.blocks == self.fails_after:
                raise InlineRayError("first line\nall workers are gone")
            self.blocks += 1
            try:
                yield worker(table)
            except Exception as error:
                raise InlineRayError("a task failed") from error


class InlineRayError(Exception):
    pass


class Actor:
    def __init__(self, instance: Any) -> None:
        self.instance, self.killed = instance, False

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=getattr(self.instance, name))


def install(patch: pytest.MonkeyPatch) -> InlineRay:
    ray = InlineRay()
    patch.setattr(cluster, "reached", ray.reached)
    patch.setattr(worker, "_get", ray.get)
    patch.setattr(cluster, "_on_this_node", lambda: None)
    return ray
