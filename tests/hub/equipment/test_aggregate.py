from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hub.equipment.aggregate import Record, Tally, aggregate
from hub.equipment.view import JOB_COLUMNS, STATUS_CATEGORY, Row, parse_rows
from tests.hub.equipment.plant import A1, B2, FIVE, LOT_1, view_rows

KEYS = {
    *("RESOURCEID", "EQUIPMENTID", "OBJECTCATEGORY", "EQUIPMENTASSETSSTATUS", "EQUIPMENTASSETSSTATUSREASON"),
    *("STATUS_CATEGORY", "JOBORDER", "JOBMODEL", "JOBSTAGE", "JOBID", "JOBSTATUS", "CREATEDATE", "CREATEUSERNAME"),
    *("CREATEUSER", "TECHNICIANUSERNAME", "TECHNICIANUSER", "SYMPTOMCODE", "CAUSECODE", "REPAIRCODE"),
    *("LOT_COUNT", "LOT_DETAILS", "TOTAL_TRACKIN_QTY", "LATEST_TRACKIN_TIME"),
}


def machines(*cells: dict[str, Any]) -> tuple[list[Record], Tally]:
    return aggregate(parse_rows(view_rows(*cells), UTC)[0])


def test_five_rows_make_three_machines() -> None:
    records, tally = machines(*FIVE)
    a1, b2, c3 = records
    assert len(KEYS) == 23
    assert all(set(record) == KEYS | {"JOBS", "flags"} for record in records)
    assert (a1["STATUS_CATEGORY"], a1["LOT_COUNT"], a1["TOTAL_TRACKIN_QTY"]) == ("PRODUCTIVE", 2, 30784)
    assert a1["LATEST_TRACKIN_TIME"] == datetime(2026, 3, 18, 2, 46, 29, tzinfo=UTC)
    assert a1["LOT_DETAILS"][0]["PACKAGE"] == "SOT-23"
    assert a1["LOT_DETAILS"][0]["FUNCTION"] == "TVS/ESD"
    assert a1["LOT_DETAILS"][1]["LOTTRACKINQTY_PCS"] is None
    assert a1["flags"]["qty_missing"] == 1
    assert (b2["STATUS_CATEGORY"], b2["LOT_COUNT"], b2["TOTAL_TRACKIN_QTY"]) == ("DOWN", 0, 0)
    assert (b2["LATEST_TRACKIN_TIME"], b2["JOBID"]) == (None, "50001680000000j1")
    assert c3["STATUS_CATEGORY"] == "INACTIVE"
    assert all(c3[name] is None for name in (*JOB_COLUMNS, "LATEST_TRACKIN_TIME"))
    assert tally == Tally(rows=5, machines=3)


def test_a_row_without_id_is_dropped_and_counted() -> None:
    records, tally = machines({"EQUIPMENTID": "x"}, {"RESOURCEID": "  "}, B2)
    assert len(records) == 1
    assert tally.rows_without_id == 2


def test_a_quantity_without_a_lot_is_not_in_the_total() -> None:
    [a1], _ = machines(LOT_1, A1 | {"LOTTRACKINQTY_PCS": 7})
    assert a1["TOTAL_TRACKIN_QTY"] == 30784
    assert a1["flags"]["unassigned_qty"] == 7


def test_a_lot_with_two_quantities_keeps_the_latest_and_says_so() -> None:
    later = LOT_1 | {"LOTTRACKINQTY_PCS": 10, "LOTTRACKINTIME": "2026-03-19T00:00:00"}
    undated = LOT_1 | {"LOTTRACKINQTY_PCS": 99, "LOTTRACKINTIME": None}
    [a1], _ = machines(undated, later, LOT_1)
    assert a1["LOT_COUNT"] == 1
    assert a1["TOTAL_TRACKIN_QTY"] == 10
    assert a1["flags"]["qty_conflict"] is True


def test_a_known_quantity_of_a_lot_wins_over_a_missing_one() -> None:
    [a1], _ = machines(LOT_1 | {"LOTTRACKINQTY_PCS": None}, LOT_1)
    assert a1["TOTAL_TRACKIN_QTY"] == 30784
    assert a1["flags"]["qty_conflict"] is False
    assert a1["flags"]["qty_missing"] == 0


