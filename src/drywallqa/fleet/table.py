"""The one table of a fleet's run, `results.parquet`: a row for each photo and prompt, and for each failure.

Rows are kept in parts while work goes on, so that a run that is cut off loses little; the end of a run, and
the start of the next, join them. Of several rows about one mask, or one failed photo, the latest counts.
"""

from __future__ import annotations

import io
import uuid
from itertools import chain
from typing import Any

from drywallqa.errors import OutputError
from drywallqa.fleet.places import Place
from drywallqa.inference.manifest import Record
from drywallqa.photos import reason

NAME = "results.parquet"
PARTS = "results.parts"
_ROWS_OF_A_PART = 5_000

_COLUMNS = {
    "source": "string", "image_id": "string", "prompt": "string", "concept": "string", "mask": "string",
    "overlay": "string", "probability_map": "string", "height": "int32", "width": "int32",
    "presence": "float64", "presence_threshold": "float64", "threshold": "float64", "area": "float64",
    "settings": "string", "source_size": "int64", "source_modified": "int64", "source_sha256": "string",
    "mask_sha256": "string", "read_ms": "float32", "segment_ms": "float32", "write_ms": "float32",
    "worker": "string", "error": "string",
}  # fmt: skip
_QUALITY = "quality"  # sentences on what the photo could not have shown


def schema() -> Any:
    """Return the table's columns as a `pyarrow.Schema`; times are of the wall clock, in milliseconds."""
    import pyarrow

    kinds = {name: getattr(pyarrow, kind)() for name, kind in _COLUMNS.items()}
    return pyarrow.schema([*kinds.items(), (_QUALITY, pyarrow.list_(pyarrow.string()))])


class ResultsTable:
    """The table below a place for results."""

    def __init__(self, out: Place) -> None:
        """Read what earlier runs left.

        Raises:
            OutputError: It cannot be read, or is no such table.
        """
        import pyarrow

        self.out, self._run = out, uuid.uuid4().hex[:12]
        self._pending: list[Any] = []
        self._parts: list[str] = []
        self._mended: set[str] = set()
        try:
            names = [entry.path for entry in out.entries(recursive=False) if entry.path.endswith(f"/{NAME}")]
            parts = [one.path for one in out.entries(PARTS) if one.path.endswith(".parquet")]
            self.earlier = self._read(names)
            if parts:
                self.earlier = latest(pyarrow.concat_tables([self.earlier, self._read(parts)]))
            self._parts = [f"{PARTS}/{path.rpartition('/')[2]}" for path in parts]
        except OSError as error:
            raise out.unwritable(error) from error

    def _read(self, paths: list[str]) -> Any:
        import pyarrow
        from pyarrow import parquet

        tables = []
        for path in paths:
            try:
                content = parquet.read_table(path, filesystem=self.out.filesystem, partitioning=None)
                if _QUALITY not in content.column_names:  # written before photos were examined
                    nothing = pyarrow.nulls(len(content), schema().field(_QUALITY).type)
                    content = content.append_column(_QUALITY, nothing)
                tables.append(content.select([*_COLUMNS, _QUALITY]).cast(schema()))
            except (ValueError, KeyError) as error:
                raise OutputError(
                    f"{self.out.name(path)}: is no table of results ({reason(error)}); move it away"
                ) from error
        return pyarrow.concat_tables(tables) if tables else schema().empty_table()

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

    def forget_error(self, source: str) -> None:
        """Drop what an earlier run said against a photo that is well now."""
        self._mended.add(source)

    def flush(self) -> None:
        """Write the rows that wait as a part."""
        import pyarrow

        if any(map(len, self._pending)):
            name = f"{PARTS}/{self._run}-{len(self._parts):06d}.parquet"
            self.out.write(name, _encoded(pyarrow.concat_tables(self._pending)), overwrite=True)
            self._parts.append(name)
        self._pending = []

    def close(self) -> None:
        """Join what earlier runs left and this run's rows into the one table, and remove the parts.

        Raises:
            OutputError: The table cannot be written.
        """
        import pyarrow

        self.flush()
        earlier = self._without_mended()
        if not self._parts and len(earlier) == len(self.earlier):
            return
        mine = [part for part in self._parts if self._run in part]
        new = self._read([self.out.below(part) for part in mine])
        whole = latest(pyarrow.concat_tables([earlier, new]))
        self.out.write(NAME, _encoded(whole), overwrite=True)
        for part in self._parts:
            self.out.remove(part)
        self._parts = []

    def _without_mended(self) -> Any:
        import pyarrow
        import pyarrow.compute as pc

        mended = pc.is_in(self.earlier["source"], pyarrow.array(sorted(self._mended), pyarrow.string()))
        return self.earlier.filter(pc.invert(pc.and_(mended, pc.is_valid(self.earlier["error"]))))


def latest(table: Any) -> Any:
    """Keep the last row about each mask, and of each failed photo its error, unless a later row is well."""
    import pyarrow
    import pyarrow.compute as pc

    numbered = table.append_column("place", pyarrow.array(range(len(table)), pyarrow.int64()))
    well = numbered.filter(pc.is_valid(numbered["mask"]))
    failed = numbered.filter(pc.is_valid(numbered["error"]))
    kept = [_last(well, "mask")]
    if len(failed):
        last_well = dict(zip(*_last_of_each(well, "source"), strict=True))
        sources, places = _last_of_each(failed, "source")
        kept.append(
            [
                place
                for source, place in zip(sources, places, strict=True)
                if last_well.get(source, -1) < place
            ]
        )
    return table.take(pyarrow.array(sorted(chain.from_iterable(kept)), pyarrow.int64()))


def _last(table: Any, key: str) -> list[int]:
    return _last_of_each(table, key)[1]


def _last_of_each(table: Any, key: str) -> tuple[list[str], list[int]]:
    grouped = table.group_by(key).aggregate([("place", "max")])
    return grouped[key].to_pylist(), grouped["place_max"].to_pylist()


def _encoded(table: Any) -> bytes:
    from pyarrow import parquet

    stream = io.BytesIO()
    parquet.write_table(table, stream, compression="zstd")
    return stream.getvalue()
