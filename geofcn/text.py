"""Text from files, made harmless before it is printed."""

from __future__ import annotations

# Characters of a message that are shown: of a longer one its beginning and its end, which says
# what to do.
LONGEST = 2000
SHARE_OF_BEGINNING = 2 / 3


def printable(text: str, longest: int = LONGEST) -> str:
    r"""One line that a terminal shows as it is, whoever wrote it.

    Names of files, layers and bands come from strangers: with line breaks or escapes in them they
    could forge a message, or set a terminal's state.

    Parameters
    ----------
    text : str
        From anywhere.
    longest : int
        Characters of it that are kept, besides those that stand for others.

    Returns
    -------
    str
        What is not printable as Python writes it in a string. A text that has gone through this
        stays as it is.

    Examples
    --------
    >>> print(printable("roofs\n\x1b[2J.tif"))
    roofs\n\x1b[2J.tif
    >>> printable("0123456789" * 10, longest=12)
    '01234567 ... 6789'
    """
    if len(text) > longest:
        beginning = int(longest * SHARE_OF_BEGINNING)
        text = f"{text[:beginning]} ... {text[len(text) - (longest - beginning) :]}"
    if text.isprintable():
        return text
    return "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text
    )
