import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.model.category import Category
from hub.equipment.aggregate import aggregate
from hub.equipment.machines import GONE, Plant, changes, dump_plant, machine_of, parse_plant
from hub.equipment.view import parse_rows
from hub.readings.snapshot import MachineChange
from tests.hub.equipment.plant import B2, C3, FIVE, LOT_1, view_rows
from tests.hub.equipment.scripted import machine

AT = datetime(2026, 3, 18, 3, 0, tzinfo=UTC)


def plant(*cells: dict[str, Any], generation: int = 1) -> Plant:
    records, tally = aggregate(parse_rows(view_rows(*cells), UTC)[0])
    return Plant(generation, AT, tuple(machine_of(record) for record in records), tally, 12.5)


def test_a_record_has_rfc_3339_times_and_lots() -> None:
    record = plant(*FIVE).machines[0].record()
    assert record["LATEST_TRACKIN_TIME"] == "2026-03-18T02:46:29.000Z"
    assert [lot["LOTTRACKINQTY_PCS"] for lot in record["LOT_DETAILS"]] == [30784, None]


def test_a_readers_copy_cannot_change_the_plant() -> None:
    one = plant(*FIVE)
    one.machines[0].record()["LOT_DETAILS"].clear()
    assert len(one.machines[0].record()["LOT_DETAILS"]) == 2
    with pytest.raises(TypeError):
        one.by_id["x"] = one.machines[0]  # type: ignore[index]


def test_filters_go_together() -> None:
    one = plant(*FIVE)
    assert [m.equipment_id for m in one.select(category="DOWN")] == ["GDBA-9002"]
    assert [m.equipment_id for m in one.select(status="PRD")] == ["GWBK-9001"]
    assert [m.equipment_id for m in one.select(q="gw")] == ["GWBK-9001", "GWSR-9003"]
    assert [m.equipment_id for m in one.select(category="INACTIVE", q="gw")] == ["GWSR-9003"]
    assert list(one.select(category="DOWN", status="PRD")) == []


def test_ratios_have_one_decimal_and_none_of_nothing_is_none() -> None:
    one = plant(machine(1, "PRD"), machine(2, "PRD"), machine(3, "UDT"))
    assert one.percent([Category.PRODUCTIVE], [Category.PRODUCTIVE, Category.DOWN]) == 66.7
    assert plant().percent([Category.PRODUCTIVE], list(Category)) is None


rows = st.lists(
    st.builds(
        machine,
        st.integers(0, 20),
        st.sampled_from(["PRD", "UDT", "設備-RUN", "X\n", None]),
        SPEC=st.text(max_size=5),
        RUNCARDLOTID=st.sampled_from(["l1", None]),
    ),
    max_size=8,
)


@given(rows)
def test_what_is_written_down_reads_the_same(cells: list[dict[str, Any]]) -> None:
    one = plant(*cells)
    assert parse_plant(dump_plant(one)) == one


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"\xff", b'{"tally":1}', dump_plant(plant(B2)) + b"\n{}"])
def test_anything_else_is_a_value_error(payload: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - JSON and Unicode errors are among them
        parse_plant(payload)


def test_each_machine_is_one_line() -> None:
    lines = dump_plant(plant(LOT_1, C3)).decode().split("\n")
    assert [json.loads(line).get("EQUIPMENTID") for line in lines[1:]] == ["GWBK-9001", "GWSR-9003"]


def test_changes_name_old_new_and_reason() -> None:
    now = plant(machine(1, "UDT", EQUIPMENTASSETSSTATUSREASON="Vacuum low"), machine(2, "PRD"), machine(4, "SBY"))
    known = {f"{1:016x}": "PRD", f"{2:016x}": "PRD", f"{3:016x}": "SBY"}
    assert changes("fab", known, now) == [
        MachineChange(f"equipment/fab/{1:016x}", "PRD", "UDT", AT, "Vacuum low"),
        MachineChange(f"equipment/fab/{4:016x}", None, "SBY", AT, None),
        MachineChange(f"equipment/fab/{3:016x}", "SBY", None, AT, GONE),
    ]


@given(rows, rows)
def test_applying_the_changes_to_the_old_statuses_gives_the_new(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    old = {m.resource_id: m.status for m in plant(*before).machines}
    new = plant(*after)
    replayed = {f"equipment/fab/{each}": status for each, status in old.items()}
    for change in changes("fab", old, new):
        assert replayed.get(change.subject) == change.old
        replayed[change.subject] = change.new
    expected = {f"equipment/fab/{m.resource_id}": m.status for m in new.machines}
    assert {k: v for k, v in replayed.items() if v} == {k: v for k, v in expected.items() if v}
