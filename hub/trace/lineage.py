"""Reads the lineage of containers: splits in both directions and merges, within limits that the result names."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, Literal, NamedTuple

import anyio
import anyio.lowlevel

from hub.oracle.connection import FetchMode, Rows
from hub.oracle.fetching import fetch_carefully
from hub.trace.batch_runner import BusyPolicy, run_batches
from hub.trace.domains import OWNER
from hub.trace.quality import FailedRange, Quality, Tally
from hub.trace.query import SIZES, Query, TraceSource, batches, bound, distinct, text_of

Direction = Literal["ancestors", "descendants", "both"]

DEPTH = 20
ROUNDS = 20
NODE_CAP = 300_000

_SPLITS = (
    "SELECT c.CONTAINERID, c.SPLITFROMID, c.CONTAINERNAME, LEVEL AS DEPTH "
    f"FROM {OWNER}.DW_MES_CONTAINER c START WITH c.CONTAINERID IN ({{marks}}) "
    f"CONNECT BY NOCYCLE {{prior}} AND LEVEL <= {DEPTH + 1}"
)
_MERGES = f"SELECT m.LOTID, m.CONTAINERID FROM {OWNER}.DW_MES_PJ_COMBINEDASSYLOTS m WHERE m.LOTID IN ({{marks}})"
_PRIOR = {
    "ancestors": "PRIOR c.SPLITFROMID = c.CONTAINERID",
    "descendants": "PRIOR c.CONTAINERID = c.SPLITFROMID",
}


class EdgeType(StrEnum):
    """How one container became part of another."""

    SPLIT_FROM = "split_from"
    MERGE_SOURCE = "merge_source"


class Edge(NamedTuple):
    """The container `source` went into `target`."""

    source: str
    target: str
    type: EdgeType


class _Step(NamedTuple):
    kind: str
    ids: tuple[str, ...]


@dataclass(slots=True)
class LineageRun:
    """One request and its results so far: `nodes` maps ids to names, None for an unknown name."""

    seeds: Sequence[str]
    direction: Direction
    node_cap: int = NODE_CAP
    nodes: dict[str, str | None] = field(default_factory=dict)
    edges: dict[Edge, None] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    is_released: bool = False

    def __post_init__(self) -> None:
        self.seeds = distinct(self.seeds)
        self.nodes = dict.fromkeys(self.seeds[: self.node_cap])
        if len(self.seeds) > self.node_cap:
            self.limit("node_cap")

    def limit(self, name: str) -> None:
        """Record that something was left out because of this limit."""
        self.tally.limits[name] = None

    def is_full(self) -> bool:
        """True once no further node can be added."""
        return len(self.nodes) >= self.node_cap

    def quality(self) -> Quality:
        """The quality of the results so far."""
        if not self.is_released:
            self.tally.rows = len(self.nodes)
        return self.tally.quality()

    def release(self) -> None:
        """Free ids, nodes and edges; they are written, or not needed any more."""
        self.tally.rows = len(self.nodes)
        self.is_released = True
        self.seeds, self.nodes, self.edges = (), {}, {}

    def known_edges(self) -> list[Edge]:
        """The edges between nodes of the result; others lead beyond a limit or against the direction."""
        return [edge for edge in self.edges if edge.source in self.nodes and edge.target in self.nodes]

    def add_node(self, node: str, name: str | None = None) -> bool:
        """Add a node, or its name; False when the limit of nodes is reached."""
        if node not in self.nodes and self.is_full():
            self.limit("node_cap")
            return False
        self.nodes[node] = name or self.nodes.get(node)
        return True


class Lineage:
    """Walks the lineage with `workers` statements at once, for at most `total_s` seconds."""

    def __init__(self, source: TraceSource, workers: int = 2, total_s: float = 600.0) -> None:
        self._source = source
        self._workers = workers
        self._total_s = total_s

    async def walk(self, run: LineageRun, policy: BusyPolicy) -> None:
        """Fill the run; its quality names what could not be read. Raises `LaneBusy` if the policy says so."""
        with anyio.move_on_after(self._total_s) as scope:
            if run.direction in ("ancestors", "both"):
                await self._up(run, policy)
            if run.direction in ("descendants", "both"):
                await self._step(run, "descendants", run.seeds, policy)
        if scope.cancelled_caught:
            run.limit("deadline")

    async def _up(self, run: LineageRun, policy: BusyPolicy) -> None:
        """Follow splits to the ancestors, then the merges of the lots found, then repeat from the new lots."""
        frontier: Sequence[str] = list(run.nodes)
        walked: set[str] = set()
        for _ in range(ROUNDS):
            await self._step(run, "ancestors", frontier, policy)
            fresh = [node for node in run.nodes if node not in walked]
            walked.update(fresh)
            await self._step(run, "merges", fresh, policy)
            frontier = [node for node in run.nodes if node not in walked]
            if not frontier or run.is_full():
                return
        run.limit("rounds")

    async def _step(self, run: LineageRun, kind: str, ids: Sequence[str], policy: BusyPolicy) -> None:
        steps = [_Step(kind, some) for some in batches(ids, SIZES[-1])]
        run.tally.batches += len(steps)

        def on_done(step: _Step, code: str | None) -> None:
            run.tally.done += 1
            if code is not None:
                run.tally.failed.append(FailedRange(step.ids[0], step.ids[-1], len(step.ids), code, step.kind))

        async def attempt(step: _Step) -> None:
            await fetch_carefully(partial(self._read, run, step))

        await run_batches(steps, self._workers, attempt, on_done, policy)

    async def _read(self, run: LineageRun, step: _Step, mode: FetchMode) -> None:
        if run.is_full():
            run.limit("node_cap")
            return
        add = _add_merges if step.kind == "merges" else _add_splits

        async def sink(result: Rows) -> bool:
            run.tally.unreadable += sum(result.unreadable.values())
            for row in result.rows:
                add(run, row)
            await anyio.lowlevel.checkpoint()
            return not run.is_full() or "node_cap" not in run.tally.limits

        await self._source.read(lineage_query(step.kind, step.ids), sink, mode)


def lineage_query(kind: str, ids: tuple[str, ...]) -> Query:
    """The statement for the `ancestors`, `descendants` or `merges` of one batch of ids."""
    marks, binds = bound(ids)
    if kind == "merges":
        return Query(kind, _MERGES.format(marks=marks), binds, ids, ("LOTID", "CONTAINERID"))
    columns = ("CONTAINERID", "SPLITFROMID", "CONTAINERNAME", "DEPTH")
    return Query(kind, _SPLITS.format(marks=marks, prior=_PRIOR[kind]), binds, ids, columns)


def _add_splits(run: LineageRun, row: tuple[Any, ...]) -> None:
    """Add a row. The statement reads one level more than the limit, to know whether there are more."""
    container, parent, name, depth = row
    if (depth or 0) > DEPTH:
        run.limit("depth")
        return
    node, source = text_of(container), text_of(parent)
    if node is None or not run.add_node(node, text_of(name)):
        return
    if source:
        run.edges[Edge(source, node, EdgeType.SPLIT_FROM)] = None


def _add_merges(run: LineageRun, row: tuple[Any, ...]) -> None:
    target, source = (text_of(cell) for cell in row)
    if source and target and run.add_node(source):
        run.edges[Edge(source, target, EdgeType.MERGE_SOURCE)] = None
