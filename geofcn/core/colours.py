"""Colours of what became of houses, the same in pictures, reports and QGIS styles.

Red, green and blue, 0-255, of a palette that colour-blind eyes tell apart (Okabe and Ito, 2008).
"""

Colour = tuple[int, int, int]

FOUND: Colour = (86, 180, 233)
FALSE_ALARM: Colour = (213, 94, 0)
MISSED: Colour = (240, 228, 66)
NOT_LABELLED: Colour = (204, 121, 167)


def hex_of(colour: Colour) -> str:
    """A colour as pages and plots take it.

    Examples
    --------
    >>> hex_of(FALSE_ALARM)
    '#d55e00'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)
