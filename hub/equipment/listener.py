"""Passes on what an equipment feed announces: changes to SQL, samples to the rules, failures to an alert."""

from collections.abc import Iterable

from anyio.lowlevel import checkpoint

from alerts.model.sample import Sample
from alerts.service import AlertService
from hub.equipment.announce import Callbacks
from hub.equipment.machines import Plant, subject_of
from hub.readings.snapshot import MachineChange
from hub.store.recorder import Recorder

_ATTRIBUTES = frozenset({"status", "status_category"})
_CHUNK = 50


class FeedListener:
    """Receives the callbacks of one feed as long as it is configured, across its restarts.

    Each machine is a subject of the rules from its first sample until it leaves the view. `statuses` are the last
    stored ones by RESOURCEID, so that no change is stored twice.
    """

    def __init__(self, feed_id: str, statuses: dict[str, str], alerts: AlertService, recorder: Recorder) -> None:
        self.statuses = statuses
        self._feed_id = feed_id
        self._alerts = alerts
        self._recorder = recorder
        self._prefix = subject_of(feed_id, "")
        self._labels = {"feed": feed_id}
        self._subjects: set[str] = set()
        self._stale: str | None = None
        self._refused: str | None = None
        alerts.add_subject(self.subject, self._labels)

    @property
    def subject(self) -> str:
        """The subject of the feed itself, for the alert `feed-failing`."""
        return f"hub/feed/{self._feed_id}"

    def callbacks(self) -> Callbacks:
        """The callbacks for a feed that starts."""
        self._stale = self._refused = None
        return Callbacks(self._on_change, self._on_samples, self._on_stale, self._on_refused, self._on_plant)

    async def close(self) -> None:
        """Remove the machines and the feed's own subject, and with them their alerts."""
        await self._forget(self._subjects | self._awaited())
        self._alerts.remove_subject(self.subject)

    def _on_change(self, change: MachineChange) -> None:
        resource_id = change.subject.removeprefix(self._prefix)
        if change.new is None:
            self.statuses.pop(resource_id, None)
        else:
            self.statuses[resource_id] = change.new
        self._recorder.offer_nowait(change)

    def _on_samples(self, samples: list[Sample]) -> None:
        """Submit samples. Rules may match a state, so the states are updated before the samples are evaluated."""
        attributes: dict[str, dict[str, str]] = {}
        for sample in samples:
            if sample.metric in _ATTRIBUTES:
                known = attributes.setdefault(sample.subject, {})
                if isinstance(sample.value, str):
                    known[sample.metric] = sample.value
        for subject, current in attributes.items():
            self._subjects.add(subject)
            self._alerts.add_subject(subject, self._labels, current)
        self._alerts.submit(samples)

    def _on_plant(self, plant: Plant) -> None:
        present = {subject_of(self._feed_id, machine.resource_id) for machine in plant.machines}
        self._remove(self._subjects - present)
        self._remove(self._awaited() - present)

    def _on_stale(self, feed_id: str, is_stale: bool, reason: str | None) -> None:
        self._stale = (reason or "no answer") if is_stale else None
        self._report()

    def _on_refused(self, feed_id: str, reason: str | None) -> None:
        self._refused = reason
        self._report()

    def _report(self) -> None:
        reason = self._stale or self._refused
        self._alerts.report(self.subject, reason is None, reason)

    def _awaited(self) -> set[str]:
        """Machines that have open alerts of an earlier process, and no sample since."""
        subjects = {alert.subject for alert in self._alerts.open_alerts()}
        return {subject for subject in subjects if subject.startswith(self._prefix)}

    async def _forget(self, subjects: Iterable[str]) -> None:
        every = list(subjects)
        for start in range(0, len(every), _CHUNK):
            self._remove(every[start : start + _CHUNK])
            await checkpoint()

    def _remove(self, subjects: Iterable[str]) -> None:
        for subject in subjects:
            self._subjects.discard(subject)
            self._alerts.remove_subject(subject)
