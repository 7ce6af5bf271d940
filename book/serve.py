"""A folder under an address of this machine, for a browser that tries what was built."""
from __future__ import annotations

import functools
import http.server
import pathlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Nobody reads thousands of requests."""


@contextmanager
def served(folder: pathlib.Path, handler: type[Quiet] = Quiet) -> Iterator[str]:
    """The address of the folder, as long as the block lasts."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()    # afterwards nobody answers, rather than nobody in time
