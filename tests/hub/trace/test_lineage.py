"""Lineage through the real driver, compared with the split tree of the server."""

from collections.abc import Sequence

import pytest

from hub.simulators.oracle import History, OracleServer, OraError, Plant, open_oracle
from hub.simulators.oracle.split_tree import SplitTree
from hub.trace import batch_runner
from hub.trace.batch_runner import BusyPolicy
from hub.trace.lineage import DEPTH, Direction, Edge, EdgeType, Lineage, LineageRun
from hub.trace.quality import Status
from hub.trace.source import OracleSource
from tests.elapsed import takes_less_than
from tests.hub.trace.pipeline_site import ids, lanes_to

pytestmark = pytest.mark.anyio

TREE = SplitTree(lots=200, roots=20, merge_every=1000)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_runner, "_RETRY_S", 0.01)


def plant(tree: SplitTree) -> Plant:
    return Plant(10, 10, 1, History(1, tree))


async def walk(server: OracleServer, run: LineageRun, total_s: float = 30.0) -> None:
    lanes = lanes_to(server)
    try:
        await Lineage(OracleSource(lanes.bulk), total_s=total_s).walk(run, BusyPolicy(0.01))
    finally:
        await lanes.bulk.close_idle()


def closure(tree: SplitTree, seeds: Sequence[str], direction: Direction) -> set[str]:
    found: set[str] = set()
    waiting = list(seeds)
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += (
                tree.children(each) if direction == "descendants" else tree.parents(each) + tree.sources(each)
            )
    return found


@pytest.mark.parametrize("direction", ["ancestors", "descendants"])
async def test_a_walk_finds_what_the_tree_has(direction: Direction) -> None:
    async with open_oracle(plant=plant(TREE)) as server:
        run = LineageRun(ids(5, 100) + ids(3, 5), direction)
        await walk(server, run)
        assert set(run.nodes) == closure(TREE, run.seeds, direction)
        assert run.quality().status is Status.COMPLETE
        assert run.quality().observed_rows == len(run.nodes)
        splits = {(edge.source, edge.target) for edge in run.known_edges()}
        assert splits == {
            (parent, each) for each in run.nodes for parent in TREE.parents(each) if parent in run.nodes
        }
        assert all(run.nodes.values())


async def test_merges_are_followed_to_where_their_sources_came_from() -> None:
    tree = SplitTree(lots=200, roots=20, merge_every=50)
    async with open_oracle(plant=plant(tree)) as server:
        run = LineageRun(ids(1, 150), "ancestors")
        await walk(server, run)
        assert set(run.nodes) == closure(tree, run.seeds, "ancestors")
        assert Edge(ids(1, 151)[0], ids(1, 150)[0], EdgeType.MERGE_SOURCE) in run.known_edges()


async def test_both_directions_join() -> None:
    async with open_oracle(plant=plant(TREE)) as server:
        run = LineageRun(ids(1, 60), "both")
        await walk(server, run)
        seeds = ids(1, 60)
        assert set(run.nodes) == closure(TREE, seeds, "ancestors") | closure(TREE, seeds, "descendants")


async def test_the_result_names_the_limit_of_depth() -> None:
    chain = SplitTree(lots=40, roots=1, fanout=1, merge_every=1000)
    async with open_oracle(plant=plant(chain)) as server:
        run = LineageRun(ids(1), "descendants")
        await walk(server, run)
        assert len(run.nodes) == DEPTH
        assert run.quality().document()["reasons"] == ["depth"]
        assert run.quality().status is Status.TRUNCATED


async def test_the_result_names_the_limit_of_nodes() -> None:
    async with open_oracle(plant=plant(TREE)) as server:
        run = LineageRun(ids(3), "descendants", node_cap=10)
        await walk(server, run)
        assert len(run.nodes) == 10
        assert (run.quality().status, run.quality().document()["reasons"]) == (Status.TRUNCATED, ["node_cap"])
        assert all(edge.source in run.nodes and edge.target in run.nodes for edge in run.known_edges())


async def test_the_total_deadline_is_named_and_the_results_until_then_stay() -> None:
    async with open_oracle(plant=plant(TREE)) as server:
        server.faults.hang = "COMBINED"
        run = LineageRun(ids(1, 100), "ancestors")
        with takes_less_than(10):
            await walk(server, run, total_s=2)
        assert run.quality().document()["reasons"] == ["deadline"]
        assert len(run.nodes) > 1


async def test_a_batch_that_fails_twice_is_reported() -> None:
    async with open_oracle(plant=plant(TREE)) as server:
        server.faults.errors = {"COMBINED": OraError(942, "table or view does not exist")}
        run = LineageRun(ids(1, 100), "ancestors")
        await walk(server, run)
        assert run.quality().status is Status.PARTIAL
        assert [(one.part, one.code) for one in run.quality().failed] == [("merges", "ORA-00942")]


async def test_many_seeds_are_asked_in_batches() -> None:
    tree = SplitTree(lots=3000, roots=3000, merge_every=10_000)
    async with open_oracle(plant=plant(tree)) as server:
        run = LineageRun(ids(2500), "ancestors")
        await walk(server, run)
        assert len(run.nodes) == 2500
        assert sum(server.counters.statements.values()) == run.tally.batches == 6
