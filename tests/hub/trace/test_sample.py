from itertools import islice

import pytest

from hub.oracle.connection import Rows
from hub.trace.domains import DOMAINS, DomainName
from hub.trace.lineage import lineage_query
from hub.trace.query import Query, event_query
from hub.trace.sample import SampleHistory, id_of, name_of
from hub.trace.seeds import seed_queries

pytestmark = pytest.mark.anyio


async def rows(query: Query) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []

    async def sink(result: Rows) -> bool:
        assert result.columns == query.columns
        found.extend(result.rows)
        return True

    await SampleHistory().read(query, sink)
    return found


def test_an_id_and_its_name_belong_together() -> None:
    assert name_of(id_of(123, 4)) == "GA26000123-A00-004"
    assert name_of("ffffffffffffffff") is None


@pytest.mark.parametrize("name", DomainName)
async def test_every_domain_has_rows_that_do_not_change(name: DomainName) -> None:
    query = event_query(DOMAINS[name], tuple(id_of(lot) for lot in range(30)))
    found = await rows(query)
    assert found
    assert found == await rows(query)
    assert all(len(row) == len(query.columns) for row in found)


async def test_a_lot_is_found_by_its_name_its_wafer_and_its_order() -> None:
    from datetime import UTC

    params = {"lot_id": ["GA26000123-A00-004"], "wafer_lot": ["WLOT-00123#A1P"], "work_order": ["MO-0024"]}
    by_lot, by_wafer, by_order = [await rows(query) for query in seed_queries("query_tool", params, UTC)]
    assert by_lot == [(id_of(123, 4), "GA26000123-A00-004")]
    assert by_wafer == [(id_of(123), "GA26000123-A00-001")]
    assert by_wafer[0] in by_order


async def test_splits_lead_up_and_down_and_every_tenth_lot_was_merged() -> None:
    up = await rows(lineage_query("ancestors", (id_of(120, 7),)))
    assert [row[0] for row in up] == [id_of(120, part) for part in (7, 3, 1)]
    down = await rows(lineage_query("descendants", (id_of(120, 3),)))
    assert {row[0] for row in down} == {id_of(120, part) for part in (3, 6, 7, 12, 13, 14, 15)}
    assert await rows(lineage_query("merges", (id_of(120),))) == [
        (id_of(120), id_of(119)),
        (id_of(120), id_of(118)),
    ]


async def test_a_taker_that_has_enough_is_given_no_more() -> None:
    query = event_query(DOMAINS[DomainName.HISTORY], tuple(id_of(lot) for lot in range(999)))
    taken: list[int] = []

    async def sink(result: Rows) -> bool:
        taken.append(len(result.rows))
        return False

    await SampleHistory().read(query, sink)
    assert list(islice(taken, 2)) == [500]
