"""Results on disk: one NDJSON file per part of a result, read by pages or streamed."""

import shutil
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO

import anyio
from anyio import to_thread

_MEMORY_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 17
_PAGE_BYTES = 1 << 20


class Spool:
    """The folder of one result. Only complete batches are added, so that a failed one leaves no rows."""

    def __init__(self, folder: Path) -> None:
        self.rows: dict[str, int] = {}
        self.bytes = 0
        self.folder = folder
        self._locks: dict[str, anyio.Lock] = {}

    async def open(self, parts: Iterable[str]) -> None:
        """Create the folder and an empty file for each part. Raises OSError."""
        self.rows = dict.fromkeys(parts, 0)
        self._locks = {part: anyio.Lock() for part in self.rows}
        await to_thread.run_sync(self._make)

    async def add(self, part: str, lines: "Lines") -> None:
        """Append the lines of a batch to a part. Raises OSError."""
        async with self._locks[part]:
            self.bytes += await to_thread.run_sync(self._append, part, lines.file)
            self.rows[part] += lines.rows

    async def page(self, part: str, offset: int, limit: int) -> tuple[list[bytes], int | None]:
        """Up to `limit` lines and about a megabyte from a byte offset, and the offset of the next line, or None.

        Raises ValueError if no line begins at the offset.
        """
        return await to_thread.run_sync(self._page, part, offset, limit)

    async def stream(self, part: str, offset: int = 0) -> AsyncIterator[bytes]:
        """Yield everything from a byte offset in chunks. Raises ValueError if no line begins there."""
        file = await to_thread.run_sync(self._at, part, offset)
        try:
            while chunk := await to_thread.run_sync(file.read, _CHUNK_BYTES):
                yield chunk
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(file.close)

    async def size(self, part: str) -> int:
        """The bytes of a part."""
        return (await to_thread.run_sync(self._path(part).stat)).st_size

    async def remove(self) -> None:
        """Delete the files, also when cancelled."""
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(lambda: shutil.rmtree(self.folder, ignore_errors=True))

    def lines(self) -> "Lines":
        """An empty batch; a large one is written to a file in this folder."""
        return Lines(self.folder)

    def _path(self, part: str) -> Path:
        return self.folder / f"{part}.ndjson"

    def _make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for part in self.rows:
            self._path(part).touch()

    def _append(self, part: str, source: IO[bytes]) -> int:
        size = source.tell()
        source.seek(0)
        with self._path(part).open("ab") as target:
            shutil.copyfileobj(source, target, _CHUNK_BYTES)
        return size

    def _at(self, part: str, offset: int) -> IO[bytes]:
        file = self._path(part).open("rb")
        if offset:
            file.seek(offset - 1)
            if file.read(1) != b"\n":
                file.close()
                raise ValueError("no line begins there")
        return file

    def _page(self, part: str, offset: int, limit: int) -> tuple[list[bytes], int | None]:
        with self._at(part, offset) as file:
            lines: list[bytes] = []
            here = offset
            while len(lines) < limit and here - offset < _PAGE_BYTES and (line := file.readline()):
                lines.append(line)
                here += len(line)
            return lines, here if file.read(1) else None


class Lines:
    """The lines of one batch until it is complete: in memory while they are few, then in a temporary file."""

    def __init__(self, folder: Path) -> None:
        self.rows = 0
        self.file = SpooledTemporaryFile(_MEMORY_BYTES, dir=str(folder))  # noqa: SIM115 - closed by __exit__

    def write(self, data: bytes, rows: int) -> None:
        """Add lines. Call it in a worker thread."""
        self.file.write(data)
        self.rows += rows

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def remove_leftovers(folder: Path) -> None:
    """Delete the spools of an earlier process."""
    shutil.rmtree(folder, ignore_errors=True)
