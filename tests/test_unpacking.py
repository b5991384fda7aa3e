"""An archive is unpacked as a whole or refused in one sentence; it writes nowhere else."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from streamer import models
from streamer.errors import ModelError
from streamer.models import unpacking
from streamer.models.unpacking import unpack

GRAPH = ("saved_model.pb", b"a graph")


def pack(archive: Path, *members: tuple[str, bytes] | tarfile.TarInfo) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        for member in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member[0])
            contents = b"" if isinstance(member, tarfile.TarInfo) else member[1]
            if info.isreg():
                info.size = len(contents)
            tar.addfile(info, io.BytesIO(contents))
    return archive


def special(kind: bytes, name: str = "special", target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("inside", ["", "./", "saved-model/", "a/b/"])
def test_the_model_is_found_wherever_it_is_in_the_archive(tmp_path: Path, inside: str) -> None:
    variables = (f"{inside}variables/variables.index", b"weights")
    archive = pack(tmp_path / "model.tar.gz", (inside + GRAPH[0], GRAPH[1]), variables)
    found = unpack(archive, tmp_path / "model")
    assert (found / "saved_model.pb").read_bytes() == b"a graph"
    assert (found / "variables" / "variables.index").read_bytes() == b"weights"


@pytest.mark.parametrize(
    "name", ["../escaped", "a/../../escaped", "/tmp/escaped", "..\\escaped", "C:escaped"]
)
def test_no_path_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    archive = pack(tmp_path / "model.tar.gz", GRAPH, (name, b"escaped"))
    with pytest.raises(ModelError, match="leads out of its folder"):
        unpack(archive, tmp_path / "model")
    assert list(tmp_path.rglob("*escaped*")) == []


@pytest.mark.parametrize(
    "member",
    [
        special(tarfile.SYMTYPE, target="/etc"),
        special(tarfile.SYMTYPE, target="saved_model.pb"),
        special(tarfile.LNKTYPE, target="saved_model.pb"),
        special(tarfile.CHRTYPE),
        special(tarfile.BLKTYPE),
        special(tarfile.FIFOTYPE),
        special(tarfile.GNUTYPE_SPARSE),
    ],
    ids=["link", "link inside", "hard link", "device", "disk", "pipe", "sparse file"],
)
def test_only_files_and_folders_are_unpacked(tmp_path: Path, member: tarfile.TarInfo) -> None:
    archive = pack(tmp_path / "model.tar.gz", GRAPH, member)
    with pytest.raises(ModelError, match=r"neither a file nor a folder|no \.tar.gz or is damaged"):
        unpack(archive, tmp_path / "model")
    assert not (tmp_path / "model" / "special").exists()


def test_a_decompression_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "LARGEST_EXTRA_BYTES", 100_000)
    archive = pack(tmp_path / "model.tar.gz", GRAPH, ("variables", bytes(10_000_000)))
    with pytest.raises(ModelError, match="far more than a model of its size"):
        unpack(archive, tmp_path / "model")
    assert sum(path.stat().st_size for path in (tmp_path / "model").iterdir()) < 1_000_000


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    archive = pack(tmp_path / "model.tar.gz", GRAPH, GRAPH)
    with pytest.raises(ModelError, match="File exists"):
        unpack(archive, tmp_path / "model")


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 1500 + GRAPH[0]], ids=["long", "deep"])
def test_a_name_that_no_disk_takes_is_refused(tmp_path: Path, name: str) -> None:
    archive = pack(tmp_path / "model.tar.gz", GRAPH, (name, b""))
    with pytest.raises(ModelError, match="has a name of more than 200 bytes") as caught:
        unpack(archive, tmp_path / "model")
    assert len(str(caught.value)) < 500


def extended(**headers: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo("extended")
    info.pax_headers = headers
    return info


@pytest.mark.parametrize(
    "members",
    [
        [extended(**{"GNU.sparse.size": "zz"})],
        [extended(path="a\0b")],
        [special(tarfile.XHDTYPE)] * 2_000,
    ],
    ids=["no number", "zero byte", "many"],
)
def test_headers_that_make_no_sense_are_damage(
    tmp_path: Path, members: list[tarfile.TarInfo]
) -> None:
    archive = pack(tmp_path / "model.tar.gz", GRAPH, *members)
    with pytest.raises(ModelError, match=r"no \.tar.gz or is damaged"):
        unpack(archive, tmp_path / "model")


@pytest.mark.parametrize(
    "member",
    [("README", b"hello"), special(tarfile.DIRTYPE, "saved_model.pb")],
    ids=["file", "folder of the name"],
)
def test_an_archive_of_something_else_is_refused(
    tmp_path: Path, member: tuple[str, bytes] | tarfile.TarInfo
) -> None:
    archive = pack(tmp_path / "model.tar.gz", member)
    with pytest.raises(ModelError, match="holds no SavedModel"):
        unpack(archive, tmp_path / "model")


@pytest.mark.parametrize("contents", [b"", b"no archive", b"<html>", b"\x1f\x8b\x08\x00cut off"])
def test_what_is_no_archive_is_one_clear_sentence(tmp_path: Path, contents: bytes) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(contents)
    with pytest.raises(ModelError, match="cannot be unpacked") as caught:
        models.load(archive)
    assert "\n" not in str(caught.value)


def test_a_damaged_or_truncated_archive_is_refused_wherever_the_damage_is(tmp_path: Path) -> None:
    archive = pack(tmp_path / "model.tar.gz", GRAPH, ("variables", bytes(range(256)) * 100))
    whole = archive.read_bytes()
    checksum = bytes([whole[-8] ^ 1])
    damaged = [whole[:n_bytes] for n_bytes in range(1, len(whole), 7)]
    damaged.append(whole[:-8] + checksum + whole[-7:])  # only the checksum
    for number, contents in enumerate(damaged):
        archive.write_bytes(contents)
        with pytest.raises(ModelError, match=r"no \.tar.gz or is damaged"):
            unpack(archive, tmp_path / str(number))


def test_a_tar_that_ends_too_early_inside_a_whole_gzip_is_refused(tmp_path: Path) -> None:
    archive = pack(tmp_path / "model.tar.gz", GRAPH, ("variables", bytes(100_000)))
    with gzip.open(archive) as file:
        tar = file.read()
    with gzip.open(archive, "wb") as file:
        file.write(tar[:50_000])
    with pytest.raises(ModelError, match=r"no \.tar.gz or is damaged"):
        unpack(archive, tmp_path / "model")
