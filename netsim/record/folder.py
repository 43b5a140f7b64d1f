"""The result folder: every finished point is a file at once, and the tables are put together from these files.

Files are written at one stroke, so that whatever is there under its own name is whole, whenever the process was killed.
"""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netsim.errors import InputError
from netsim.writing import TEMPORARY, write_atomically, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pandas as pd
    import pyarrow as pa

    from netsim.record.result import Result

TABLES = ("runs", "steps", "links", "spans", "curves")
_POINTS = "points"
_LOCK = ".lock"


@dataclass(frozen=True)
class ResultFolder:
    """A folder that holds a sweep's points, one file each under `points/`, and its tables."""

    path: Path

    @contextmanager
    def opened(self, resume: bool) -> Iterator[None]:
        """Make the folder and keep other runs out of it meanwhile; remove what a killed process left half written.

        Raises:
            InputError: it holds something that is no run's or is not to be resumed, another run writes to it, or it
                cannot be made.
        """
        with self._locked():
            points = self.path / _POINTS
            filled = any(one.name != _LOCK for one in self.path.iterdir())
            if filled and not points.is_dir():
                raise self._error("the folder holds something, which is no run's", "choose another --out")
            if filled and not resume:
                raise self._error(
                    "the result folder is not empty",
                    "use --resume (resume=True) to keep the points that are finished, or another --out",
                )
            points.mkdir(exist_ok=True)
            for half in [*self.path.glob(f"*{TEMPORARY}"), *points.glob(f"*{TEMPORARY}")]:
                half.unlink(missing_ok=True)
            yield

    @contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        path = self.path / _LOCK
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path).acquire(timeout=0)
        except Timeout as error:
            raise self._error(
                "another run is writing to this result folder", "wait for its end, or choose another --out"
            ) from error
        except OSError as error:
            raise self._error(f"the result folder cannot be made: {error.strerror}", "choose another --out") from error
        with lock:
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def _error(self, problem: str, remedy: str) -> InputError:
        return InputError(problem, remedy, file=str(self.path))

    def point(self, key: str) -> Path:
        """Return the file of the point called `key`."""
        return self.path / _POINTS / f"{key}.zip"

    def half_done(self, key: str) -> Path:
        """Return the file in which the measurement of the point called `key` may be kept until its sweep is over."""
        return self.path / _POINTS / f"{key}.half"

    def has(self, key: str) -> bool:
        """Return whether a point is finished and its file is whole."""
        try:
            with zipfile.ZipFile(self.point(key)) as archive:
                return archive.testzip() is None
        except (OSError, zipfile.BadZipFile):
            return False

    def save(self, key: str, result: Result) -> None:
        """Write a finished point."""
        write_atomically(self.point(key), lambda stream: _pack(stream, result))

    def assemble(self, keys: Sequence[str], scenario: str, provenance: dict[str, Any]) -> pd.DataFrame:
        """Write the tables from the points in the order of `keys`, and what was run; return the table of runs."""
        runs: pd.DataFrame | None = None
        for name in TABLES:
            table = _joined(_read_table(self.point(key), name) for key in keys)
            write_atomically(self.path / f"{name}.parquet", partial(_write_parquet, table))
            if name == "runs":
                runs = table.to_pandas()
        assert runs is not None
        csv = runs.to_csv(index=False, lineterminator="\n")
        self.write_text("runs.csv", csv)
        self.write_text("scenario.yaml", scenario)
        of_points = [_read_provenance(self.point(key)) for key in keys]
        self.write_text("provenance.json", json.dumps(provenance | _distinct(of_points), indent=2) + "\n")
        return runs

    def write_text(self, name: str, text: str) -> None:
        """Write a text file of the folder."""
        write_text(self.path / name, text)


def _pack(stream: Any, result: Result) -> None:
    import pyarrow as pa

    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in TABLES:
            table = pa.Table.from_pandas(getattr(result, name), preserve_index=False)
            sink = io.BytesIO()
            with pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
            archive.writestr(f"{name}.arrow", sink.getvalue())
        archive.writestr("provenance.json", json.dumps(result.provenance))


def _read_table(path: Path, name: str) -> pa.Table:
    import pyarrow as pa

    with zipfile.ZipFile(path) as archive:
        return pa.ipc.open_file(io.BytesIO(archive.read(f"{name}.arrow"))).read_all()


def _read_provenance(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        found: dict[str, Any] = json.loads(archive.read("provenance.json"))
        return found


def _joined(tables: Iterable[pa.Table]) -> pa.Table:
    """Join tables whose columns may differ in type where one has no value."""
    import pyarrow as pa

    return pa.concat_tables([table.replace_schema_metadata(None) for table in tables], promote_options="permissive")


def _write_parquet(table: pa.Table, stream: Any) -> None:
    import pyarrow.parquet

    pyarrow.parquet.write_table(table, stream)


def _distinct(of_points: Iterable[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return, for every key, its distinct values over the points, in their order."""
    found: dict[str, list[Any]] = {}
    for one in of_points:
        for key, value in one.items():
            if value not in found.setdefault(key, []):
                found[key].append(value)
    return found
