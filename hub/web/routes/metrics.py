"""Metrics for Prometheus, collected from the parts at each scrape."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from hub.database.checks import STORAGE_PARTS
from hub.oracle.oracle_lanes import Lane
from hub.runtime.figures import BUCKETS_S, Histogram
from hub.web.access import PartsOf
from hub.web.auth.roles import for_viewers
from hub.web.parts import Parts
from hub.web.server.edge_metrics import edge_metrics

_STAGES = {
    "sample_to_decision": ("hub_sample_decision_delay_seconds", "From a sample to its transition."),
    "decision_to_commit": ("hub_decision_commit_delay_seconds", "From a transition to its commit."),
    "commit": ("hub_commit_duration_seconds", "Transactions of transitions."),
}


def metrics_routes() -> APIRouter:
    """GET /metrics."""
    routes = APIRouter(tags=["health"], dependencies=for_viewers())
    routes.add_api_route(
        "/metrics",
        get_metrics,
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    return routes


async def get_metrics(parts: PartsOf, request: Request) -> Response:
    """Counters and gauges in Prometheus' text format, read here and written out in a thread."""
    read = _Read([*PartsCollector(parts).collect(), *edge_metrics(request.app.state)])
    return Response(await anyio.to_thread.run_sync(_render, read), media_type=CONTENT_TYPE_LATEST)


