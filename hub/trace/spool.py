"""Results on disk: one NDJSON file per part of a result, read back by pages or streamed."""

import shutil
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO

import anyio
from anyio import to_thread

_IN_MEMORY = 1 << 20
_PIECE = 1 << 17
_PAGE = 1 << 20


class Spool:
    """The folder of one result. Only whole batches are added, so that a failed one leaves nothing behind."""

    def __init__(self, folder: Path) -> None:
        self.rows: dict[str, int] = {}
        self.bytes = 0
        self.folder = folder
        self._locks: dict[str, anyio.Lock] = {}

    async def open(self, parts: Iterable[str]) -> None:
        """Make the folder and an empty file for each part. Raises OSError."""
        self.rows = dict.fromkeys(parts, 0)
        self._locks = {part: anyio.Lock() for part in self.rows}
        await to_thread.run_sync(self._make)

    async def add(self, part: str, lines: "Lines") -> None:
        """Append what a batch brought."""
        async with self._locks[part]:
            self.bytes += await to_thread.run_sync(self._append, part, lines.file)
            self.rows[part] += lines.rows

    async def page(self, part: str, offset: int, limit: int) -> tuple[list[bytes], int | None]:
        """Up to `limit` lines and about a megabyte from a byte offset, and the offset of the next.

        Raises ValueError where no line begins.
        """
        return await to_thread.run_sync(self._page, part, offset, limit)

    async def stream(self, part: str, offset: int = 0) -> AsyncIterator[bytes]:
        """Everything from a byte offset, in pieces; ValueError where no line begins."""
        file = await to_thread.run_sync(self._at, part, offset)
        try:
            while piece := await to_thread.run_sync(file.read, _PIECE):
                yield piece
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(file.close)

    async def size(self, part: str) -> int:
        """Bytes of a part."""
        return (await to_thread.run_sync(self._path(part).stat)).st_size

    async def remove(self) -> None:
        """Delete the files, whatever is cancelled."""
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(lambda: shutil.rmtree(self.folder, ignore_errors=True))

    def lines(self) -> "Lines":
        """An empty batch, kept beside the files once it grows."""
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
            shutil.copyfileobj(source, target, _PIECE)
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
            while len(lines) < limit and here - offset < _PAGE and (line := file.readline()):
                lines.append(line)
                here += len(line)
            return lines, here if file.read(1) else None


class Lines:
    """The lines of one batch until it is whole: in memory while they are few, then in a file of their own."""

    def __init__(self, folder: Path) -> None:
        self.rows = 0
        self.file = SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(folder))  # noqa: SIM115 - closed by __exit__

    def write(self, data: bytes, rows: int) -> None:
        """Add lines; for a worker thread."""
        self.file.write(data)
        self.rows += rows

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def remove_leftovers(folder: Path) -> None:
    """Delete the spools of an earlier process."""
    shutil.rmtree(folder, ignore_errors=True)
