"""`streamer models`: what is pulled is whole or not there, whatever happens on the way."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from published import export, random_weights
from speech import excerpt
from test_checkpoints import TINY
from test_saved_model import LABELS, Loudness
from test_saved_model import export as export_loudness
from web import Answer, Web, web_server

from streamer import cli, models
from streamer.cli import main
from streamer.doctor import models as model_doctor
from streamer.models import archive, catalogue, checkpoints, store, unpacking
from streamer.models import download as downloading

NO_WORD = "no word in it was understood."  # Its weights are random.
NAME = "wav2vec2-960h"


def packed(folder: Path) -> bytes:
    """A folder as a `.tar.gz`."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        tar.add(folder, ".")
    return stream.getvalue()


@pytest.fixture(scope="module")
def loudness(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The archive of a SavedModel that is run as it is."""
    folder = export_loudness(tmp_path_factory.mktemp("models") / "loudness", Loudness())
    (folder / "labels.json").write_text(json.dumps(LABELS))
    return packed(folder)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The archive of a SavedModel of the published form, but tiny."""
    folder = tmp_path_factory.mktemp("published")
    export(folder, TINY, random_weights(TINY), 40_000)
    return packed(folder)


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as web:
        yield web


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for each test, and a published model that is tiny."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("STREAMER_MODELS_DIR", str(cache))
    monkeypatch.setattr(checkpoints, "PUBLISHED_CONFIG", TINY)
    monkeypatch.setattr(downloading, "PAUSES_S", (0.0, 0.0))
    return cache


@pytest.fixture
def sources(web: Web, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses of wav2vec2-960h: three on this server."""
    addresses = [f"{web.address}/{number}.tar.gz" for number in range(3)]
    change_entry(monkeypatch, sources=tuple(addresses))
    return addresses


def change_entry(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    changed = tuple(
        dataclasses.replace(entry, **changes) if entry.name == NAME else entry
        for entry in catalogue.CATALOGUE
    )
    monkeypatch.setattr(catalogue, "CATALOGUE", changed)


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The last line on stderr; nothing is on stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    return err.splitlines()[-1]


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "streamer", "models", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def names_in(folder: Path) -> list[str]:
    """What is there, but for locks, which stay."""
    if not folder.exists():
        return []
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


# All is well.


def test_a_pulled_model_is_listed_found_verified_and_not_pulled_again(
    web: Web, sources: list[str], published: bytes, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    web.serve("/0.tar.gz", published)
    assert main(["models", "path", NAME]) == 1
    assert "`streamer models pull wav2vec2-960h` downloads it" in complaint(capsys)

    assert main(["models", "pull", NAME]) == 0
    assert complaint(capsys) == f"streamer: {NAME} is ready: {cache / NAME}"
    assert names_in(cache) == [NAME]

    assert main(["models", "path", NAME]) == 0
    assert capsys.readouterr() == (f"{cache / NAME}\n", "")
    assert main(["models", "verify", NAME]) == 0
    assert "is intact" in complaint(capsys)
    assert main(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows[NAME]["path"] == str(cache / NAME)
    assert rows[NAME]["sha256"] is None  # Nobody has published it.
    assert rows["facebook/hubert-large-ls960-ft"]["path"] is None

    assert main(["models", "pull", NAME]) == 0
    assert "is on this machine already" in complaint(capsys)
    assert len(web.requests) == 1


@pytest.fixture
def recording(tmp_path: Path) -> str:
    path = tmp_path / "speech.wav"
    soundfile.write(path, excerpt(0.0, 3.3), 16_000)
    return str(path)


def test_a_pulled_model_transcribes_and_is_the_default(
    web: Web, published: bytes, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["transcribe", recording, "--format", "jsonl", "--no-partials"]
    assert main([*command, "--model", NAME]) == 1
    assert "`streamer models pull wav2vec2-960h` downloads it" in complaint(capsys)
    assert web.requests == []

    url = web.serve("/mirror/model.tar.gz", published)
    assert main(["models", "pull", NAME, "--from", url]) == 0
    capsys.readouterr()
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert err == f"streamer: {recording}: {NO_WORD}\n"
    assert '"model": "wav2vec2-960h"' in out


def test_the_published_graph_is_run_when_asked_for_and_says_what_it_costs(
    web: Web, published: bytes, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    handle = "hub:https://tfhub.dev/vasudevgupta7/wav2vec2-960h/1"
    url = web.serve("/mirror/model.tar.gz", published)
    assert main(["models", "pull", handle, "--from", url]) == 0
    capsys.readouterr()
    name = f"{handle}@published"
    assert main(["transcribe", recording, "--format", "jsonl", "--model", name]) == 0
    out, err = capsys.readouterr()
    caveat, hint = err.splitlines()
    assert caveat.startswith("streamer: wav2vec2-960h@published always computes 2.5 s of sound")
    assert hint == f"streamer: {recording}: {NO_WORD}"
    assert '"model": "wav2vec2-960h@published"' in out


def test_the_model_in_the_package_hints_once_at_others(
    recording: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, starter
) -> None:
    monkeypatch.setattr(models, "load", lambda *_, **__: starter)
    assert main(["transcribe", recording, recording]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert err.count("`streamer models` lists others") == 1
    assert len(err.splitlines()) == 1
    monkeypatch.setattr(cli, "sample_path", lambda: Path(recording))
    assert main(["captions", "--sample"]) == 0
    assert capsys.readouterr().err.count("`streamer models` lists others") == 1
    assert main(["transcribe", recording, "--model", "starter"]) == 0
    assert capsys.readouterr().err == ""


def test_any_address_of_an_archive_is_a_name(
    web: Web, loudness: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    archived = web.serve("/net.tar.gz", loudness)
    web.serve("/publisher/net/1?tf-hub-format=compressed", loudness)
    handle = f"{web.address}/publisher/net/1"
    long = web.serve(f"/{'long' * 60}.tar.gz", loudness)
    for name in (archived, handle, long):
        assert main(["models", "pull", name]) == 0
        assert models.load(name).name == name
        assert main(["models", "verify", f"hub:{name}"]) == 0
    capsys.readouterr()
    assert main(["models"]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in (archived, handle, long))


def test_the_list_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line[2:].split()[0] for line in lines if "Apache-2.0" in line or "MIT" in line] == [
        entry.name for entry in catalogue.CATALOGUE
    ]
    assert lines[0].startswith("* starter")


def test_the_model_in_the_package_needs_no_pulling(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "starter"]) == 0
    assert "is on this machine already" in complaint(capsys)
    assert main(["models", "verify", "starter"]) == 0
    assert "is intact" in complaint(capsys)
    assert main(["models", "path", "starter"]) == 0
    assert (Path(capsys.readouterr().out.strip()) / "weights.npz").is_file()


@pytest.mark.parametrize("name", store.STARTER_FILES)
def test_damage_to_the_model_in_the_package_is_found(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "starter_weights"
    shutil.copytree(store.InPackage().path(), folder)
    monkeypatch.setattr(store.InPackage, "path", lambda _: folder)
    assert store.InPackage().verify() == 2
    with (folder / name).open("r+b") as file:
        file.seek(file.seek(0, 2) // 2)
        file.write(b"\0\xff" * 8)
    assert main(["models", "verify", "starter"]) == 1
    assert f"are damaged ({name}: " in complaint(capsys)


def test_what_tensorflow_hub_has_downloaded_is_found(
    web: Web, loudness: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.serve("/publisher/net/1?tf-hub-format=compressed", loudness)
    handle = f"{web.address}/publisher/net/1"
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub"))
    assert store.origin_of(handle).path() is None
    program = "import sys, tensorflow_hub; print(tensorflow_hub.resolve(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, handle], capture_output=True, text=True
    )
    assert store.find(handle).path == Path(done.stdout.strip())


def by_us(_cache: Path, _model: Path) -> None:
    pass


def by_somebody_else(cache: Path, model: Path) -> None:
    for path in (cache, model):
        os.chown(path, 65534, 65534)


def into_a_folder_that_all_may_write_to(cache: Path, _model: Path) -> None:
    cache.chmod(0o777)


def behind_a_link(cache: Path, _model: Path) -> None:
    cache.symlink_to(cache.rename(cache.with_name("elsewhere")))


@pytest.mark.parametrize(
    ("put_there", "is_taken"),
    [
        (by_us, True),
        (by_somebody_else, False),
        (into_a_folder_that_all_may_write_to, False),
        (behind_a_link, False),
    ],
)
def test_what_others_can_have_put_into_the_temporary_folder_is_no_model(
    put_there, is_taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if put_there is by_somebody_else and os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    monkeypatch.delenv("TFHUB_CACHE_DIR")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    entry = catalogue.entry_for(NAME)
    assert entry is not None
    assert entry.handle is not None
    model = tmp_path / "tfhub_modules" / hashlib.sha1(entry.handle.encode()).hexdigest()
    for folder in (model.parent, model):
        folder.mkdir(mode=0o755)
    (model / "saved_model.pb").touch()
    put_there(model.parent, model)
    assert store.default() == (NAME if is_taken else "starter")


# What is not well.


def test_sources_are_tried_in_turn(
    web: Web, sources: list[str], published: bytes, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    web.serve("/1.tar.gz", published[:-1000])  # The first does not exist.
    web.serve("/2.tar.gz", published)
    assert main(["models", "pull", NAME]) == 0
    first, arrived, second, again, ready = capsys.readouterr().err.splitlines()
    assert "fails (HTTP 404 Not Found); trying another source" in first
    assert "or is damaged" in second
    assert "has arrived; unpacking and checking it" in arrived == again
    assert "is ready" in ready
    assert names_in(cache) == [NAME]


def test_when_all_sources_fail_each_reason_is_said_and_what_arrived_is_kept(
    web: Web, sources: list[str], published: bytes, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = len(published) // 2
    web.serve("/0.tar.gz", published, Answer(stops_after=half), Answer(status=503))
    assert main(["models", "pull", NAME]) == 1
    message = complaint(capsys)
    assert "HTTP 503 Service Unavailable" in message
    assert "HTTP 404 Not Found" in message
    assert "What has arrived is kept" in message
    assert [path.stat().st_size for path in cache.glob(f"{NAME}.*.part")] == [half]

    web.serve("/1.tar.gz", published, Answer(stops_after=10), Answer(status=503))
    assert main(["models", "pull", NAME]) == 1
    web.answers["/0.tar.gz"] = [Answer()]
    assert main(["models", "pull", NAME]) == 0
    assert web.ranges("/0.tar.gz")[-1] == f"bytes={half}-"
    assert names_in(cache) == [NAME]


def test_an_archive_that_lies_about_its_length_is_not_installed(
    web: Web, published: bytes, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = web.serve("/0.tar.gz", published, Answer(length=len(published) - 100))
    assert main(["models", "pull", NAME, "--from", url]) == 1
    assert "or is damaged" in complaint(capsys)
    assert names_in(cache) == []


def test_a_wrong_checksum_is_said_with_both(
    web: Web,
    sources: list[str],
    published: bytes,
    cache: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change_entry(monkeypatch, sources=tuple(sources[:1]), sha256="0" * 64)
    web.serve("/0.tar.gz", published)
    assert main(["models", "pull", NAME]) == 1
    message = complaint(capsys)
    assert f"but {'0' * 64} was expected" in message
    assert names_in(cache) == []


def test_other_weights_are_not_installed(
    web: Web,
    published: bytes,
    loudness: bytes,
    cache: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main(["models", "pull", NAME, "--from", web.serve("/0", loudness)]) == 1
    assert "missing: wav2vec2-ctc/" in complaint(capsys)
    monkeypatch.setattr(checkpoints, "PUBLISHED_CONFIG", dataclasses.replace(TINY, n_layers=3))
    assert main(["models", "pull", NAME, "--from", web.serve("/1", published)]) == 1
    assert "missing: wav2vec2-ctc/wav2vec2/encoder/layers/2/" in complaint(capsys)
    assert names_in(cache) == []


def test_a_malicious_archive_leaves_nothing_behind(
    web: Web, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.setattr(unpacking, "LARGEST_EXTRA_BYTES", 100_000)
    climbing, linking = tarfile.TarInfo("../../escaped"), tarfile.TarInfo("link")
    linking.type, linking.linkname = tarfile.SYMTYPE, "/etc"
    bomb = tarfile.TarInfo("bomb")
    bomb.size = 10_000_000
    for number, member in enumerate((climbing, linking, bomb)):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as tar:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
        assert main(["models", "pull", web.serve(f"/{number}.tgz", stream.getvalue())]) == 1
        assert "The archive is refused" in complaint(capsys)
    assert names_in(cache) == []
    assert list(tmp_path.rglob("escaped")) == []


@pytest.mark.parametrize("limit", [5_000, 30_000], ids=["downloading", "unpacking"])
def test_a_full_disk_is_one_clear_sentence(
    web: Web, cache: Path, tmp_path: Path, limit: int
) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(os.urandom(10_000) + bytes(100_000))
    url = web.serve("/net.tar.gz", packed(folder))
    pulling = subprocess.run(
        [sys.executable, "-m", "streamer", "models", "pull", url],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert pulling.returncode == 1
    message = pulling.stderr.splitlines()[-1]
    assert "does not fit on the disk" in message
    assert "set STREAMER_MODELS_DIR" in message
    assert not any(name.endswith((".gz", ".unpacking")) for name in names_in(cache))
    # With room it goes on.
    assert main(["models", "pull", url]) == 0
    assert len(names_in(cache)) == 1


def test_a_folder_that_cannot_be_written_to_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STREAMER_MODELS_DIR", str(tmp_path / "file" / "models"))
    assert main(["models", "pull", NAME]) == 1
    assert "Set STREAMER_MODELS_DIR to a folder that can be written to" in complaint(capsys)


def test_a_folder_of_somebody_else_is_not_touched(
    web: Web, published: bytes, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cache / NAME).mkdir(parents=True)
    (cache / NAME / "notes.txt").touch()
    assert main(["models", "pull", NAME, "--from", web.serve("/0", published)]) == 1
    assert "is in the way: it holds no SavedModel" in complaint(capsys)
    assert web.requests == []
    assert names_in(cache / NAME) == ["notes.txt"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(b"other"), "has changed"),
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.with_name("new").touch(), "was added"),
        (lambda path: (path.parent / archive.RECORD).unlink(), "cannot be verified"),
        (lambda path: (path.parent / archive.RECORD).write_text("[]"), "cannot be verified"),
        (lambda path: (path.parent / archive.RECORD).write_text('{"files": []}'), "was added"),
    ],
    ids=["changed", "missing", "added", "no record", "damaged record", "empty record"],
)
def test_what_was_changed_since_is_found_out(
    web: Web, loudness: bytes, change, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = web.serve("/net.tar.gz", loudness)
    assert main(["models", "pull", url]) == 0
    change(store.find(url).path / "labels.json")
    assert main(["models", "verify", url]) == 1
    assert message in complaint(capsys)


def test_a_model_that_is_damaged_is_listed_and_pulled_again(
    web: Web, loudness: bytes, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = web.serve("/net.tar.gz", loudness)
    assert main(["models", "pull", url]) == 0
    (store.find(url).path / "saved_model.pb").unlink()
    (cache / "a%2Fb").mkdir()
    (cache / "a%2Fb" / archive.RECORD).touch()  # Nothing of ours has this name.
    capsys.readouterr()
    assert main(["models"]) == 0
    table = capsys.readouterr().out
    assert f"  {url}" in table
    assert "    damaged; pull it again" in table
    assert "a/b" not in table
    found = next(model_doctor.installed_models(argparse.Namespace(model="auto")))
    assert (found.name, found.status) == (f"model {url}", "problem")
    assert main(["models", "pull", url]) == 0
    assert main(["models", "verify", url]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pull", "nobody"], "Expected a name that `streamer models` lists"),
        (["path", "/"], "found a path: /"),
        (["verify", NAME], "is not on this machine"),
        (["verify", "https://host/net.tar.gz"], "is not on this machine"),
        (["path", "https://host/net.tar.gz"], "`streamer models pull https://host/net.tar.gz`"),
        (["pull", "starter", "--from", "https://host/x"], "Only wav2vec2-960h and addresses"),
        (["pull", "http://[::1"], "Expected a name that `streamer models` lists"),
        (["path", "//[abc"], "Expected a name that `streamer models` lists"),
        (["pull", NAME, "--from", "http://[x"], "Expected an address, http or https, to pull from"),
        (["pull", "http://a..b/"], "label empty or too long"),
    ],
)
def test_names_that_mean_nothing_are_one_clear_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", *arguments]) == 1
    assert message in complaint(capsys)


# Several processes, and one that is interrupted.


def test_two_processes_at_once_download_once(web: Web, loudness: bytes, cache: Path) -> None:
    url = web.serve("/net.tar.gz", loudness, Answer(holds_after=1000))
    with start("pull", url) as first:
        web.is_holding.acquire()
        with start("pull", url) as second:
            waits = second.stderr.readline()
            web.let_go.set()
            assert "is being pulled by another process; waiting for it" in waits
            assert "is ready" in second.communicate()[1]
        assert "is ready" in first.communicate()[1]
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(web.requests) == 1
    assert len(names_in(cache)) == 1


def test_an_interrupted_pull_is_resumed(web: Web, loudness: bytes, cache: Path) -> None:
    url = web.serve("/net.tar.gz", loudness, Answer(holds_after=1000))
    with start("pull", url) as pulling:
        web.is_holding.acquire()
        wait_for(lambda: any(path.stat().st_size == 1000 for path in cache.glob("*.part")))
        pulling.send_signal(signal.SIGINT)
        out, err = pulling.communicate()
    assert (pulling.returncode, out) == (130, "")
    assert err.splitlines() == [
        "streamer: Interrupted. What has arrived is kept: pull it again to go on."
    ]
    web.let_go.set()
    assert main(["models", "pull", url]) == 0
    assert web.ranges("/net.tar.gz") == [None, "bytes=1000-"]
    assert main(["models", "verify", url]) == 0
    assert len(names_in(cache)) == 1


def wait_for(happened) -> None:
    """Wait for what another process does, of which nothing else tells."""
    while not happened():
        time.sleep(0.01)


def test_what_a_killed_process_left_behind_is_cleared_away(
    web: Web, loudness: bytes, cache: Path
) -> None:
    url = web.serve("/net.tar.gz", loudness)
    assert main(["models", "pull", url]) == 0
    folder = store.find(url).path
    folder.rename(folder.with_name(f"{folder.name}.unpacking"))
    shutil.rmtree(folder.with_name(f"{folder.name}.unpacking") / "variables")
    assert main(["models", "pull", url]) == 0
    assert main(["models", "verify", url]) == 0
    assert names_in(cache) == [folder.name]