class _Read(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _render(read: _Read) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(read)
    return generate_latest(registry)


class PartsCollector(Collector):
    """Collects the counters of the parts. Labels are units, receivers and groups, never anything that grows."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """Every metric of the hub."""
        parts = self._parts
        yield _gauge("hub_build_info", "Version of the hub.", {parts.version: 1.0}, "version")
        yield _gauge("hub_start_time_seconds", "Start of the hub, Unix time.", parts.started_at.timestamp())
        yield from self._reload()
        yield from self._units()
        yield from self._feeds()
        yield from self._storage()
        yield from self._alerts()
        yield from self._deliveries()
        yield from self._children()
        yield from self._lanes()
        yield from self._trace()
        yield from self._caches()
        yield from self._latencies()

    def _reload(self) -> Iterator[Metric]:
        reload = self._parts.reload
        if reload is None:
            return
        good = float(reload.reason is None)
        yield _gauge("hub_config_reload_successful", "0 while the changed configuration is rejected.", good)
        yield _gauge("hub_config_reload_at_seconds", "The last reload, Unix time.", reload.at.timestamp())

    def _units(self) -> Iterator[Metric]:
        parts, units = self._parts, self._parts.units.values()
        now_s = parts.clock.steady()
        polls: Counter[str] = Counter()
        for unit in units:
            polls.update(unit.polls)
        ages = {unit.id: max(0.0, now_s - unit.latest.time) for unit in units if unit.latest is not None}
        reachable = {unit.id: float(unit.reachable) for unit in units if unit.reachable is not None}
        drops = sum(unit.fanout.dropped for unit in units)
        skipped = sum(unit.skipped_by_poller for unit in units)
        links = [unit.instrument.statistics() for unit in units]
        yield _gauge("hub_units", "Units in the configuration.", len(parts.units))
        yield _gauge("hub_unit_reachable", "1 while the unit answers.", reachable, "unit")
        yield _gauge("hub_unit_sample_age_seconds", "Age of the last reading.", ages, "unit")
        yield _gauge("hub_viewers", "Viewers of single units.", sum(unit.viewers for unit in units))
        yield _gauge("hub_commands_waiting", "Commands in the links' queues.", sum(link.queued for link in links))
        yield _counter("hub_polls", "Polls by outcome.", polls, "outcome")
        yield _counter("hub_polls_skipped", "Background polls skipped, because a monitor polls the unit.", skipped)
        yield _counter("hub_connects", "Connections opened to meters.", sum(link.connects for link in links))
        yield _counter(
            "hub_stale_bytes",
            "Bytes of meters dropped because they belong to no reply.",
            sum(link.stale_bytes for link in links),
        )
        yield _counter("hub_fanout_dropped", "Events that slow subscribers lost.", drops)

    def _feeds(self) -> Iterator[Metric]:
        feeds = self._parts.feeds
        states = {name: feed.status() for name, feed in feeds.items()}
        ages = {name: state["age_s"] for name, state in states.items() if state["age_s"] is not None}
        queries = {name: state["last_query_ms"] / 1000 for name, state in states.items() if state["last_query_ms"]}
        machines = GaugeMetricFamily("hub_machines", "Machines by category.", labels=["feed", "category"])
        for name, state in states.items():
            for category, count in (state["categories"] or {}).items():
                machines.add_metric([name, category], count)
        yield machines
        yield _gauge("hub_feed_age_seconds", "Age of the newest answer of a feed.", ages, "feed")
        yield _gauge("hub_feed_stale", "1 while it is too old.", _each(states, "stale"), "feed")
        yield _gauge("hub_feed_degraded", "1 while its Redis cannot be used.", _each(states, "degraded"), "feed")
        failures = _each(states, "consecutive_failures")
        yield _gauge("hub_feed_failures", "Failed cycles since the last good one.", failures, "feed")
        yield _gauge("hub_feed_query_seconds", "Duration of the last query.", queries, "feed")
        yield _counter("hub_feed_queries", "Queries sent to the view.", _each(states, "queries"), "feed")

    def _storage(self) -> Iterator[Metric]:
        recorder, database = self._parts.recorder, self._parts.database
        broken = {part: float(part in database.outcomes.failing) for part in STORAGE_PARTS}
        yield _gauge("hub_storage_part_failing", "1 while this part of storage is failing.", broken, "part")
        aside = {table: float(count) for table, count in database.quarantine.counts.items()}
        yield _counter(
            "hub_rows_set_aside", "Rows in quarantine, because no database accepts them.", aside, "table"
        )
        yield _gauge("hub_database_log_bytes", "Pages in SQLite's log.", database.checkpoints.log_bytes)
        yield _gauge("hub_queries_running", "People's queries at the database.", database.lane.running)
        yield _gauge("hub_queries_waiting", "People's queries that wait for a slot.", database.lane.waiting)
        yield _counter("hub_queries_refused", "People's queries refused without a slot.", database.lane.refused)
        yield _gauge("hub_readings_waiting", "Events not yet committed.", recorder.pending)
        yield _gauge(
            "hub_storage_failing", "1 while readings cannot be stored.", float(recorder.failure is not None)
        )
        yield _counter("hub_readings_written", "Readings committed.", recorder.written)
        yield _counter("hub_readings_dropped", "Readings lost while they could not be stored.", recorder.dropped)

    def _alerts(self) -> Iterator[Metric]:
        alerts = self._parts.alerts
        counts = alerts.counts
        opened = Counter(alert.severity for alert in alerts.open_alerts())
        yield _gauge("hub_alerts_open", "Open alerts.", opened, "severity")
        yield _counter("hub_rule_evaluations", "Evaluations of rules.", alerts.evaluations)
        yield _counter("hub_samples", "Samples submitted to alerting.", counts.samples)
        yield _counter("hub_samples_dropped", "Samples dropped by a full queue.", counts.dropped_samples)
        yield _counter("hub_transitions", "Transitions of alerts.", counts.transitions)
        yield _counter("hub_transition_commits_failed", "Commits the database refused.", counts.failed_commits)
        yield _counter(
            "hub_transitions_unpersisted",
            "Transitions announced before they were stored.",
            counts.announced_unpersisted,
        )

    def _deliveries(self) -> Iterator[Metric]:
        attempts = CounterMetricFamily(
            "hub_delivery_attempts", "Messages posted, by outcome.", labels=["receiver", "outcome"]
        )
        dispatchers = self._parts.dispatchers
        for name, one in dispatchers.items():
            attempts.add_metric([name, "delivered"], one.counts.delivered)
            attempts.add_metric([name, "failed"], one.counts.failed)
        yield attempts
        waiting = {name: float(len(one)) for name, one in dispatchers.items()}
        failing = {name: float(one.is_failing or one.is_held) for name, one in dispatchers.items()}
        dead = {name: one.counts.dead for name, one in dispatchers.items()}
        dropped = {name: one.counts.dropped for name, one in dispatchers.items()}
        yield _gauge("hub_deliveries_waiting", "Deliveries not yet sent.", waiting, "receiver")
        yield _gauge("hub_receiver_failing", "1 while a receiver accepts no messages.", failing, "receiver")
        yield _counter("hub_deliveries_dead", "Dead deliveries.", dead, "receiver")
        yield _counter("hub_deliveries_dropped", "Deliveries dropped by a full queue.", dropped, "receiver")

    def _lanes(self) -> Iterator[Metric]:
        trace = self._parts.trace
        lanes: dict[tuple[str, str], Lane] = {(name, "sync"): feed.lane for name, feed in self._parts.feeds.items()}
        if trace is not None:
            lanes |= {(trace.feed_id, lane.name): lane for lane in trace.lanes}
        gauges: tuple[tuple[str, str, Callable[[Lane], float]], ...] = (
            ("hub_oracle_breaker_state", "0 closed, 1 half-open, 2 open.", lambda lane: lane.breaker.state),
            ("hub_oracle_sessions", "Sessions open now.", lambda lane: lane.counters.open),
            ("hub_oracle_waiting", "Statements that wait for a session.", lambda lane: lane.admission.waiting),
        )
        counters: tuple[tuple[str, str, Callable[[Lane], float]], ...] = (
            ("hub_oracle_breaker_opened", "Times a breaker opened.", lambda lane: lane.breaker.opened),
            ("hub_oracle_refused", "Statements refused by a full lane.", lambda lane: lane.admission.refused),
        )
        labels = ("feed", "lane")
        for family, figures in ((GaugeMetricFamily, gauges), (CounterMetricFamily, counters)):
            for name, says, figure in figures:
                metric = family(name, says, labels=labels)
                for of, lane in lanes.items():
                    metric.add_metric(of, float(figure(lane)))
                yield metric

    def _trace(self) -> Iterator[Metric]:
        trace = self._parts.trace
        if trace is None:
            return
        yield _gauge("hub_trace_jobs_running", "Running trace jobs.", trace.jobs.running)
        yield _counter("hub_trace_jobs_refused", "Trace jobs refused.", trace.jobs.refused)
        yield _counter("hub_trace_cache_hits", "Answers from the trace cache.", trace.cache.counters.hits)
        yield _counter(
            "hub_trace_cache_misses", "Answers that were not in the trace cache.", trace.cache.counters.misses
        )

    def _caches(self) -> Iterator[Metric]:
        caches = {cache.name: cache for cache in self._parts.caches}
        gauges = (
            ("hub_cache_enabled", "1 while the Redis of the cache is configured and can be used.", "enabled"),
            ("hub_cache_entries", "Entries in process memory: keys, or bytes for the trace.", "entries"),
            ("hub_cache_size", "The largest number of entries.", "size"),
            ("hub_cache_ttl_seconds", "How long an entry serves before Redis is read again.", "ttl_s"),
        )
        counters = (
            ("hub_cache_hits", "Reads answered from process memory.", "hits"),
            ("hub_cache_misses", "Reads not answered from process memory.", "misses"),
            ("hub_cache_loads", "Values read from Redis.", "loads"),
            ("hub_cache_failures", "Times Redis, or a value in it, could not be used.", "failures"),
            ("hub_cache_evictions", "Entries evicted.", "evictions"),
        )
        for name, says, figure in gauges:
            yield _gauge(name, says, {of: float(getattr(one, figure)) for of, one in caches.items()}, "cache")
        for name, says, figure in counters:
            yield _counter(name, says, {of: float(getattr(one, figure)) for of, one in caches.items()}, "cache")

    def _children(self) -> Iterator[Metric]:
        states = GaugeMetricFamily("hub_children", "Supervised children.", labels=["group", "state"])
        restarts: Counter[str] = Counter()
        by_state: Counter[tuple[str, str]] = Counter()
        for group in self._parts.supervisors:
            for child in group.children.values():
                by_state[group.name, child.state.value] += 1
                restarts[group.name] += child.restarts
        for labels, count in by_state.items():
            states.add_metric(labels, count)
        yield states
        yield _counter("hub_child_restarts", "Restarts after crashes.", restarts, "group")

    def _latencies(self) -> Iterator[Metric]:
        figures = self._parts.figures
        stages = {name: figures.alerts_s.get(name, Histogram()) for name in _STAGES}
        yield _histogram("hub_poll_duration_seconds", "From the command to the end of the reply.", figures.poll_s)
        yield _histogram(
            "hub_reading_commit_delay_seconds", "From a reading to its commit.", figures.readings_commit_s
        )
        yield _histogram(
            "hub_loop_lag_seconds", "How late the event loop wakes a sleeping task.", figures.loop_lag_s
        )
        for name, (metric, says) in _STAGES.items():
            yield _histogram(metric, says, stages[name])


def _each(states: Mapping[str, Mapping[str, Any]], key: str) -> dict[str, float]:
    return {name: float(state[key]) for name, state in states.items()}


def _gauge(name: str, says: str, value: float | Mapping[str, float], label: str = "") -> Metric:
    return _filled(GaugeMetricFamily(name, says, labels=[label] if label else []), value)


def _counter(name: str, says: str, value: float | Mapping[str, float], label: str = "") -> Metric:
    return _filled(CounterMetricFamily(name, says, labels=[label] if label else []), value)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, value: float | Mapping[str, float]) -> Metric:
    pairs: Iterable[tuple[list[str], float]] = (
        [([key], one) for key, one in value.items()] if isinstance(value, Mapping) else [([], value)]
    )
    for labels, one in pairs:
        family.add_metric(labels, one)
    return family


def _histogram(name: str, says: str, histogram: Histogram) -> Metric:
    buckets, total = [], 0
    for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), histogram.counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return HistogramMetricFamily(name, says, buckets=buckets, sum_value=histogram.total_s)
