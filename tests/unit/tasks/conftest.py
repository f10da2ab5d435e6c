"""Machines far away, on 127.0.0.1: a web server that can be slow and drop lines, and moto's S3."""

import http.server
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of moto's S3 server."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from moto.moto_server.threaded_moto_server import ThreadedMotoServer
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a new bucket; the environment holds what it takes to reach it."""
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{uuid4().hex[:8]}"
    s3fs.S3FileSystem(use_listings_cache=False).mkdir(name)
    return f"s3://{name}"
