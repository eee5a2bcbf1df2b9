from time import thread_time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hub.line.lines import LONGEST
from hub.line.pattern import compile_pattern

TOO_LONG_S = 0.25  # ten times what the worst patterns that are let through take

USUAL = [
    r"^0R0,Dm=(?P<direction>\d+)D,Sm=(?P<wind>[\d.]+)M,Ta=(?P<temperature>-?[\d.]+)C",
    r"\s*(?P<temperature>[-+]?\d+(?:[.,]\d+)?)\s*°?C?\s*$",
    r"\$WIMWV,(?P<direction>\d+),R,(?P<wind>\d+(?:\.\d+)?),N,A\*[0-9A-F]{2}",
    r"\x02Q,(?P<direction>\d*),(?P<wind>\d+\.\d+),M,00,\x03",
    r"(?:[^,]*,){5}(?P<humidity>\d+)",
    r".*T=(?P<temperature>-?\d+(?:\.\d+)?)",
    r"(?P<temperature>\d+\.?\d*) ?C",
    r"(?:T|TEMP)[:=](?P<temperature>.*?);",
    r"(?:,\d+)*;(?P<count>\d+)",
]
CATASTROPHIC = [
    r"(a+)+$",
    r"([a-zA-Z]+)*$",
    r"(a|a)*b",
    r"(a|aa)+$",
    r"(a|a?)+$",
    r"(.*)*x",
    r"(.*a){20}",
    r".*.*.*=x",
    r"(\w+\s?)*$",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(x+x+)+y",
    r"(?:a?){25}a{25}",
    r"(?P<a>\d+\.?\d*),(?P<b>\d+\.?\d*),(?P<c>\d+\.?\d*);",
    r"\d+\d+\d+\d+x",
    r"(?:a?b?c?)+x",
]


@pytest.mark.parametrize("text", USUAL)
def test_a_usual_pattern_is_taken(text: str) -> None:
    compile_pattern(text)


@pytest.mark.parametrize("text", CATASTROPHIC)
def test_a_pattern_that_could_take_too_long_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"instead of \.\*"):
        compile_pattern(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "is no regular expression: unterminated character set"),
        ("[[a]b]", "is no regular expression: Possible nested set"),
        ("(?P<a>x)(?P<a>y)", "is no regular expression: redefinition of group name 'a'"),
        ("(?i)abc", r"no flags such as \(\?i\)"),
        ("a(?i:b)", r"no flags such as \(\?i\)"),
        ("(?x) a b", r"no flags such as \(\?i\)"),
        (r"(?P<a>\d+)(?=x)", "no look-ahead"),
        (r"(?<!x)a", "no look-ahead"),
        (r"(?P<a>\d)(?P=a)", "reference to a group"),
        ("a" * 501, "at most 500 characters"),
        ("(" * 60 + "a" + "){20}" * 60, "too many groups"),
        ("(?:" * 80 + "a" + "b)+" * 80, "too many groups"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compile_pattern(text)


CHARACTERS = st.sampled_from(["a", "b", ",", "1", ".", "[ab]", "[^,]", r"\d", r"\w", r"\D", "[^a]"])
REPEATS = st.sampled_from(["", "", "*", "+", "?", "*?", "+?", "??", "{0,3}", "{2}", "{2,}", "*+"])
ENDS = st.sampled_from(["", "$", "x", r"\b", ",$"])


ATOMS = st.builds("{}{}".format, CHARACTERS, REPEATS)
BRANCHES = st.lists(st.lists(ATOMS, max_size=3).map("".join), min_size=1, max_size=3).map("|".join)
GROUPS = st.builds("({}){}".format, BRANCHES, REPEATS)
NESTED = st.builds("({}{}{}){}".format, ATOMS, GROUPS, ATOMS, REPEATS)
ITEMS = st.lists(st.one_of(ATOMS, GROUPS, NESTED), max_size=6).map("".join)
PATTERNS = st.builds("{}{}".format, ITEMS, ENDS)
LINES = st.builds(
    lambda part, tail: (part * LONGEST)[: LONGEST - len(tail)] + tail,
    st.text("ab,1;", min_size=1, max_size=4),
    st.text("ab,1;x", max_size=3),
)


@settings(max_examples=300)
@given(PATTERNS, st.lists(LINES, min_size=3, max_size=3))
def test_no_pattern_that_is_taken_holds_a_line_for_long(text: str, lines: list[str]) -> None:
    try:
        pattern = compile_pattern(text)
    except ValueError:
        assume(False)
    for line in lines:
        began_s = thread_time()
        pattern.match(line)
        assert thread_time() - began_s < TOO_LONG_S


def test_the_most_ways_that_are_let_through_take_milliseconds() -> None:
    pattern = compile_pattern(r".*a?[ab]*c*d")
    began_s = thread_time()
    assert pattern.match("a" * LONGEST) is None
    assert thread_time() - began_s < TOO_LONG_S
