from hub.trace.quality import FailedRange, Quality, Status, Tally, worst

FAILED = FailedRange("a", "z", 26, "ORA-00942", "history")


def test_nothing_missing_is_complete() -> None:
    assert Tally(rows=3, done=2, batches=2).quality().document() == {
        "status": "complete",
        "reasons": [],
        "failed_ranges": [],
        "observed_rows": 3,
        "truncated": False,
    }


def test_some_batches_failed_is_partial_and_all_is_failed() -> None:
    assert Tally(done=2, batches=2, failed=[FAILED]).quality().status is Status.PARTIAL
    assert Tally(done=1, batches=1, failed=[FAILED]).quality().status is Status.FAILED


def test_a_failed_range_is_named() -> None:
    document = Tally(done=2, batches=2, failed=[FAILED]).quality().document()
    assert document["reasons"] == ["batch_failed"]
    assert document["failed_ranges"] == [
        {"domain": "history", "first": "a", "last": "z", "count": 26, "code": "ORA-00942"}
    ]


def test_a_limit_is_a_truncation_and_is_named() -> None:
    quality = Tally(rows=5, done=1, batches=3, limits={"row_cap": None}).quality()
    assert (quality.status, quality.document()["reasons"]) == (Status.TRUNCATED, ["row_cap"])
    assert quality.document()["truncated"] is True


def test_what_is_not_done_yet_is_never_complete() -> None:
    assert Tally(done=1, batches=2).quality().status is Status.PARTIAL
    assert Tally(done=0, batches=2).quality().status is Status.PARTIAL


def test_the_whole_is_no_better_than_its_worst_part() -> None:
    good, cut, bad = Quality(1), Quality(1, limits=("row_cap",)), Quality(0, (FAILED,), succeeded=False)
    assert worst([good, good]).status is Status.COMPLETE
    assert worst([good, cut]).status is Status.TRUNCATED
    assert worst([good, bad]).status is Status.PARTIAL
    assert worst([bad, bad]).status is Status.FAILED
    assert worst([good, cut, bad]).observed_rows == 2
