"""Numbers told with the same number of significant digits everywhere."""

import math

import pytest

from analysis.read.digits import show_digits


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (0.2, 2, "0.20"),
        (0.1999, 2, "0.20"),
        (1.004, 2, "1.0"),
        (99.96, 3, "100"),
        (307.0, 4, "307.0"),
        (-310.14, 4, "-310.1"),
        (9999.9, 4, "10,000"),
        (12345.6, 3, "12,300"),
        (1.37e6, 3, "1.37e+06"),
        (2.71e-9, 2, "2.7e-09"),
        (0.0, 3, "0"),
        (math.inf, 3, "inf"),
        (math.nan, 2, "nan"),
    ],
)
def test_a_number_has_as_many_significant_digits_as_asked_for(
    value: float, digits: int, shown: str
) -> None:
    assert show_digits(value, digits) == shown
