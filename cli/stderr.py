"""What libraries print on stderr by themselves, kept apart from the messages of geofcn."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# What libtiff prints, several times over, of an error that GDAL raises and that is told already.
NOISE = re.compile(rb"_tiff\w+Proc: ")


@contextmanager
def without_noise() -> Iterator[None]:
    """Context in which only Python writes to stderr at once.

    What libraries written in C print there is kept to the end, and printed then but for NOISE.
    Where stderr is not the process's own, as in a test, nothing is done.
    """
    is_own = sys.stderr is sys.__stderr__
    own = sys.stderr
    if not is_own or own.fileno() != 2:
        yield
        return
    own.flush()
    with (
        tempfile.TemporaryFile() as kept,
        os.fdopen(os.dup(2), "w", buffering=1, encoding=own.encoding, errors=own.errors) as shown,
    ):
        os.dup2(kept.fileno(), 2)
        sys.stderr = shown
        try:
            yield
        finally:
            shown.flush()
            os.dup2(shown.fileno(), 2)
            sys.stderr = own
            kept.seek(0)
            os.write(2, b"".join(line for line in kept if not NOISE.match(line)))
