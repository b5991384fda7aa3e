"""Where models come from: the one place that knows what a name stands for.

    starter               in the package
    wav2vec2-960h, URL    an archive, in our cache or that of `tensorflow_hub`   `archive`
    ORGANISATION/NAME     a repository, in the cache of `huggingface_hub`        `hugging_face`
    anything else         a path

Finding a model never uses the network; `pull` does. The `catalogue` says what is worth pulling.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from streamer.errors import ModelError
from streamer.models.archive import Archive, is_address
from streamer.models.catalogue import STARTER, WAV2VEC2_960H, entry_for
from streamer.models.hugging_face import Repository, is_repository

if TYPE_CHECKING:
    from streamer.models.download import Progress


class Origin(Protocol):
    """Where a model comes from.

    Attributes:
        name: What the model is called.
    """

    name: str

    def path(self) -> Path | None:
        """Where it is on this machine; None if it is not."""
        ...

    def pull(self, say: Callable[[str], object], on_progress: Progress) -> Path:
        """Get it onto this machine, from the network if it is not there.

        Args:
            say: Told what a user should know meanwhile.
            on_progress: Called with how many bytes are here and how many there will be.

        Raises:
            ModelError: That is not possible.
        """
        ...

    def verify(self) -> int:
        """Compare its files with their checksums; returns how many there are.

        Raises:
            UnverifiableError: Nothing is known of them.
            ModelError: It is not here, or has been changed.
        """
        ...


def origin_of(name: str, source: str | None = None) -> Origin | None:
    """What a name stands for; None if it is a path, or nothing.

    Args:
        name: Any name above; `hub:` may stand before it.
        source: The address to pull an archive from, instead of where it was published.

    Raises:
        ModelError: This model is not pulled from an address, or the address is none.
    """
    name = name.removeprefix("hub:")
    if source is not None and not is_address(source):
        raise ModelError(f"Expected an address, http or https, to pull from, found {source}.")
    entry = entry_for(name)
    if name == STARTER and source is None:
        return InPackage()
    if name == WAV2VEC2_960H or is_address(name):
        return Archive(name, entry, source)
    if source is not None:
        raise ModelError(
            f"Only {WAV2VEC2_960H} and addresses can be pulled from another address, found {name}."
        )
    if is_repository(name) and not Path(name).exists():
        return Repository(name, "main" if entry is None else entry.revision)
    return None


class Found(NamedTuple):
    """A model on this machine: what it is called, and where it is."""

    name: str
    path: Path


def find(name: str) -> Found:
    """Where a model is on this machine; a path is taken as it is.

    Raises:
        ModelError: It has to be pulled first.
    """
    origin = origin_of(name)
    if origin is None:
        path = Path(name.removeprefix("hub:"))
        return Found(path.resolve().name.removesuffix(".gz").removesuffix(".tar"), path)
    cached = origin.path()
    if cached is None:
        what = f"{origin.name} is not on this machine"
        if isinstance(origin, Repository):
            what = f"{origin.name} is no folder on this machine, nor in the cache of Hugging Face"
        raise ModelError(f"{what}; `streamer models pull {origin.name}` downloads it.")
    return Found(origin.name, cached)


def default() -> str:
    """The name of the model that `auto` stands for: the best of those that are here."""
    best = Archive(WAV2VEC2_960H, entry_for(WAV2VEC2_960H))
    return WAV2VEC2_960H if best.path() else STARTER


STARTER_FILES = ("weights.npz", "writing.npz")


class InPackage:
    """The model in the package."""

    name = STARTER

    def path(self) -> Path:
        """Its folder in the package."""
        return Path(__file__).parent / "starter_weights"

    def pull(self, _say: Callable[[str], object], _on_progress: Progress) -> Path:
        """Do nothing: it is here."""
        return self.path()

    def verify(self) -> int:
        """Compare its arrays with the checksums in their files.

        Raises:
            ModelError: They have been changed.
        """
        for name in STARTER_FILES:
            try:
                with zipfile.ZipFile(self.path() / name) as arrays:
                    damaged = arrays.testzip()
            except (OSError, zipfile.BadZipFile, zlib.error) as error:
                damaged = str(error)
            if damaged is not None:
                raise ModelError(
                    f"The weights of {STARTER} are damaged ({name}: {damaged}). "
                    "Install streamer again."
                )
        return len(STARTER_FILES)
