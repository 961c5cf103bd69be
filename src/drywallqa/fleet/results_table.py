"""The record of a fleet's run: a folder's manifest, and `results.parquet`, which holds the same as a table.

In a folder the manifest grows as work goes on, and the end of a run makes the table from it. To a file in a
store nothing can be added: there rows are kept in parts, so that a run that is cut off loses little, and the
end of a run joins them into the table. Which rows count is said in `inference.manifest`.
"""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

from drywallqa.errors import OutputError
from drywallqa.files import file_lock, read_json_lines
from drywallqa.fleet.locations import Location
from drywallqa.imaging.photos import reason_of
from drywallqa.inference import manifest
from drywallqa.inference.manifest import FIELDS, LatestRecords, Manifest, Record, files_of_record

NAME = "results.parquet"
PARTS = "results.parts"
_ROWS_OF_A_PART = 5_000
_DECIDING = ["source", "prompt", "mask", "error"]


class Results(Protocol):
    """The records of the runs into a place."""

    def done(self) -> Mapping[str, Record]:
        """Return what is known of each mask of earlier runs, by its path below the results."""
        ...

    def add(self, rows: Any) -> None:
        """Take in a `pyarrow.Table` of rows.

        Raises:
            OutputError: They cannot be written.
        """
        ...

    def add_records(self, records: Sequence[Record]) -> None:
        """Take in records of photos or prompts that failed; see `add`."""
        ...

    def take_back(self, sources: Iterable[str], prompts: Iterable[str] = ()) -> None:
        """Take back what earlier runs said against photos, paths and prompts that are well now."""
        ...

    def close(self) -> None:
        """Make the one table of all that runs have left.

        Raises:
            OutputError: It cannot be written.
        """
        ...


def open_results(out: Location, kinds: Sequence[str]) -> Results:
    """Read what earlier runs left.

    Args:
        out: The place.
        kinds: The kinds of files that a run writes.

    Raises:
        OutputError: It cannot be read, or the table there is none of results.
    """
    return FolderResults(out) if out.is_local else StoreResults(out, kinds)


def table_schema(kinds: Iterable[str]) -> Any:
    """Return the columns of records with these kinds of files as a `pyarrow.Schema`."""
    import pyarrow

    types = {
        str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(),
        list: pyarrow.list_(pyarrow.string()),
    }  # fmt: skip
    columns: dict[str, type] = {**FIELDS, **dict.fromkeys(kinds, str)}
    return pyarrow.schema([(name, types[kind]) for name, kind in columns.items()])


def without_empty_columns(row: Record) -> Record:
    """Leave out the columns that say nothing of this row."""
    return {name: value for name, value in row.items() if value is not None or name == "concept"}


class FolderResults:
    """The results below a folder; see `Results`."""

    def __init__(self, out: Location) -> None:
        self.out, self.manifest = out, Manifest(Path(out.path))
        if self._table.is_file():
            _read(out, NAME)  # a stranger's file is not replaced

    @property
    def _table(self) -> Path:
        return Path(self.out.below(NAME))

    def done(self) -> Mapping[str, Record]:
        """See `Results`."""
        return self.manifest.masks

    def add(self, rows: Any) -> None:
        """See `Results`."""
        for row in rows.to_pylist():  # not held in memory, as the run needs them no more
            manifest.append_record(self.manifest.path, without_empty_columns(row))

    def add_records(self, records: Sequence[Record]) -> None:
        """See `Results`."""
        for record in records:
            self.manifest.add(record)

    def take_back(self, sources: Iterable[str], prompts: Iterable[str] = ()) -> None:
        """See `Results`."""
        self.manifest.take_back(sources, prompts)

    def close(self) -> None:
        """See `Results`."""
        lines = self.manifest.path
        try:
            with file_lock(self._table):  # of two runs that end at once, the later one tells all
                manifest.compact_manifest(lines)
                if lines.is_file() and not self._is_newer(lines):
                    self.out.write(NAME, _encoded(_table_of(lines)), overwrite=True)
        except OSError as error:
            raise self.out.unwritable(error) from error

    def _is_newer(self, lines: Path) -> bool:
        """Tell whether the table was made after the last change of the manifest."""
        table = self._table
        return table.is_file() and table.stat().st_mtime_ns > lines.stat().st_mtime_ns


