"""The units as they come and go: what people call them."""

from typing import Any

import pytest

from hub.instruments.setting import Setting
from hub.nl43.config import NL43Config
from hub.runtime.clock import Clock
from hub.units.fleet import Fleet
from hub.units.unit import Unit
from tests.hub.fake_link import FakeLink, linked


@pytest.mark.parametrize(
    ("subject", "name", "label"),
    [
        ("unit/gate-a", "Gate A", "LCeq,15min"),
        ("unit/yard", "yard", "Leq,15min"),
        ("hub/rule/night-limit/gate-a", "Gate A", "LCeq,15min"),
        ("unit/gone", None, "Leq,15min"),
        ("equipment/fab/gate-a", None, "Leq,15min"),
        ("hub/receiver/gate-a", None, "Leq,15min"),
    ],
)
def test_a_subject_is_called_by_its_units_name_and_its_meters_weighting(
    subject: str, name: str | None, label: str
) -> None:
    clock = Clock()
    parts: Any = None  # no part is asked for a caption
    fleet = Fleet(parts, parts, parts, parts, clock, parts, lambda unit_id, settings: None, 1)
    for config in (NL43Config(id="gate-a", name="Gate A", host="meter"), NL43Config(id="yard", host="meter")):
        fleet.units[config.id] = Unit(config, clock, lambda event: None, linked(config, FakeLink(clock), clock))
    fleet.units["gate-a"].resume(None, {"Frequency Weighting (Main)": Setting("C", 0.0, 0.0)})
    caption = fleet.caption_of(subject)
    assert (caption.name, caption.metric_label("laeq_15m")) == (name, label)
