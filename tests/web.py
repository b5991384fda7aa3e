"""A real HTTP server on loopback, that serves files well or badly, as it is told."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How one request is answered. The default is how it should be."""

    hangs_up: bool = False  # instead of an answer
    status: int | None = None  # an error instead of the file
    stops_after: int | None = None  # bytes of the body, then the connection is closed
    holds_after: int | None = None  # bytes of the body, then it waits until it is let go
    crawls: bool = False  # a byte now and then
    length: int | None = None  # what it says of the body
    is_chunked: bool = False  # says nothing of it
    ignores_range: bool = False
    ignores_if_range: bool = False
    starts_late: int = 0  # by so many bytes too far into the file
    version: str | None = "content"  # its ETag is that of its content; None has none
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Web:
    """The files of the server, and what was asked for.

    Attributes:
        files: Contents by path.
        answers: By path, how the next requests are answered in turn; the last one stays.
        requests: Path and `Range` of every GET, in order.
        let_go: Set to end the waiting of `holds_after` and `crawls`.
        is_holding: Released once for each request that has begun to wait.
    """

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)
    is_holding: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def serve(self, path: str, contents: bytes, *answers: Answer) -> str:
        """Put a file onto the server; returns its address."""
        self.files[path] = contents
        self.answers[path] = list(answers) or [Answer()]
        return self.address + path

    def ranges(self, path: str) -> list[str | None]:
        """The `Range` of every request for a path."""
        return [place for requested, place in self.requests if requested == path]


@contextmanager
def web_server() -> Iterator[Web]:
    """A server on a free port, until the block ends."""

    class Handler(_Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Handler.web = web = Web(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        web.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Web

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        contents = self.web.files.get(self.path)
        if contents is None:
            return self.send_error(404)
        answer = self.web.answers[self.path][0]
        self._begin(answer, contents, answer.version)
        return None

    def do_GET(self) -> None:
        web = self.web
        web.requests.append((self.path, self.headers["Range"]))
        # A query that nothing was put onto the server for makes no difference.
        path = self.path if self.path in web.files else self.path.partition("?")[0]
        if path not in web.files:
            return self.send_error(404)
        answers = web.answers[path]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer.hangs_up:
            self.close_connection = True
            return None
        if answer.status is not None:
            self.send_response(answer.status)
            for name, value in (*answer.headers, ("Content-Length", "0")):
                self.send_header(name, value)
            return self.end_headers()
        contents = web.files[path]
        version = answer.version
        if version == "content":
            version = f'"{hashlib.sha256(contents).hexdigest()}"'
        body = self._begin(answer, contents, version)
        with contextlib.suppress(ConnectionError):  # The client has gone.
            self._send(answer, body)
        if answer.stops_after is not None or answer.length is not None:
            self.close_connection = True
        return None

    def _begin(self, answer: Answer, contents: bytes, version: str | None) -> bytes:
        """Send status and headers; returns the body."""
        start = 0
        asked = self.headers["Range"]
        is_same = answer.ignores_if_range or self.headers["If-Range"] in (None, version)
        if asked and is_same and not answer.ignores_range:
            start = int(asked.removeprefix("bytes=").removesuffix("-")) + answer.starts_late
            if start >= len(contents):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(contents)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return b""
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(contents) - 1}/{len(contents)}")
        else:
            self.send_response(200)
        body = contents[start:]
        if answer.is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(answer.length or len(body)))
        if version is not None:
            self.send_header("ETag", version)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        return body

    def _send(self, answer: Answer, body: bytes) -> None:
        if answer.crawls:
            for place in range(len(body)):
                self.wfile.write(body[place : place + 1])
                if self.web.let_go.wait(0.01):
                    return
        elif answer.is_chunked:
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        elif answer.holds_after is not None:
            self.wfile.write(body[: answer.holds_after])
            self.web.is_holding.release()
            self.web.let_go.wait()
            self.wfile.write(body[answer.holds_after :])
        else:
            self.wfile.write(body[: answer.stops_after])