def _table_of(lines: Path) -> Any:
    """Read a manifest as a table."""
    import pyarrow

    records = (_as_text(record) for _, record in read_json_lines(lines) if record is not None)
    tables = [table_schema(()).empty_table()]
    while some := list(islice(records, _ROWS_OF_A_PART)):
        kinds = dict.fromkeys(kind for record in some for kind in files_of_record(record))
        tables.append(pyarrow.Table.from_pylist(some, schema=table_schema(kinds)))
    return pyarrow.concat_tables(tables, promote_options="permissive")


def _as_text(record: Record) -> Record:
    """Escape what is no text in names of files, which a table cannot hold."""
    return {
        name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in record.items()
    }


class StoreResults:
    """The results in a store, or any place that has no locks: one run at a time; see `Results`.

    Args:
        out: The place.
        kinds: The kinds of files that a run writes; columns of earlier runs stay.
    """

    def __init__(self, out: Location, kinds: Sequence[str]) -> None:
        self.out, self.schema = out, table_schema(kinds)
        self._run = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"  # later runs come after earlier ones
        self._pending: list[Any] = []
        self._written = 0
        try:
            rows = self._rows(self._lying())
        except OSError as error:
            raise out.unwritable(error) from error
        self._latest = _latest(rows)
        self._earlier = _counting(rows, self._latest)

    def _lying(self) -> list[str]:
        """List the table and its parts, by their paths below the place, the oldest first."""
        start = len(self.out.below(""))
        whole = [one.path[start:] for one in self.out.entries(recursive=False)]
        parts = [one.path[start:] for one in self.out.entries(PARTS)]
        return [name for name in whole if name == NAME] + [one for one in parts if one.endswith(".parquet")]

    def _rows(self, names: Sequence[str]) -> Any:
        import pyarrow

        tables = [self.schema.empty_table(), *(_read(self.out, name) for name in names)]
        return pyarrow.concat_tables(tables, promote_options="permissive")

    def done(self) -> Mapping[str, Record]:
        """See `Results`."""
        import pyarrow.compute as pc

        rows = self._earlier.filter(pc.is_valid(self._earlier["mask"]))
        return {str(row["mask"]): row for row in rows.to_pylist()}

    def add(self, rows: Any) -> None:
        """See `Results`; many rows are written as one part."""
        self._pending.append(rows)
        if sum(map(len, self._pending)) >= _ROWS_OF_A_PART:
            self._flush()

    def add_records(self, records: Sequence[Record]) -> None:
        """See `Results`."""
        import pyarrow

        if records:
            self.add(pyarrow.Table.from_pylist(list(records), schema=self.schema))

    def take_back(self, sources: Iterable[str], prompts: Iterable[str] = ()) -> None:
        """See `Results`."""
        self.add_records(self._latest.taken_back(sources, prompts))

    def _flush(self) -> None:
        """Write the rows that wait as a part."""
        import pyarrow

        if any(map(len, self._pending)):
            name = f"{PARTS}/{self._run}-{self._written:06d}.parquet"
            self.out.write(name, _encoded(pyarrow.concat_tables(self._pending)), overwrite=True)
            self._written += 1
        self._pending = []

    def close(self) -> None:
        """See `Results`; the parts are removed."""
        self._flush()
        names = self._lying()
        parts = [name for name in names if name != NAME]
        if parts:
            rows = self._rows(names)
            self.out.write(NAME, _encoded(_counting(rows, _latest(rows))), overwrite=True)
        for part in parts:
            self.out.remove(part)


def _read(out: Location, name: str) -> Any:
    """Read a table of results.

    Raises:
        OutputError: It is none.
    """
    import pyarrow
    from pyarrow import parquet

    path = out.below(name)
    try:
        rows = parquet.read_table(path, filesystem=out.filesystem, partitioning=None)
        rows.select(_DECIDING)
        return pyarrow.concat_tables([table_schema(()).empty_table(), rows], promote_options="permissive")
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"{out.name(path)}: is no table of results ({reason_of(error)}); move it away"
        ) from error


def _latest(table: Any) -> LatestRecords[int]:
    """Find the rows of a table that count, by their numbers."""
    latest = LatestRecords[int]()
    batches = table.select(_DECIDING).to_batches()
    for number, row in enumerate(chain.from_iterable(batch.to_pylist() for batch in batches)):
        latest.take(row, number)
    return latest


def _counting(table: Any, latest: LatestRecords[int]) -> Any:
    import pyarrow

    return table.take(pyarrow.array(sorted(latest), pyarrow.int64()))


def _encoded(table: Any) -> bytes:
    from pyarrow import parquet

    stream = io.BytesIO()
    parquet.write_table(table, stream, compression="zstd")
    return stream.getvalue()
