"""What the folder of a run holds, to be compared with another one's."""

import re
from hashlib import sha256
from pathlib import Path


def contents(run: Path) -> dict[str, str]:
    """File -> the hash of its bytes, without the name of the folder and the date of the report.

    Hashes, for pytest takes minutes to show how files differ.
    """
    return {path.name: sha256(_content(path, run)).hexdigest() for path in run.iterdir()}


def _content(path: Path, run: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".html":
        content = re.sub(rb"<time.*?</time>", b"", content)
    return content.replace(bytes(run.absolute()), b"RUN")
