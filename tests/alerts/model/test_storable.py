from hypothesis import given
from hypothesis import strategies as st

from alerts.model.storable import storable


@given(st.text(st.characters(codec=None)))
def test_a_storable_text_can_be_encoded_and_is_the_same_where_it_could_be(given_text: str) -> None:
    made = storable(given_text)
    assert "\0" not in made.encode().decode()
    assert len(made) == len(given_text)
    assert all(a == b or b == "\N{REPLACEMENT CHARACTER}" for a, b in zip(given_text, made, strict=True))
    assert storable(made) == made
