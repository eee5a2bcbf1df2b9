"""Metrics of the web server itself: its connections, and what it had no room for."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from starlette.datastructures import State

from hub.web.http.bodies import BodyBudget
from hub.web.http.downloads import DownloadLane
from hub.web.server.connections import Connections


def edge_metrics(state: State) -> Iterator[Metric]:
    """What the parts in the state of the application count."""
    connections: Connections = state.connections
    bodies: BodyBudget = state.body_budget
    downloads: DownloadLane = state.download_lane
    counts = connections.counts
    yield GaugeMetricFamily("hub_connections", "Connections of clients.", len(connections))
    yield GaugeMetricFamily("hub_connections_limit", "Connections of clients at most.", connections.most)
    yield CounterMetricFamily("hub_connections_accepted", "Connections that got a place.", counts.accepted)
    yield CounterMetricFamily("hub_connections_refused", "Connections that got none.", counts.refused)
    closed = CounterMetricFamily("hub_connections_closed", "Connections the hub ended, by why.", labels=["why"])
    closed.add_metric(["made_room"], counts.pushed_out)
    closed.add_metric(["stood_still"], counts.timed_out)
    closed.add_metric(["read_nothing"], counts.stalled)
    yield closed
    yield GaugeMetricFamily("hub_body_bytes", "Bytes of request bodies in memory.", bodies.taken)
    yield CounterMetricFamily("hub_bodies_refused", "Bodies there was no room for.", bodies.refused)
    yield GaugeMetricFamily("hub_downloads", "Long answers under way.", downloads.running)
    yield CounterMetricFamily("hub_downloads_refused", "Long answers there was no room for.", downloads.refused)
