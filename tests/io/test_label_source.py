"""How labels are named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.errors import UsageError
from geofcn.io.label_source import LabelSource


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a b.gpkg", LabelSource("a b.gpkg")),
        ("a.gpkg|layername=big houses", LabelSource("a.gpkg", "big houses")),
        ("a.gpkg|subset=a || b = 'x|y'", LabelSource("a.gpkg", None, "a || b = 'x|y'")),
        ("a.gpkg|layername=l|geometrytype=Polygon|subset=n", LabelSource("a.gpkg", "l", "n")),
        ("a.tif|house=1,2.5", LabelSource("a.tif", None, None, (1.0, 2.5))),
        ("a.tif|shift=1.5,-2|subset=n", LabelSource("a.tif", None, "n", (), (1.5, -2.0))),
    ],
)  # fmt: skip
def test_names_in_the_form_of_qgis(name, source):
    assert LabelSource.of(name) == source


def test_what_is_given_besides_is_added_to_the_name():
    source = LabelSource.of("a.gpkg|subset=n > 1", layer="m")
    assert source == LabelSource("a.gpkg", "m", "n > 1")
    assert LabelSource.of("a.tif", house_values=[2]).house_values == (2.0,)


def test_a_file_with_a_bar_in_its_name_is_that_file(tmp_path):
    path = tmp_path / "a|layername=b.gpkg"
    path.touch()
    assert LabelSource.of(path) == LabelSource(str(path))


@pytest.mark.parametrize(
    "name",
    ["a.gpkg|layer=b", "a.gpkg|layerid=0", "a.tif|house=one", "a.tif|", "a.tif|shift=1",
     "a.tif|shift=1,2,3", "a.tif|shift=1,inf", "a.tif|shift=1,x"],
)  # fmt: skip
def test_what_has_no_meaning_is_refused(name):
    with pytest.raises(UsageError, match=r"has no meaning|is no number|give two numbers") as caught:
        LabelSource.of(name)
    assert str(caught.value).startswith(f"{name}: ")


words = st.text(st.characters(exclude_characters="|/\\", codec="ascii", categories="L"), min_size=1)


@given(
    layer=st.none() | words,
    where=st.none() | st.text(st.sampled_from("a|=1' "), min_size=1),
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3),
)
def test_a_source_is_told_by_its_text(layer, where, values):
    source = LabelSource("no-such-file", layer, where, tuple(values))
    assert LabelSource.of(str(source)) == source


@pytest.mark.parametrize(
    "options",
    [{"layer": "parcels"}, {"where": "height < 2"}, {"house_values": [2]}],
)
def test_what_is_said_twice_must_be_the_same(options):
    name = "town.gpkg|layername=roofs|house=1|subset=height > 2"
    with pytest.raises(UsageError, match=r"after the \| and by an option"):
        LabelSource.of(name, **options)
    same = {"layer": "roofs", "where": "height > 2", "house_values": [1]}
    assert LabelSource.of(name, **same) == LabelSource.of(name)
