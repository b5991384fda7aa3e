"""What is downloaded is the file as it is on the server, however badly the server behaves."""

from __future__ import annotations

import gzip
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from web import Answer, Web, web_server

from streamer.models import download as downloading
from streamer.models.download import DownloadError, Pace, download

CONTENTS = random.Random(0).randbytes(200_000)
OTHER = random.Random(1).randbytes(150_000)
HALF = 100_000


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as web:
        yield web


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "PAUSES_S", (0.0, 0.0))


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "file.part"


def quietly(_n_bytes: int, _total: int | None) -> None:
    pass


def test_a_file_arrives_with_progress(web: Web, part: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    download(
        web.serve("/file", CONTENTS), part, lambda n_bytes, total: seen.append((n_bytes, total))
    )
    assert part.read_bytes() == CONTENTS
    assert seen == sorted(seen)
    assert seen[0] == (0, len(CONTENTS))
    assert seen[-1] == (len(CONTENTS), len(CONTENTS))


def test_a_connection_that_breaks_is_taken_up_where_it_broke(web: Web, part: Path) -> None:
    breaks = Answer(stops_after=HALF // 2)
    seen: list[int] = []
    url = web.serve("/file", CONTENTS, breaks, breaks, Answer())
    download(url, part, lambda n_bytes, _: seen.append(n_bytes))
    assert part.read_bytes() == CONTENTS
    assert web.ranges("/file") == [None, "bytes=50000-", "bytes=100000-"]
    assert seen == sorted(seen)


def test_a_server_that_hangs_up_is_asked_again_for_the_rest(web: Web, part: Path) -> None:
    breaks, hangs_up = Answer(stops_after=HALF), Answer(hangs_up=True)
    download(web.serve("/file", CONTENTS, breaks, hangs_up, Answer()), part, quietly)
    assert part.read_bytes() == CONTENTS
    assert web.ranges("/file") == [None, "bytes=100000-", "bytes=100000-"]
    with pytest.raises(DownloadError, match="closed connection without response"):
        download(web.serve("/other", OTHER, hangs_up), part, quietly)
    assert len(web.ranges("/other")) == 1


def test_the_next_attempt_goes_on_where_the_last_has_ended(web: Web, part: Path) -> None:
    url = web.serve("/file", CONTENTS, Answer(stops_after=HALF), Answer(status=503))
    with pytest.raises(DownloadError, match="HTTP 503 Service Unavailable"):
        download(url, part, quietly)
    assert part.read_bytes() == CONTENTS[:HALF]
    web.answers["/file"] = [Answer()]
    download(url, part, quietly)
    assert part.read_bytes() == CONTENTS
    assert web.ranges("/file")[-1] == "bytes=100000-"


@pytest.mark.parametrize(
    "second",
    [
        Answer(ignores_range=True),
        Answer(starts_late=1),
        Answer(version=None),
        Answer(version='"another"', ignores_if_range=True),
    ],
    ids=["ignores Range", "sends another part", "no version any more", "ignores If-Range"],
)
def test_a_server_that_does_not_resume_well_cannot_spoil_the_file(
    web: Web, part: Path, second: Answer
) -> None:
    url = web.serve("/file", CONTENTS, Answer(stops_after=HALF), second, Answer())
    download(url, part, quietly)
    assert part.read_bytes() == CONTENTS


@pytest.mark.parametrize("version", [None, 'W/"weak"'])
def test_what_has_no_version_is_begun_anew(web: Web, part: Path, version: str | None) -> None:
    breaks = Answer(stops_after=HALF, version=version)
    download(web.serve("/file", CONTENTS, breaks, Answer(version=version)), part, quietly)
    assert part.read_bytes() == CONTENTS
    assert web.ranges("/file") == [None, None]


def test_the_time_of_change_serves_as_a_version(web: Web, part: Path) -> None:
    then = "Mon, 02 Aug 2021 10:00:00 GMT"
    breaks = Answer(stops_after=HALF, version=None, headers=(("Last-Modified", then),))
    resumes = Answer(version=then, headers=(("Last-Modified", then),))
    download(web.serve("/file", CONTENTS, breaks, resumes), part, quietly)
    assert part.read_bytes() == CONTENTS
    assert web.ranges("/file") == [None, "bytes=100000-"]


def test_a_file_that_was_replaced_meanwhile_is_not_mixed_with_the_old_one(
    web: Web, part: Path
) -> None:
    url = web.serve("/file", CONTENTS, Answer(stops_after=HALF), Answer(status=404))
    with pytest.raises(DownloadError):
        download(url, part, quietly)
    web.serve("/file", OTHER)
    download(url, part, quietly)
    assert part.read_bytes() == OTHER


def test_the_part_of_another_file_is_not_resumed(web: Web, part: Path) -> None:
    part.write_bytes(b"unknown")
    download(web.serve("/file", CONTENTS), part, quietly)
    download(web.serve("/other", OTHER), part, quietly)
    assert part.read_bytes() == OTHER
    assert [place for _, place in web.requests] == [None, None]


def test_a_part_that_was_complete_is_not_downloaded_again(web: Web, part: Path) -> None:
    url = web.serve("/file", CONTENTS)
    download(url, part, quietly)
    download(url, part, quietly)
    assert part.read_bytes() == CONTENTS


def test_a_part_that_is_longer_than_the_file_is_begun_anew(web: Web, part: Path) -> None:
    url = web.serve("/file", CONTENTS)
    download(url, part, quietly)
    with part.open("ab") as file:
        file.write(b"more")
    download(url, part, quietly)
    assert part.read_bytes() == CONTENTS


@pytest.mark.parametrize("length", [len(CONTENTS) + 1, 10 * len(CONTENTS)])
def test_a_length_that_never_comes_is_an_error(web: Web, part: Path, length: int) -> None:
    url = web.serve("/file", CONTENTS, Answer(length=length, ignores_range=True))
    with pytest.raises(DownloadError, match="it broke off"):
        download(url, part, quietly)


def test_a_length_that_is_not_said_is_no_error(web: Web, part: Path) -> None:
    seen: list[int | None] = []
    url = web.serve("/file", CONTENTS, Answer(is_chunked=True))
    download(url, part, lambda _, total: seen.append(total))
    assert part.read_bytes() == CONTENTS
    assert set(seen) == {None}


def test_an_archive_stays_packed_whatever_the_server_calls_it(web: Web, part: Path) -> None:
    packed = gzip.compress(CONTENTS)
    answer = Answer(headers=(("Content-Encoding", "gzip"),))
    download(web.serve("/file", packed, answer), part, quietly)
    assert part.read_bytes() == packed


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_an_overloaded_server_is_asked_again(web: Web, part: Path, status: int) -> None:
    download(web.serve("/file", CONTENTS, Answer(status=status), Answer()), part, quietly)
    assert part.read_bytes() == CONTENTS


def test_a_refusal_is_final(web: Web, part: Path) -> None:
    with pytest.raises(DownloadError, match="HTTP 404 Not Found"):
        download(f"{web.address}/nothing", part, quietly)
    assert len(web.requests) == 1
    assert not part.exists()


def test_a_server_that_crawls_is_given_up(
    web: Web, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "RATE_WINDOW_S", 0.1)
    with pytest.raises(DownloadError, match="less than 60,000 bytes"):
        download(web.serve("/file", CONTENTS, Answer(crawls=True)), part, quietly)
    assert CONTENTS.startswith(part.read_bytes())


def test_a_slow_connection_is_not_given_up() -> None:
    pace = Pace(0.0)
    # A second of GSM: 2.4 kB.
    assert not any(pace.is_too_slow(2_400, float(second)) for second in range(1, 1_000))
    pace = Pace(0.0)
    assert not any(pace.is_too_slow(1_000, float(second)) for second in range(1, 30))
    assert pace.is_too_slow(1_000, 30.0)


def test_a_server_that_falls_silent_is_given_up(
    web: Web, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "SILENCE_S", 0.1)
    with pytest.raises(DownloadError, match="sent nothing for"):
        download(web.serve("/file", CONTENTS, Answer(holds_after=10)), part, quietly)


def test_a_port_where_nobody_listens_is_said(part: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with pytest.raises(DownloadError, match="Connection refused"):
        download(f"http://127.0.0.1:{port}/file", part, quietly)


def test_a_name_that_cannot_be_resolved_is_said(
    part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    with pytest.raises(DownloadError, match=r"^Temporary failure in name resolution$"):
        download("http://models.example/file", part, quietly)


@pytest.mark.parametrize("url", ["http://", "http://[", "ftp://host/file", "http://a..b/"])
def test_an_address_that_is_none_is_said(web: Web, part: Path, url: str) -> None:
    with pytest.raises(DownloadError):
        download(url, part, quietly)
    moved = Answer(status=302, headers=(("Location", url),))
    with pytest.raises(DownloadError):
        download(web.serve("/file", CONTENTS, moved), part, quietly)


def test_a_proxy_that_fails_is_named(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{listener.getsockname()[1]}")
    with pytest.raises(DownloadError, match=r"^the proxy that is set: .*Connection refused"):
        download("http://models.example/file", part, quietly)
