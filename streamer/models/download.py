"""Downloading one large file over HTTP: resumed when it breaks off, given up when it crawls."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import requests
import urllib3

from streamer import __version__
from streamer.errors import ModelError

# Called with how many bytes are here, and how many there will be, None if the server does not say.
Progress = Callable[[int, int | None], object]

CONNECT_S = 10.0
SILENCE_S = 30.0  # without a byte
# A server that sends less than this in each window will not be done today: 400 MB in two days.
RATE_WINDOW_S, LEAST_BYTES_PER_WINDOW = 30.0, 60_000
# Before each further try at what may pass: a connection that broke, a server that was overloaded.
PAUSES_S = (0.5, 2.0, 4.0, 8.0)
CHUNK = 1 << 16


class DownloadError(ModelError):
    """One address does not give the file; another one may."""


class _PassingError(Exception):
    """What may be gone when it is tried again."""


def download(url: str, part: Path, on_progress: Progress) -> None:
    """Download a file, going on where an earlier attempt ended if the server agrees.

    Beside `part`, a file with `.json` added to its name remembers which version of which file it is
    a part of. Whoever calls this holds a lock on both.

    Args:
        url: Its address, http or https.
        part: Where it goes. What has arrived stays there whatever happens.
        on_progress: Called after every piece.

    Raises:
        DownloadError: The server cannot be reached, refuses, breaks off or crawls.
        OSError: The file cannot be written.
    """
    for pause_s in (*PAUSES_S, None):
        try:
            _fetch(url, part, on_progress)
        except _PassingError as error:
            if pause_s is None:
                raise DownloadError(str(error)) from error
            time.sleep(pause_s)
        else:
            return


def forget(part: Path) -> None:
    """Remove what has arrived, because it is of no use."""
    for path in (part, _memory(part)):
        path.unlink(missing_ok=True)


def _fetch(url: str, part: Path, on_progress: Progress) -> None:
    headers = {"User-Agent": f"streamer/{__version__}", "Accept-Encoding": "identity"}
    n_bytes, version = _arrived(url, part)
    if version:
        # Only if it is still the same file: otherwise the server sends the new one from its start.
        headers |= {"Range": f"bytes={n_bytes}-", "If-Range": version}
    with _response(url, headers) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            if response.headers.get("Content-Range") == f"bytes */{n_bytes}":
                return  # It was complete.
            forget(part)
            raise _PassingError("what had arrived is not a part of the file any more")
        if response.status_code in (408, 429) or response.status_code >= 500:
            raise _PassingError(f"HTTP {response.status_code} {response.reason}")
        if not response.ok:
            raise DownloadError(f"HTTP {response.status_code} {response.reason}")
        total = _length(response)
        if response.status_code == requests.codes.partial_content:
            place = response.headers.get("Content-Range", "")
            # The version need not be said again.
            is_other = _version(response) not in ("", version)
            if is_other or not place.startswith(f"bytes {n_bytes}-"):
                forget(part)
                raise _PassingError(f"the server sends another part than was asked for ({place})")
            total = total and n_bytes + total
        else:
            n_bytes = 0
            forget(part)
            _memory(part).write_text(json.dumps({"url": url, "version": _version(response)}))
        _receive(response, part, n_bytes, total, on_progress)


def _receive(
    response: requests.Response,
    part: Path,
    n_bytes: int,
    total: int | None,
    on_progress: Progress,
) -> None:
    """Append the body of a response, of which `n_bytes` of `total` are here already."""
    pace = Pace(time.monotonic())
    on_progress(n_bytes, total)
    with part.open("ab") as file:
        while data := _piece(response):
            file.write(data)
            file.flush()  # What has arrived is kept, even if this is killed.
            n_bytes += len(data)
            on_progress(n_bytes, total)
            if pace.is_too_slow(len(data), time.monotonic()):
                raise DownloadError(
                    f"it sent less than {LEAST_BYTES_PER_WINDOW:,} bytes in {RATE_WINDOW_S:.0f} s"
                )
    if total is not None and n_bytes != total:
        raise _PassingError(f"it broke off after {n_bytes:,} of {total:,} bytes")


class Pace:
    """Tells a slow connection from a hopeless one."""

    def __init__(self, now_s: float) -> None:
        self._window_start_s = now_s
        self._n_bytes = 0

    def is_too_slow(self, n_bytes: int, now_s: float) -> bool:
        """Whether a window has ended, with these bytes, in which too few came."""
        self._n_bytes += n_bytes
        if now_s - self._window_start_s < RATE_WINDOW_S:
            return False
        n_in_window, self._n_bytes = self._n_bytes, 0
        self._window_start_s = now_s
        return n_in_window < LEAST_BYTES_PER_WINDOW


def _response(url: str, headers: dict[str, str]) -> requests.Response:
    """The answer of a server, whose body is not read yet."""
    try:
        return requests.get(url, headers=headers, stream=True, timeout=(CONNECT_S, SILENCE_S))
    except requests.exceptions.ReadTimeout as error:
        raise _PassingError(f"it did not answer within {SILENCE_S:.0f} s") from error
    except requests.exceptions.ProxyError as error:
        raise DownloadError(f"the proxy that is set: {_reason(error)}") from error
    # Where it leads may be no address: of some `requests` lets the ValueError through.
    except (requests.RequestException, ValueError) as error:
        # Without a network none will come in seconds; but something has arrived over this one.
        if isinstance(error, requests.ConnectionError) and "Range" in headers:
            raise _PassingError(_reason(error)) from error
        raise DownloadError(_reason(error)) from error


def _piece(response: requests.Response) -> bytes:
    """The next bytes of the body as they come, undecoded; empty at its end."""
    try:
        # Not `read`, which would wait for a whole chunk of them, however slowly they come.
        piece: bytes = response.raw.read1(CHUNK)
    except urllib3.exceptions.ReadTimeoutError as error:
        raise _PassingError(f"it sent nothing for {SILENCE_S:.0f} s") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _PassingError(f"it broke off: {_reason(error)}") from error
    return piece


def _reason(error: BaseException) -> str:
    """What lies at the bottom of an error of `requests`, in the words of the system."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return str(getattr(error, "strerror", None) or error)


def _length(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _version(response: requests.Response) -> str:
    """What tells this version of the file from others; empty if nothing does."""
    etag = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):  # A weak one does not promise the same bytes.
        return etag
    return response.headers.get("Last-Modified", "")


def _arrived(url: str, part: Path) -> tuple[int, str]:
    """How much of the file is here, and of which version; empty if it cannot be resumed."""
    try:
        n_bytes = part.stat().st_size
        memory = json.loads(_memory(part).read_text())
        url_then, version = memory["url"], memory["version"]
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return 0, ""
    return (n_bytes, version) if n_bytes and url_then == url else (0, "")


def _memory(part: Path) -> Path:
    return part.with_name(part.name + ".json")
