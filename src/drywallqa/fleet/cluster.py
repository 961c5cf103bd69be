"""Ray: reached, or started on this machine, and given back as it was found."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from drywallqa.errors import BackendError, ConfigError, DrywallQAError, MissingExtraError
from drywallqa.processors import available_threads

_TIMEOUT = 5.0  # seconds until an address that does not answer is given up
_STORE = 200_000_000  # bytes of shared memory on this machine: only rows travel, never photos


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
