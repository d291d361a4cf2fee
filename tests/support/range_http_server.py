"""Serves a folder over HTTP, parts of files included, as servers of COGs do.

    python range_http_server.py FOLDER

Prints the port, then a line for each part: first and last byte. In a process of its own, for
rasterio keeps Python's lock while it opens a URL.
"""

import re
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Ranges(SimpleHTTPRequestHandler):
    """Answers one range a request."""

    def do_GET(self) -> None:
        """Send the part that is asked for, else the whole file."""
        requested = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not requested:
            super().do_GET()
            return
        content = Path(self.translate_path(self.path)).read_bytes()
        first, last = int(requested[1]), min(int(requested[2]), len(content) - 1)
        print(first, last, flush=True)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        self.wfile.write(content[first : last + 1])

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranges, directory=sys.argv[1]))
    print(server.server_port, flush=True)
    server.serve_forever()
