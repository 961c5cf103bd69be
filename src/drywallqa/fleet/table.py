"""The one table of a fleet's run, `results.parquet`: a row for each photo and prompt, and for each failure.

Rows are kept in parts while work goes on, so that a run that is cut off loses little, and the end of a run
joins them. Rows are the records of a manifest; which of them count is said there.
"""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any

from drywallqa.errors import OutputError
from drywallqa.files import locked
from drywallqa.fleet.places import Place
from drywallqa.inference.manifest import FIELDS, Latest, Record
from drywallqa.inference.outputs import Output
from drywallqa.photos import reason

NAME = "results.parquet"
PARTS = "results.parts"
_ROWS_OF_A_PART = 5_000

_DECIDING = ["source", "prompt", "mask", "error"]
_OF_A_FLEET: dict[str, type] = {
    "source_size": int, "source_modified": int, "read_ms": float, "segment_ms": float, "write_ms": float,
    "worker": str,
}  # fmt: skip


def schema(outputs: Sequence[Output]) -> Any:
    """Return the columns of a run with these outputs as a `pyarrow.Schema`.

    They are the fields of a manifest's record, and the photo's size in bytes and time of change in
    nanoseconds since 1970, times by the wall clock in milliseconds, and the worker.
    """
    import pyarrow

    columns = FIELDS | dict.fromkeys((output.kind for output in outputs), str) | _OF_A_FLEET
    kinds = {
        str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(),
        list: pyarrow.list_(pyarrow.string()),
    }  # fmt: skip
    return pyarrow.schema([(name, kinds[kind]) for name, kind in columns.items()])


class ResultsTable:
    """The table below a place for results.

    Args:
        out: The place.
        outputs: What a run writes, which names the table's columns; those of earlier runs stay.
    """

    def __init__(self, out: Place, outputs: Sequence[Output]) -> None:
        """Read what earlier runs left.

        Raises:
            OutputError: It cannot be read, or is no such table.
        """
        self.out, self.schema = out, schema(outputs)
        self._run = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"  # later runs come after earlier ones
        self._pending: list[Any] = []
        self._written = 0
        try:
            with self._alone():
                rows = self._read(self._lying())
        except OSError as error:
            raise out.unwritable(error) from error
        self._latest = _latest(rows)
        self.earlier = _counting(rows, self._latest)

    def _alone(self) -> AbstractContextManager[None]:
        """Keep other runs out where the place is a folder; a store has no locks."""
        return locked(Path(self.out.below(NAME))) if self.out.is_local else nullcontext()

    def _lying(self) -> list[str]:
        """List the table and its parts, by their paths below the place, the oldest first."""
        start = len(self.out.below(""))
        whole = [one.path[start:] for one in self.out.entries(recursive=False)]
        parts = [one.path[start:] for one in self.out.entries(PARTS)]
        return [name for name in whole if name == NAME] + [one for one in parts if one.endswith(".parquet")]

    def _read(self, names: Sequence[str]) -> Any:
        import pyarrow
        from pyarrow import parquet

        rows = self.schema.empty_table()
        for path in map(self.out.below, names):
            try:
                more = parquet.read_table(path, filesystem=self.out.filesystem, partitioning=None)
                more.select(_DECIDING)
                rows = pyarrow.concat_tables([rows, more], promote_options="permissive")
            except (ValueError, KeyError, TypeError) as error:
                raise OutputError(
                    f"{self.out.name(path)}: is no table of results ({reason(error)}); move it away"
                ) from error
        return rows

    def done(self) -> dict[str, Record]:
        """Return what is known of each mask of earlier runs, by its path below the results."""
        import pyarrow.compute as pc

        rows = self.earlier.filter(pc.is_valid(self.earlier["mask"]))
        return {str(row["mask"]): row for row in rows.to_pylist()}

    def add(self, rows: Any) -> None:
        """Take in a `pyarrow.Table` of rows; many of them are written as one part.

        Raises:
            OutputError: A part cannot be written.
        """
        self._pending.append(rows)
        if sum(map(len, self._pending)) >= _ROWS_OF_A_PART:
            self.flush()

    def add_records(self, records: Sequence[Record]) -> None:
        """Take in records of photos or prompts that failed; see `add`."""
        import pyarrow

        if records:
            self.add(pyarrow.Table.from_pylist(list(records), schema=self.schema))

    def take_back(self, sources: Iterable[str], prompts: Iterable[str] = ()) -> None:
        """Take back what earlier runs said against photos, paths and prompts that are well now."""
        self.add_records(self._latest.taken_back(sources, prompts))

    def flush(self) -> None:
        """Write the rows that wait as a part."""
        import pyarrow

        if any(map(len, self._pending)):
            name = f"{PARTS}/{self._run}-{self._written:06d}.parquet"
            self.out.write(name, _encoded(pyarrow.concat_tables(self._pending)), overwrite=True)
            self._written += 1
        self._pending = []

    def close(self) -> None:
        """Join all that runs have left into the one table, and remove the parts.

        Raises:
            OutputError: The table cannot be written.
        """
        self.flush()
        try:
            with self._alone():
                names = self._lying()
                parts = [name for name in names if name != NAME]
                if parts:
                    rows = self._read(names)
                    self.out.write(NAME, _encoded(_counting(rows, _latest(rows))), overwrite=True)
                for part in parts:
                    self.out.remove(part)
        except OSError as error:
            raise self.out.unwritable(error) from error


def _latest(table: Any) -> Latest[int]:
    """Find the rows of a table that count, by their numbers."""
    latest = Latest[int]()
    batches = table.select(_DECIDING).to_batches()
    for number, row in enumerate(chain.from_iterable(batch.to_pylist() for batch in batches)):
        latest.take(row, number)
    return latest


def _counting(table: Any, latest: Latest[int]) -> Any:
    import pyarrow

    return table.take(pyarrow.array(sorted(latest), pyarrow.int64()))


def _encoded(table: Any) -> bytes:
    from pyarrow import parquet

    stream = io.BytesIO()
    parquet.write_table(table, stream, compression="zstd")
    return stream.getvalue()
