import pytest

from hub.trace.domains import DOMAINS, DomainName


def test_there_are_seven_domains() -> None:
    assert set(DOMAINS) == set(DomainName)
    assert len(DOMAINS) == 7


@pytest.mark.parametrize("name", DomainName)
def test_a_domain_names_its_columns_once_and_has_its_container(name: DomainName) -> None:
    names = DOMAINS[name].names
    assert len(set(names)) == len(names)
    assert {"CONTAINERID", "CONTAINERIDS"} & set(names)
    assert all(column.isidentifier() and column.isupper() for column in names)


def test_the_columns_of_history_are_those_that_were_asked_for() -> None:
    assert DOMAINS[DomainName.HISTORY].names[-5:] == (
        "CONTAINERNAME",
        "PJ_TYPE",
        "PJ_BOP",
        "PRODUCTLINENAME",
        "WAFER_LOT_ID",
    )
    assert len(DOMAINS[DomainName.HISTORY].names) == 16


def test_the_total_of_rejects_is_the_sum_of_its_five_parts() -> None:
    total = next(one for one in DOMAINS[DomainName.REJECTS].columns if one.endswith("REJECT_TOTAL_QTY"))
    assert total.count("NVL(") == 5