def test_rows_that_disagree_on_the_status_take_the_worst_in_any_order() -> None:
    down = A1 | {"EQUIPMENTASSETSSTATUS": "SDT", "EQUIPMENTASSETSSTATUSREASON": "PM"}
    for pair in ((LOT_1, down), (down, LOT_1)):
        [a1], tally = machines(*pair)
        assert (a1["EQUIPMENTASSETSSTATUS"], a1["EQUIPMENTASSETSSTATUSREASON"]) == ("SDT", "PM")
        assert a1["flags"]["status_conflict"] is True
        assert tally.conflicts == 1


def test_several_open_jobs_are_listed_and_the_first_is_shown() -> None:
    second = B2 | {"JOBID": "j2", "JOBSTATUS": "Wait"}
    [b2], _ = machines(B2, second, B2)
    assert [job["JOBID"] for job in b2["JOBS"]] == [B2["JOBID"], "j2"]
    assert b2["JOBSTATUS"] == "Open"


def test_an_unknown_code_stays_visible_and_is_counted() -> None:
    [machine], tally = machines({"RESOURCEID": "x", "EQUIPMENTASSETSSTATUS": "ZZZ "})
    assert (machine["EQUIPMENTASSETSSTATUS"], machine["STATUS_CATEGORY"]) == ("ZZZ", "OTHER")
    assert tally.unknown_codes == {"ZZZ": 1}


def test_no_rows_are_no_machines() -> None:
    assert aggregate([]) == ([], Tally())


cells = st.fixed_dictionaries(
    {
        "RESOURCEID": st.sampled_from(["a", "b", "c", " a ", None, ""]),
        "EQUIPMENTASSETSSTATUS": st.sampled_from(["PRD", "UDT", "XXX", None]),
        "JOBID": st.sampled_from(["j1", "j2", None]),
        "RUNCARDLOTID": st.sampled_from(["l1", "l2", "l1  ", None, "NaT"]),
        "LOTTRACKINQTY_PCS": st.sampled_from([1, 2.5, 3.0, None, float("nan")]),
        "LOTTRACKINTIME": st.sampled_from(["2026-01-01", "2026-01-02T03:04:05", None, "NaT", "?"]),
    }
)


@given(st.lists(cells, max_size=12))
def test_it_agrees_with_a_naive_reading_of_the_table(raw: list[dict[str, Any]]) -> None:
    rows, _ = parse_rows(view_rows(*raw), UTC)
    records, tally = aggregate(rows)
    ids = list(dict.fromkeys(row["RESOURCEID"] for row in rows if row["RESOURCEID"]))
    assert [record["RESOURCEID"] for record in records] == ids
    assert tally.rows == len(raw)
    assert tally.rows_without_id == sum(not row["RESOURCEID"] for row in rows)
    for record in records:
        own = [row for row in rows if row["RESOURCEID"] == record["RESOURCEID"]]
        assert record["LOT_COUNT"] == len({row["RUNCARDLOTID"] for row in own} - {None})
        assert record["TOTAL_TRACKIN_QTY"] == naive_total(own)
        assert record["LATEST_TRACKIN_TIME"] == max(
            (row["LOTTRACKINTIME"] for row in own if row["LOTTRACKINTIME"]), default=None
        )
        assert record["flags"]["status_conflict"] == (len({row["EQUIPMENTASSETSSTATUS"] for row in own}) > 1)
        assert {job["JOBID"] for job in record["JOBS"]} == {row["JOBID"] for row in own} - {None}
        assert record["STATUS_CATEGORY"] == STATUS_CATEGORY.get(record["EQUIPMENTASSETSSTATUS"] or "", "OTHER")


def naive_total(rows: list[Row]) -> float:
    total = 0.0
    for lot in {row["RUNCARDLOTID"] for row in rows} - {None}:
        known = [row for row in rows if row["RUNCARDLOTID"] == lot and row["LOTTRACKINQTY_PCS"] is not None]
        if known:
            dated = [row for row in known if row["LOTTRACKINTIME"]]
            latest = max((row["LOTTRACKINTIME"] for row in dated), default=None)
            winners = [row for row in dated if row["LOTTRACKINTIME"] == latest] or known
            total += winners[0]["LOTTRACKINQTY_PCS"]
    return total


@given(st.lists(cells, max_size=8), st.randoms(use_true_random=False))
def test_the_status_does_not_depend_on_the_order_of_rows(raw: list[dict[str, Any]], random: Any) -> None:
    shuffled = raw.copy()
    random.shuffle(shuffled)
    first, second = machines(*raw)[0], machines(*shuffled)[0]
    statuses = [{m["RESOURCEID"]: m["EQUIPMENTASSETSSTATUS"] for m in records} for records in (first, second)]
    assert statuses[0] == statuses[1]
