"""Metrics of the web server: its connections, request bodies and long responses, and what it refused."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from starlette.datastructures import State

from hub.web.http.bodies import BodyBudget
from hub.web.http.slots import CallerSlots
from hub.web.server.connections import Connections


def edge_metrics(state: State) -> Iterator[Metric]:
    """The metrics of the limits in the state of the application."""
    connections: Connections = state.connections
    bodies: BodyBudget = state.body_budget
    downloads: CallerSlots = state.long_response_slots
    counts = connections.counts
    yield GaugeMetricFamily("hub_connections", "Open client connections.", len(connections))
    yield GaugeMetricFamily("hub_connections_limit", "Client connections at most.", connections.limit)
    yield CounterMetricFamily("hub_connections_accepted", "Connections accepted.", counts.accepted)
    yield CounterMetricFamily("hub_connections_refused", "Connections refused: no free slot.", counts.refused)
    closed = CounterMetricFamily("hub_connections_closed", "Connections the hub closed, by reason.", labels=["why"])
    closed.add_metric(["made_room"], counts.evicted)
    closed.add_metric(["stood_still"], counts.timed_out)
    closed.add_metric(["read_nothing"], counts.stalled)
    yield closed
    yield GaugeMetricFamily("hub_body_bytes", "Bytes of request bodies in memory.", bodies.reserved)
    yield CounterMetricFamily("hub_bodies_refused", "Request bodies refused: budget used up.", bodies.refused)
    yield GaugeMetricFamily("hub_downloads", "Long responses under way.", downloads.running)
    yield CounterMetricFamily("hub_downloads_refused", "Long responses refused: no free slot.", downloads.refused)
