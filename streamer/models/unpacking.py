"""Unpacking the `.tar.gz` of a SavedModel from a source that need not be trusted."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from streamer.errors import ModelError

# Weights hardly compress, and a graph tenfold. More comes from an archive that is to fill the disk.
LARGEST_FACTOR, LARGEST_EXTRA_BYTES = 10, 100_000_000
# Longer names do not fit on some disks, and folders within folders by the thousand nowhere.
LONGEST_NAME = 200


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive into a new folder, files and folders only, and check its checksum.

    Written out by hand: `tarfile.extractall(filter="data")` does not exist in early releases of
    Python 3.10 and 3.11, lets links through, and knows no limit.

    Args:
        archive: A `.tar.gz`.
        folder: It must not exist, or be empty.

    Returns:
        Where `saved_model.pb` is in it: there may be a folder in between.

    Raises:
        ModelError: It is damaged, malicious, or of something else.
        OSError: The files cannot be written.
    """
    limit = LARGEST_FACTOR * archive.stat().st_size + LARGEST_EXTRA_BYTES
    try:
        with gzip.open(archive) as file:
            stream = _Bounded(file, limit)
            with tarfile.open(fileobj=stream, mode="r|") as tar:  # type: ignore[call-overload]
                for member in tar:
                    _write(tar, member, folder)
            while stream.read(1 << 20):  # The checksum is at the end, behind the last file.
                pass
    except (
        *(gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError),
        *(ValueError, RecursionError),  # A number is none, a header is followed by a thousand more.
        *(FileExistsError, NotADirectoryError, IsADirectoryError),  # It holds a name twice.
    ) as error:
        raise ModelError(
            f"{archive} cannot be unpacked, because it is no .tar.gz or is damaged: {error}. "
            "Download it again."
        ) from error
    graphs = sorted(path for path in folder.rglob("saved_model.pb") if path.is_file())
    found = next(iter(graphs), None)
    if found is None:
        raise ModelError(f"{archive} holds no SavedModel: saved_model.pb is not in it.")
    return found.parent


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write one file or folder of an archive.

    No link is ever made, so that no path leads anywhere but into `folder`.
    """
    path = PurePosixPath(member.name)
    is_outside = (
        path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name
    )
    is_other = not (member.isdir() or member.isreg()) or member.issparse()
    is_long = len(member.name.encode("utf-8", "surrogateescape")) > LONGEST_NAME
    if is_outside or is_other or is_long:
        why = "leads out of its folder" if is_outside else "is neither a file nor a folder"
        why = f"has a name of more than {LONGEST_NAME} bytes" if is_long else why
        raise ModelError(
            f"The archive is refused: {member.name[:LONGEST_NAME]!r} in it {why}, which no model "
            "needs. Do not trust where it comes from."
        )
    target = folder / path
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    contents = tar.extractfile(member)
    assert contents is not None
    with contents, target.open("xb") as file:
        shutil.copyfileobj(contents, file)


class _Bounded:
    """A file of which only so much can be read."""

    def __init__(self, file: BinaryIO | gzip.GzipFile, limit: int) -> None:
        self._file = file
        self._limit = limit
        self._n_read = 0

    def read(self, n_bytes: int) -> bytes:
        """The next bytes.

        Raises:
            ModelError: It is more than the limit by now.
        """
        data = self._file.read(n_bytes)
        self._n_read += len(data)
        if self._n_read > self._limit:
            raise ModelError(
                f"The archive is refused: unpacked it is larger than {self._limit / 1e6:,.0f} MB, "
                "far more than a model of its size. Do not trust where it comes from."
            )
        return data
