from hypothesis import given
from hypothesis import strategies as st

from hub.cache.memory import Entry, Memory, Tier
from hub.runtime.clock import Clock


class StillClock(Clock):
    now_s = 1000.0

    def steady(self) -> float:
        return self.now_s


def entry(generation: int) -> Entry[int]:
    return Entry(generation, 0.0, generation, Tier.L1)


def test_an_entry_counts_as_checked_for_its_ttl_and_serves_longer() -> None:
    clock = StillClock()
    memory: Memory[int] = Memory(clock, ttl_s=30, size=2)
    memory.adopt("k", entry(1))
    clock.now_s += 29.9
    assert memory.use("k") == entry(1)
    clock.now_s += 0.1
    assert memory.use("k") is None
    assert memory.peek("k") == entry(1)
    memory.mark_checked("k")
    assert memory.use("k") == entry(1)


def test_what_was_dropped_is_unknown() -> None:
    memory: Memory[int] = Memory(StillClock(), ttl_s=30, size=2)
    memory.adopt("k", entry(1))
    memory.drop("k")
    memory.mark_checked("k")
    assert (memory.peek("k"), memory.use("k"), memory.keys()) == (None, None, [])


@given(st.lists(st.integers(1, 50), min_size=1))
def test_the_highest_generation_stays_in_whatever_order_they_come(generations: list[int]) -> None:
    memory: Memory[int] = Memory(StillClock(), ttl_s=30, size=2)
    taken = [generation for generation in generations if memory.adopt("k", entry(generation))]
    assert taken == sorted(set(taken))
    assert memory.peek("k") == entry(max(generations))


@given(st.lists(st.sampled_from("abcdef")), st.integers(1, 4))
def test_it_keeps_the_keys_used_last(keys: list[str], size: int) -> None:
    memory: Memory[int] = Memory(StillClock(), ttl_s=30, size=size)
    for key in keys:
        if memory.use(key) is None:
            memory.adopt(key, entry(1))
    expected = list(dict.fromkeys(reversed(keys)))[:size]
    assert memory.keys() == list(reversed(expected))
