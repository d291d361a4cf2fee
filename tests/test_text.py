"""geofcn.text: what strangers wrote cannot forge a message."""

from hypothesis import given
from hypothesis import strategies as st

from geofcn.errors import SceneError
from geofcn.text import printable


@given(st.text())
def test_any_text_is_one_printable_line_and_stays_so(text):
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown


@given(st.text(st.characters(categories=["L", "N"]), max_size=2000))
def test_letters_of_any_script_stay(text):
    assert printable(text) == text


def test_a_long_text_keeps_its_beginning_and_its_end():
    shown = printable("a.tif: " + "x" * 30_000_000 + "; mend it.")
    assert len(shown) < 2010
    assert shown.startswith("a.tif: xx") and shown.endswith("; mend it.")


def test_a_file_name_that_is_no_text_is_shown():
    assert printable(b"a\xff.tif".decode(errors="surrogateescape")) == "a\\udcff.tif"


def test_a_message_is_harmless_however_it_is_shown():
    error = SceneError("\x1b[2J\nall is well.tif: it is not.")
    assert str(error) == r"\x1b[2J\nall is well.tif: it is not."
