"""Models that are pulled as the archive of a SavedModel, into a cache of our own.

A pulled model is a folder of the cache, complete or not there at all. `installed.json` in it
records its name, where it came from and the SHA-256 of every file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

import platformdirs

from streamer.errors import ModelError
from streamer.models.catalogue import WAV2VEC2_960H, Entry, entry_for
from streamer.models.files import UnverifiableError, checksum_of
from streamer.models.unpacking import unpack

if TYPE_CHECKING:
    from streamer.models.download import Progress

RECORD = "installed.json"
LONGEST_FOLDER_NAME = 200  # File systems take 255, and ours have an ending.
DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def models_folder() -> Path:
    """Where pulled archives are kept: `STREAMER_MODELS_DIR`, or a folder of the user's cache."""
    named = os.environ.get("STREAMER_MODELS_DIR")
    return Path(named) if named else platformdirs.user_cache_path("streamer") / "models"


def pulled_names() -> list[str]:
    """Names of what has been pulled into the cache, be it intact or not."""
    names = sorted(_name_in(record) for record in models_folder().glob(f"*/{RECORD}"))
    return [name for name in names if is_address(name) or entry_for(name)]


class Archive:
    """A model that is one archive: of the catalogue, or any address that `tensorflow_hub` takes."""

    def __init__(self, name: str, entry: Entry | None, source: str | None = None) -> None:
        """Say what it is; nothing is looked at yet.

        Args:
            name: Of the entry, or an address.
            entry: What the catalogue says of it, if it is there.
            source: Where to take it from, instead.
        """
        self.name = name if entry is None else entry.name
        self._entry = entry
        self._handle = name if entry is None else entry.handle
        self._sources = (_archive_of(name),) if entry is None else entry.sources
        if source is not None:
            self._sources = (source,)
        folder = quote(self.name, safe="")
        if len(folder) > LONGEST_FOLDER_NAME:
            folder = hashlib.sha256(self.name.encode()).hexdigest()
        self._folder = models_folder() / folder

    def path(self) -> Path | None:
        """Its folder in our cache, else in that of `tensorflow_hub`, else None."""
        if (self._folder / "saved_model.pb").is_file():
            return self._folder
        return _in_hub_cache(self._handle) if self._handle is not None else None

    def pull(self, say: Callable[[str], object], on_progress: Progress) -> Path:
        """Download it, if it is not here, and install it as a whole.

        Only one process at a time does so; the others wait for it.

        Args:
            say: Told of what takes time, and of sources that fail.
            on_progress: Called while it is downloaded.

        Raises:
            ModelError: No source gives it; what has arrived of it is kept for the next time.
        """
        import filelock  # It takes a while, and only who pulls needs it.

        place = self._folder.parent
        try:
            place.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(place / f"{self._folder.name}.lock")
            try:
                held = lock.acquire(timeout=0)
            except filelock.Timeout:
                say(f"{self.name} is being pulled by another process; waiting for it.")
                held = lock.acquire()
            with held:
                return self.path() or self._pull(say, on_progress)
        except OSError as error:
            if error.errno in DISK_IS_FULL:
                raise ModelError(
                    f"{self.name} does not fit on the disk of {place} ({error.strerror}). Make "
                    "room, or set STREAMER_MODELS_DIR to a folder elsewhere, and pull it again."
                ) from error
            raise ModelError(
                f"{self.name} cannot be written into {place}: {error.strerror or error}. Set "
                "STREAMER_MODELS_DIR to a folder that can be written to."
            ) from error

    def verify(self) -> int:
        """Compare every file with what was installed; returns how many there are.

        Raises:
            UnverifiableError: Nothing is known of it.
            ModelError: It is not here, or has been changed.
        """
        folder = self.path()
        if folder is None:
            raise ModelError(f"{self.name} is not on this machine: `streamer models pull` it.")
        try:
            record = json.loads((folder / RECORD).read_text("utf-8"))
            recorded: dict[str, str] = dict(record["files"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise UnverifiableError(
                f"{self.name} in {folder} cannot be verified: it was not installed by `streamer "
                f"models pull`, or {RECORD} in it is damaged."
            ) from error
        found = dict(_checksums(folder))
        faults = [f"{name} is missing" for name in sorted(recorded.keys() - found.keys())]
        faults += [f"{name} was added" for name in sorted(found.keys() - recorded.keys())]
        both = sorted(recorded.keys() & found.keys())
        faults += [f"{name} has changed" for name in both if recorded[name] != found[name]]
        if faults:
            raise ModelError(
                f"{self.name} is not as it was installed: {'; '.join(faults)}. Remove the folder "
                f"{folder} and pull it again."
            )
        return len(recorded)

    def _pull(self, say: Callable[[str], object], on_progress: Progress) -> Path:
        from streamer.models.download import DownloadError, download, forget

        if self._folder.exists() and not (self._folder / RECORD).exists():  # It may be anybody's.
            raise ModelError(
                f"{self._folder} is in the way: it holds no SavedModel. Remove it, and pull "
                f"{self.name} again."
            )
        failures: dict[str, list[str]] = {}
        for source in self._sources:
            part = self._part(source)
            try:
                download(source, part, on_progress)
                say(f"{self.name} has arrived; unpacking and checking it.")
                self._install(part, source)
            except ModelError as error:
                reason = str(error).replace(str(part), "the archive").rstrip(".")
                failures.setdefault(reason, []).append(urlsplit(source).netloc)
                if not isinstance(error, DownloadError):
                    forget(part)  # It is complete, and of no use.
                if source != self._sources[-1]:
                    say(f"{urlsplit(source).netloc} fails ({reason}); trying another source.")
            else:
                for each in self._folder.parent.glob(f"{self._folder.name}.????????.part"):
                    forget(each)
                return self._folder
        reasons = "; ".join(f"{why} ({', '.join(hosts)})" for why, hosts in failures.items())
        advice = "`--from URL` takes it from elsewhere."
        if any(self._part(source).exists() for source in self._sources):
            advice = "What has arrived is kept: pull it again to go on."
        raise ModelError(f"{self.name} could not be pulled: {reasons}. {advice}")

    def _part(self, source: str) -> Path:
        """Where what arrives from a source is kept: another source need not have the same file."""
        number = hashlib.sha256(source.encode()).hexdigest()[:8]
        return self._folder.with_name(f"{self._folder.name}.{number}.part")

    def _install(self, archive: Path, source: str) -> None:
        """Check an archive, unpack it, check what was in it, and only then put it in its place."""
        sha256 = _sha256(archive)
        if self._entry is not None and self._entry.sha256 not in (None, sha256):
            raise ModelError(
                f"its SHA-256 is {sha256}, but {self._entry.sha256} was expected: it is not the "
                "file that was published"
            )
        # On the same file system, and removed when a process that was killed has left it behind.
        work = self._folder.with_name(f"{self._folder.name}.unpacking")
        shutil.rmtree(work, ignore_errors=True)
        try:
            inside = unpack(archive, work)
            if self.name == WAV2VEC2_960H:
                _check_published(inside)
            record = {
                "name": self.name,
                "source": source,
                "sha256": sha256,
                "files": dict(_checksums(inside)),
            }
            (inside / RECORD).write_text(json.dumps(record, indent=2) + "\n", "utf-8")
            if self._folder.exists():  # What is left of it, damaged.
                shutil.rmtree(self._folder)
            os.replace(inside, self._folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def is_address(name: str) -> bool:
    """Whether a name is an address of the web."""
    try:
        return urlsplit(name).scheme in ("http", "https")
    except ValueError:  # A bracket is not closed, or there is no number in it.
        return False


def _name_in(record: Path) -> str:
    """The name of a model whose record this is."""
    try:
        return str(json.loads(record.read_text("utf-8"))["name"])
    except (OSError, ValueError, LookupError, TypeError):
        return unquote(record.parent.name)


def _in_hub_cache(handle: str) -> Path | None:
    """Where `tensorflow_hub` has the model of a handle, if it has ever downloaded it."""
    named = os.environ.get("TFHUB_CACHE_DIR")
    cache = Path(named or Path(tempfile.gettempdir()) / "tfhub_modules")
    folder = cache / hashlib.sha1(handle.encode()).hexdigest()
    # Asked for what it does not have, it would download it.
    if not (folder / "saved_model.pb").is_file():
        return None
    if not (named or (_is_ours(cache) and _is_ours(folder))):
        return None
    from streamer.models import import_tensorflow

    import_tensorflow()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It imports the deprecated pkg_resources.
        import tensorflow_hub
    return Path(tensorflow_hub.resolve(handle))


def _is_ours(folder: Path) -> bool:
    """Whether nobody else can have put anything into a folder of the temporary folder.

    A model is a program, and the temporary folder may be everybody's, where there are users.
    """
    if not hasattr(os, "getuid"):
        return True
    status = folder.lstat()  # Of a link itself, which anybody can make.
    is_closed = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o022
    return is_closed and status.st_uid == os.getuid()


def _archive_of(handle: str) -> str:
    """The address of the archive of a handle, https://www.tensorflow.org/hub/hosting."""
    if urlsplit(handle).path.endswith((".tar.gz", ".tgz")):
        return handle
    return f"{handle}{'&' if urlsplit(handle).query else '?'}tf-hub-format=compressed"


def _check_published(folder: Path) -> None:
    from streamer.models import import_tensorflow

    import_tensorflow()
    from streamer.models import checkpoints

    checkpoints.check_published(folder)


def _checksums(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of every file of a model."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / RECORD:
            yield path.relative_to(folder).as_posix(), _sha256(path)


def _sha256(path: Path) -> str:
    return checksum_of(path, hashlib.sha256())
