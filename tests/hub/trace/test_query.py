from hypothesis import given
from hypothesis import strategies as st

from hub.trace.domains import DOMAINS, DomainName
from hub.trace.query import batches, bound, distinct, event_query, padded

IDS = st.lists(st.text("0123456789abcdef", min_size=1, max_size=16), min_size=1, max_size=2500)


@given(IDS)
def test_batches_have_every_id_once_in_order(ids: list[str]) -> None:
    assert [each for batch in batches(distinct(ids), 999) for each in batch] == list(dict.fromkeys(ids))


@given(IDS)
def test_every_statement_of_a_domain_is_one_of_four(ids: list[str]) -> None:
    sizes = {len(event_query(DOMAINS[DomainName.HISTORY], batch).binds) for batch in batches(distinct(ids), 999)}
    assert sizes <= {1, 10, 100, 999}


def test_padding_repeats_the_last_id_and_adds_none() -> None:
    assert padded(["a", "b"]) == ["a", "b", *["b"] * 8]
    assert padded(["a"]) == ["a"]


def test_ids_are_stripped_and_empty_ones_left_out() -> None:
    assert distinct([" a ", "a", "", "  ", "b"]) == ["a", "b"]


def test_ids_are_bound_and_never_written_into_the_statement() -> None:
    query = event_query(DOMAINS[DomainName.HISTORY], ("x' OR '1'='1",))
    assert "OR '1'" not in query.sql
    assert query.binds == {"i0": "x' OR '1'='1"}


def test_jobs_never_have_more_than_fifty_patterns_in_a_statement() -> None:
    ids = tuple(f"{number:016x}" for number in range(50))
    assert DOMAINS[DomainName.JOBS].batch == 50
    assert event_query(DOMAINS[DomainName.JOBS], ids).sql.count("LIKE") == 50


def test_the_database_chooses_the_newest_row_of_each_group() -> None:
    sql = event_query(DOMAINS[DomainName.UPSTREAM_HISTORY], ("a",)).sql
    assert "PARTITION BY h.CONTAINERID, h.WORKCENTERNAME, h.EQUIPMENTID ORDER BY h.TRACKINTIMESTAMP DESC" in sql
    assert sql.endswith("WHERE RECENCY = 1")


def test_marks_and_values_belong_together() -> None:
    marks, binds = bound(["a", "b", "c"])
    assert marks.split(", ") == [f":{name}" for name in binds]
