"""Numbers as text: the same number of significant digits in sentences, menus and cards."""

from __future__ import annotations

import math


def show_digits(value: float, digits: int) -> str:
    """Return a number with so many significant digits, zeros at its end included.

    Powers of ten are written only from a million on and below a ten-thousandth.

    >>> show_digits(0.2, 2), show_digits(1.004, 2), show_digits(307.0, 4), show_digits(12345.6, 3)
    ('0.20', '1.0', '307.0', '12,300')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    rounded = float(f"{value:.{digits - 1}e}")
    if 10**digits <= abs(rounded) < 1e6:
        return f"{rounded:,.0f}"
    return f"{value:#.{digits}g}".removesuffix(".")
