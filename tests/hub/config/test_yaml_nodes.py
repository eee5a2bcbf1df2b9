"""YAML syntax, and what is refused while it is parsed."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.config.problem import ConfigError
from hub.config.yaml_nodes import MAX_BYTES, MAX_DEPTH, Mapping, Scalar, Sequence, parse_nodes


def refusal(text: bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_nodes(text, "f.yaml")
    return str(caught.value)


def test_nodes_know_their_position() -> None:
    node = parse_nodes("a: [1, '2']\nbß: {c: d}\n".encode(), "f.yaml")
    assert isinstance(node, Mapping)
    (_, items), (second, inner) = node.entries
    assert isinstance(items, Sequence)
    assert [(str(item.position), item.plain) for item in items.items if isinstance(item, Scalar)] == [
        ("f.yaml:1:5", True),
        ("f.yaml:1:8", False),
    ]
    assert str(second.position) == "f.yaml:2:1"
    assert str(inner.position) == "f.yaml:2:5"


def test_an_empty_file_is_nothing() -> None:
    assert parse_nodes(b"", "f.yaml") is None
    assert parse_nodes(b"\xef\xbb\xbf# only a remark\n", "f.yaml") is None


def test_a_syntax_error_has_the_form_of_every_other_problem() -> None:
    assert refusal(b"a: [1\nb: 2\n").startswith("f.yaml:2:2: is not YAML: ")
    assert refusal(b"a: b: c\n").startswith("f.yaml:1:5: is not YAML: mapping values are not allowed")


def test_a_backslash_in_double_quotes_is_refused_with_the_advice_to_use_single_quotes() -> None:
    assert refusal(rb'pattern: "\d+"').endswith("; in single quotes, '…', a backslash stands for itself")


def test_what_is_not_text_is_refused() -> None:
    assert refusal(b"a: 1\nb: \xff\n") == "f.yaml:2:1: is not UTF-8 text"
    assert refusal("ä: 1\nö: \a\n".encode()) == "f.yaml:2:4: the character #x07 is not allowed"


def test_tags_are_refused() -> None:
    assert "tags" in refusal(b"a: !!python/object/apply:os.system [ls]\n")


def test_two_documents_are_refused() -> None:
    assert refusal(b"a: 1\n---\nb: 2\n").startswith("f.yaml:2:1: only one")


def test_an_alias_without_its_anchor_is_refused() -> None:
    assert "no anchor &x" in refusal(b"a: *x\n")
    assert "no anchor &x" in refusal(b"a: &x [*x]\n")


def test_huge_deep_and_exploding_files_are_refused() -> None:
    assert "larger than" in refusal(b" " * (MAX_BYTES + 1))
    assert "nested deeper" in refusal(b"[" * (MAX_DEPTH + 5) + b"]" * (MAX_DEPTH + 5))
    bomb = "\n".join(["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)])
    assert "fewer aliases" in refusal(bomb.encode())
    chain = "\n".join(["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 2000)])
    assert "fewer aliases" in refusal(chain.encode())


@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(str.encode)
    | st.text("[]{}:,-&*a !|>\n'\"", max_size=60).map(str.encode)
)
def test_anything_is_a_tree_or_a_problem(text: bytes) -> None:
    with suppress(ConfigError):
        parse_nodes(text, "f.yaml")


LISTS = ["[" + "1," * 2_000_000 + "1]", "- x\n" * 900_000, "{a: " + "[1, 2], b: " * 300_000 + "1}"]


@pytest.mark.parametrize("text", LISTS, ids=["flow", "block", "mapping"])
def test_a_list_that_is_far_too_long_is_refused_before_it_is_read_to_its_end(text: str) -> None:
    assert "f.yaml:1:1: has more than 10,000 entries" in refusal(text[: MAX_BYTES - 1].encode())


def test_very_many_values_are_refused_before_they_are_all_there() -> None:
    assert "more than 200,000 values" in refusal(("- [" + ", ".join(["1"] * 100) + "]\n").encode() * 9_000)


def test_an_alias_that_unfolds_behind_the_scenes_is_refused() -> None:
    levels = [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 20)}]}}" for n in range(1, 9)]
    merged = "\n".join(["a0: &a0 {x: 1, y: 2}", *levels])
    assert "fewer aliases" in refusal(merged.encode())


@pytest.mark.parametrize("text", ["a:\t1\n", "a: 'x\ty'\n", "a: [1,\t2]\n", "a: |\n  x\n  \ty\n"])
def test_a_tab_that_is_no_indentation_is_fine(text: str) -> None:
    assert parse_nodes(text.encode(), "f.yaml") is not None
