"""Write the records of a run with Ray: a manifest on disk, and the table `results.parquet`.

On disk, a run appends each record to the manifest, and finally converts the manifest to the table. A file in
an object store cannot be extended, so a run writes several small tables there and finally merges the small
tables into one. If a run is interrupted, only a few rows are lost. `inference.manifest` defines which records
are current.
"""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from drywallqa.errors import OutputError, reason_of
from drywallqa.files import file_lock, read_json_lines
from drywallqa.fleet.locations import Location
from drywallqa.inference.manifest import (
    FIELDS,
    LatestRecords,
    Manifest,
    Record,
    append_record,
    compact_manifest,
    files_of_record,
)

NAME = "results.parquet"
PARTS = "results.parts"
_ROWS_OF_A_PART = 5_000
_DECIDING = ["source", "prompt", "mask", "error"]


def table_schema(kinds: Iterable[str]) -> Any:
    """Return the `pyarrow.Schema` of records that refer to these kinds of files."""
    import pyarrow

    types = {
        str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(),
        list: pyarrow.list_(pyarrow.string()),
    }  # fmt: skip
    columns: dict[str, type] = {**FIELDS, **dict.fromkeys(kinds, str)}
    return pyarrow.schema([(name, types[kind]) for name, kind in columns.items()])


def without_empty_columns(row: Record) -> Record:
    """Return a row without its empty columns. The concept is kept even if it is empty."""
    return {name: value for name, value in row.items() if value is not None or name == "concept"}


class FolderResults(Manifest):
    """The manifest and the table of all runs that write to the same folder on disk.

    Raises:
        OutputError: The manifest cannot be read, or the existing `results.parquet` is not a table of results.
    """

    def __init__(self, out: Location) -> None:
        super().__init__(Path(out.path))
        self.out, self.table = out, Path(out.below(NAME))
        if self.table.is_file():
            _read(out, NAME)  # raises an error if the file is not a table of results

    def add_table(self, rows: Any) -> None:
        """Append the rows of a `pyarrow.Table` to the manifest.

        Raises:
            OutputError: The manifest cannot be written.
        """
        for row in rows.to_pylist():  # written at once, to keep no rows in memory
            append_record(self.path, without_empty_columns(row))

    def close(self) -> None:
        """Write the table of all records, unless the existing table is newer than the manifest.

        Raises:
            OutputError: The table cannot be written.
        """
        lines, table = self.path, self.table
        try:
            with file_lock(
                table
            ):  # if two runs end at the same time, the second run writes the records of both
                compact_manifest(lines)
                newer = table.is_file() and table.stat().st_mtime_ns > lines.stat().st_mtime_ns
                if lines.is_file() and not newer:
                    self.out.write(NAME, _encoded(_table_of(lines)), True)
        except OSError as error:
            raise self.out.unwritable(error) from error


def _table_of(lines: Path) -> Any:
    import pyarrow

    records = (_as_text(record) for _, record in read_json_lines(lines) if record is not None)
    tables = [table_schema(()).empty_table()]
    while some := list(islice(records, _ROWS_OF_A_PART)):
        kinds = dict.fromkeys(kind for record in some for kind in files_of_record(record))
        tables.append(pyarrow.Table.from_pylist(some, schema=table_schema(kinds)))
    return pyarrow.concat_tables(tables, promote_options="permissive")


def _as_text(record: Record) -> Record:
    """Escape text that is not valid UTF-8, such as some file names, because a table cannot store it."""
    return {
        name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in record.items()
    }


class StoreResults:
    """The table of all runs that write to one folder in an object store, one run at a time.

    Args:
        out: Location of the results.
        kinds: Kinds of files that this run writes. The table keeps the columns of earlier runs.
    """

    def __init__(self, out: Location, kinds: Sequence[str]) -> None:
        self.out, self.schema = out, table_schema(kinds)
        self._pending: list[Any] = []
        try:
            self._latest, self._earlier = self._counting(self._files())
        except OSError as error:
            raise out.unwritable(error) from error

    def _files(self) -> list[str]:
        """List the paths of the table and of the small tables, relative to the location, oldest first."""
        start = len(self.out.below(""))
        whole = [one.path[start:] for one in self.out.entries(recursive=False)]
        parts = [one.path[start:] for one in self.out.entries(PARTS)]
        return [name for name in whole if name == NAME] + [one for one in parts if one.endswith(".parquet")]

    def _counting(self, names: Sequence[str]) -> tuple[LatestRecords[int], Any]:
        """Read tables and find the current rows. Return the row indices and a table of these rows."""
        import pyarrow

        tables = [self.schema.empty_table(), *(_read(self.out, name) for name in names)]
        rows, latest = pyarrow.concat_tables(tables, promote_options="permissive"), LatestRecords[int]()
        batches = rows.select(_DECIDING).to_batches()
        for number, row in enumerate(chain.from_iterable(batch.to_pylist() for batch in batches)):
            latest.take(row, number)
        return latest, rows.take(pyarrow.array(sorted(latest), pyarrow.int64()))

    @property
    def masks(self) -> Mapping[str, Record]:
        """Path of a mask, relative to the location → its record from an earlier run."""
        import pyarrow.compute as pc

        rows = self._earlier.filter(pc.is_valid(self._earlier["mask"]))
        return {str(row["mask"]): row for row in rows.to_pylist()}

    def add_table(self, rows: Any) -> None:
        """Collect rows in memory, and write a table once there are enough rows."""
        self._pending.append(rows)
        if sum(map(len, self._pending)) >= _ROWS_OF_A_PART:
            self._flush()

    def add(self, record: Record) -> None:
        """Add one record."""
        import pyarrow

        self.add_table(pyarrow.Table.from_pylist([record], schema=self.schema))

    def take_back(self, sources: Iterable[str], prompts: Iterable[str] = ()) -> None:
        """See `Manifest.take_back`."""
        for record in self._latest.taken_back(sources, prompts):
            self.add(record)

    def _flush(self) -> None:
        import pyarrow

        if any(map(len, self._pending)):
            name = f"{PARTS}/{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.parquet"  # sorts by age
            self.out.write(name, _encoded(pyarrow.concat_tables(self._pending)), True)
        self._pending = []

    def close(self) -> None:
        """Merge the small tables into `results.parquet`, then remove the small tables."""
        self._flush()
        names = self._files()
        parts = [name for name in names if name != NAME]
        if parts:
            self.out.write(NAME, _encoded(self._counting(names)[1]), True)
        for part in parts:
            self.out.remove(part)


def _read(out: Location, name: str) -> Any:
    """Read a table of results.

    Raises:
        OutputError: The file is not a table of results.
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
            f"{out.name(path)} is not a table of results ({reason_of(error)}); move the file elsewhere"
        ) from error


def _encoded(table: Any) -> bytes:
    from pyarrow import parquet

    stream = io.BytesIO()
    parquet.write_table(table, stream, compression="zstd")
    return stream.getvalue()
