import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.core.encoding import Encoding, converted

SCALES = st.tuples(st.floats(0.01, 100), st.floats(-50, 50))


def encoding(dtype: str, *bands: tuple[float, float]) -> Encoding:
    return Encoding(dtype, *map(tuple, zip(*bands, strict=True)))


@given(SCALES, SCALES, st.integers(0, 65535))
def test_a_converted_value_stands_for_the_same(own, other, value):
    conversion = encoding("uint16", own).conversion_to(encoding("uint8", other))
    shown = converted(np.full((1, 1, 1), value, np.uint16), conversion)
    assert shown.dtype == np.float32
    stands_for = own[0] * value + own[1]
    assert shown[0, 0, 0] == pytest.approx((stands_for - other[1]) / other[0], rel=1e-5, abs=1e-3)


def test_bands_have_scales_of_their_own():
    conversion = encoding("uint8", (2, 0), (1, -10)).conversion_to(
        encoding("uint8", (1, 0), (5, 0))
    )
    shown = converted(np.array([[[3]], [[20]]], np.uint8), conversion)
    assert shown[:, 0, 0].tolist() == [6, 2]


def test_the_same_encoding_needs_no_conversion():
    assert encoding("uint8", (0.1, 3)).conversion_to(encoding("uint8", (0.1, 3))) == ()


def test_values_of_another_type_that_nothing_is_known_of_cannot_be_converted():
    deep, plain = encoding("uint16", (1, 0)), encoding("uint8", (1, 0))
    for one, other in ((deep, plain), (plain, deep)):
        with pytest.raises(ValueError, match="int"):
            one.conversion_to(other)
