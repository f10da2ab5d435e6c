"""A machine far away, on 127.0.0.1: a web server that can be slow and drop lines."""

import http.server
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


class FarServer(http.server.ThreadingHTTPServer):
    """Serves a folder, with range requests.

    latency_s : waited before each answer
    drops : told the number of an answer, whether its line is cut after half of the bytes
    ranges : whether it knows range requests
    served, answers : bytes of content and answers sent so far
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), FarHandler)
        self.folder = folder
        self.latency_s = 0.0
        self.drops: Callable[[int], bool] = lambda _: False
        self.ranges = True
        self.served = self.answers = 0
        self.counting = threading.Lock()

    @property
    def url(self) -> str:
        """Address of the folder."""
        return f"http://127.0.0.1:{self.server_port}"


class FarHandler(http.server.BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    protocol_version = "HTTP/1.1"
    server: FarServer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        """Answer without content."""
        self._answer(with_content=False)

    def do_GET(self) -> None:
        """Answer with content."""
        self._answer(with_content=True)

    def _answer(self, *, with_content: bool) -> None:
        time.sleep(self.server.latency_s)
        path = self.server.folder / self.path.lstrip("/").partition("?")[0]
        if not path.is_file():
            self.send_error(404)
            return
        content, status = path.read_bytes(), 200
        tag = f'"{len(content)}-{path.stat().st_mtime_ns}"'
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and self.server.ranges:
            stop = int(asked[2]) + 1 if asked[2] else len(content)
            content, status = content[int(asked[1]) : stop], 206
        with self.server.counting:
            self.server.answers += 1
            drops = self.server.drops(self.server.answers)
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", tag)
        self.end_headers()
        if with_content:
            sent = content[: len(content) // 2] if drops else content
            self.wfile.write(sent)
            self.server.served += len(sent)
            self.close_connection = drops


@pytest.fixture
def far_server(tmp_path: Path) -> Iterator[FarServer]:
    """Serve tmp_path over http."""
    with FarServer(tmp_path) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
