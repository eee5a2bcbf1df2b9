from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.trace.spool import Spool, remove_leftovers

pytestmark = pytest.mark.anyio


async def filled(folder: Path, rows: int, part: str = "history") -> Spool:
    spool = Spool(folder / "spool")
    await spool.open([part])
    with spool.lines() as lines:
        lines.write(b"".join(b'{"n":%d}\n' % number for number in range(rows)), rows)
        await spool.add(part, lines)
    return spool


async def test_pages_join_to_the_whole(tmp_path: Path) -> None:
    spool = await filled(tmp_path, 25)
    offset: int | None = 0
    found: list[bytes] = []
    while offset is not None:
        lines, offset = await spool.page("history", offset, 10)
        found += lines
    assert b"".join(found) == b"".join([piece async for piece in spool.stream("history")])
    assert len(found) == spool.rows["history"] == 25


async def test_an_empty_part_is_an_empty_page(tmp_path: Path) -> None:
    spool = await filled(tmp_path, 0)
    assert await spool.page("history", 0, 10) == ([], None)
    assert [piece async for piece in spool.stream("history")] == []


async def test_an_offset_inside_a_line_is_refused(tmp_path: Path) -> None:
    spool = await filled(tmp_path, 3)
    with pytest.raises(ValueError, match="line"):
        await spool.page("history", 3, 10)
    with pytest.raises(ValueError, match="line"):
        [piece async for piece in spool.stream("history", 10**9)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(sizes=st.lists(st.integers(0, 40), max_size=5), limit=st.integers(1, 20))
def test_batches_are_kept_whole_and_in_order(tmp_path: Path, sizes: list[int], limit: int) -> None:

    async def check() -> None:
        spool = Spool(tmp_path / "law")
        await spool.remove()
        await spool.open(["p"])
        expected = b""
        for batch, size in enumerate(sizes):
            with spool.lines() as lines:
                data = b"".join(b'{"b":%d,"n":%d}\n' % (batch, number) for number in range(size))
                lines.write(data, size)
                await spool.add("p", lines)
            expected += data
        first, _ = await spool.page("p", 0, limit)
        assert b"".join([piece async for piece in spool.stream("p")]) == expected
        assert first == expected.splitlines(keepends=True)[:limit]

    anyio.run(check)


async def test_a_batch_that_is_not_added_leaves_nothing(tmp_path: Path) -> None:
    spool = await filled(tmp_path, 2)
    with spool.lines() as lines:
        lines.write(b"x" * (2 << 20), 1)
    assert spool.rows["history"] == 2
    assert sorted(path.name for path in (tmp_path / "spool").iterdir()) == ["history.ndjson"]


async def test_it_can_be_removed_and_so_can_all_leftovers(tmp_path: Path) -> None:
    spool = await filled(tmp_path, 2)
    await spool.remove()
    assert not (tmp_path / "spool").exists()
    await filled(tmp_path, 2)
    remove_leftovers(tmp_path)
    remove_leftovers(tmp_path)
    assert not await anyio.Path(tmp_path).exists()


async def test_a_page_ends_after_about_a_megabyte(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "job")
    await spool.open(["history"])
    with spool.lines() as lines:
        lines.write((b'"' + b"x" * 999 + b'"\n') * 3000, 3000)
        await spool.add("history", lines)
    seen, offset = 0, 0
    while True:
        page, following = await spool.page("history", offset, 10_000)
        assert sum(map(len, page)) < 1.1 * 2**20
        seen += len(page)
        if following is None:
            break
        offset = following
    assert seen == 3000
