"""What the folder of a run holds, to be compared with another one's."""

import re
from pathlib import Path


def contents(run: Path) -> dict[str, bytes]:
    """File -> its bytes; of the report without its date and the name of the folder."""
    files = {path.name: path.read_bytes() for path in run.iterdir()}
    if "report.html" in files:
        page = re.sub(rb"<time.*?</time>", b"", files["report.html"])
        files["report.html"] = page.replace(bytes(run.absolute()), b"RUN")
    return files
