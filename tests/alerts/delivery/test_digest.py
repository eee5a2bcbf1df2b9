from dataclasses import replace

from alerts.delivery.digest import digest_of, digest_room, digested, split
from alerts.delivery.formats.hub import FORMAT as HUB
from alerts.delivery.formats.rendering import size_in_digest
from alerts.model.delivery import deliveries_of
from tests.alerts.delivery.test_dispatcher import notice
from tests.alerts.fakes import START

MEMBERS = [d for n in range(5) for d in deliveries_of(notice(f"unit/u{n}"))]


def test_the_same_members_make_the_same_digest() -> None:
    again = [replace(member, attempts=0) for member in reversed(MEMBERS)]
    assert digest_of(MEMBERS, "site", HUB) == digest_of(again, "site", HUB)
    assert digest_of(MEMBERS[:2], "site", HUB).id != digest_of(MEMBERS[1:], "site", HUB).id


def test_a_digest_knows_the_alerts_it_tells_of() -> None:
    assert digest_of(MEMBERS, "site", HUB).alerts == {member.alert_id: (1, 1) for member in MEMBERS}


def test_members_are_marked_as_told_by_the_digest() -> None:
    digest = digest_of(MEMBERS, "site", HUB)
    *members, last = digested(MEMBERS, digest, START)
    assert last == digest
    assert {(member.state, member.digest_id) for member in members} == {("digested", digest.id)}


def test_a_digest_is_halved_down_to_its_messages_with_their_own_ids() -> None:
    left, ids = [(digest_of(MEMBERS, "site", HUB), MEMBERS)], []
    while left:
        digest, members = left.pop()
        parts, marks = split(digest, members, START, "site", HUB)
        assert {mark.id for mark in marks} == {digest.id, *(part.id for part in parts), *(m.id for m in members)}
        for part in parts:
            inside = [member for member in members if (member.alert_id, member.sequence) in part.members]
            if inside:
                left.append((part, inside))
            else:
                ids.append(part.id)
    assert sorted(ids) == sorted(member.id for member in MEMBERS)


def test_a_message_whose_document_could_not_be_stored_leaves_a_refused_digest_by_itself() -> None:
    bare = replace(MEMBERS[1], document="", body=b"{}")
    digest = digest_of(MEMBERS, "site", HUB)
    parts, _ = split(digest, [MEMBERS[0], bare, *MEMBERS[2:]], START, "site", HUB)
    assert [part.id for part in parts if part.type != "digest"] == [bare.id]
    told = {member for part in parts for member in part.members}
    assert told == {(one.alert_id, one.sequence) for one in MEMBERS} - {(bare.alert_id, bare.sequence)}


def test_a_digest_of_as_many_bytes_as_there_is_room_for_is_no_longer_than_allowed() -> None:
    hub = "h" * 200
    size = size_in_digest(MEMBERS[0], HUB)
    count = min(digest_room(HUB, hub) // size, HUB.digest_items)
    assert count > 20
    members = [replace(MEMBERS[0], id=str(number)) for number in range(count)]
    assert len(digest_of(members, hub, HUB).body) <= HUB.digest_bytes
