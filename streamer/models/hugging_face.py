"""Checkpoints on Hugging Face, in the cache that `huggingface_hub` keeps for all programs.

`huggingface_hub` is an optional part of the installation and imported when it is needed.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from streamer.errors import ModelError
from streamer.models.files import UnverifiableError, checksum_of

if TYPE_CHECKING:
    from streamer.models.download import Progress

NEEDED = ("config.json", "vocab.json")
OPTIONAL = ("added_tokens.json", "tokenizer_config.json", "preprocessor_config.json")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # the first that there is


def is_repository(name: str) -> bool:
    """Whether a name may be that of a repository: ORGANISATION/NAME."""
    return re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name, re.ASCII) is not None


class Repository:
    """A checkpoint in a repository on Hugging Face."""

    def __init__(self, name: str, revision: str) -> None:
        """Say which; nothing is looked at yet.

        Args:
            name: ORGANISATION/NAME.
            revision: A branch, a tag or a commit of it.
        """
        self.name = name
        self._revision = revision

    def path(self) -> Path | None:
        """Its folder in the cache, if all that is needed is there.

        Raises:
            ModelError: `huggingface_hub` is not installed.
        """
        needed = [self._cached(name) for name in NEEDED]
        weights = [self._cached(name) for name in WEIGHTS]
        is_complete = None not in needed and any(weights)
        return needed[0].parent if is_complete and needed[0] else None

    def pull(self, _say: Callable[[str], object], _on_progress: Progress) -> Path:
        """Download what is needed of it; `huggingface_hub` resumes, locks and shows progress.

        Raises:
            ModelError: `huggingface_hub` is not installed, or fails.
        """
        hub = self._hub()
        if not sys.stderr.isatty():
            hub.utils.disable_progress_bars()
        try:
            there = hub.model_info(self.name, revision=self._revision).siblings
            files = self._needed({file.rfilename for file in there or ()})
            return Path(
                hub.snapshot_download(self.name, revision=self._revision, allow_patterns=files)
            )
        except ModelError:
            raise
        except hub.errors.GatedRepoError as error:
            raise ModelError(
                f"{self.name} is given only to who has asked for it: see "
                f"https://huggingface.co/{self.name}, and log in with `hf auth login`."
            ) from error
        except hub.errors.RepositoryNotFoundError as error:
            raise ModelError(
                f"There is no repository {self.name} on Hugging Face, or it is private."
            ) from error
        except Exception as error:  # Which ones depends on the HTTP library of its version.
            # Its messages have paragraphs; the first line says what happened.
            what = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise ModelError(
                f"{self.name} could not be pulled from Hugging Face: {what.rstrip('.')}. What has "
                "arrived is kept: pull it again to go on."
            ) from error

    def verify(self) -> int:
        """Compare every file with the checksum that Hugging Face gave; returns how many there are.

        The cache names each file by it: its SHA-256, or for small files that of Git.

        Raises:
            UnverifiableError: It has no checksums.
            ModelError: It is not here, or is damaged.
        """
        folder = self.path()
        if folder is None:
            raise ModelError(f"{self.name} is not on this machine: `streamer models pull` it.")
        files = [path for path in sorted(folder.iterdir()) if path.is_file()]
        damaged = [path.name for path in files if not _is_intact(path)]
        if damaged:
            raise ModelError(
                f"{self.name} is not what Hugging Face holds: {', '.join(damaged)} differs. Remove "
                f"the folder {folder.parent.parent} and pull it again."
            )
        return len(files)

    def _needed(self, there: set[str]) -> list[str]:
        """Which files of a repository to download.

        Raises:
            ModelError: One without which nothing can be read is not in it.
        """
        missing = [name for name in NEEDED if name not in there]
        weights = [name for name in WEIGHTS if name in there]
        if missing or not weights:
            raise ModelError(
                f"Expected a wav2vec 2.0 or HuBERT checkpoint with CTC in {self.name}, found none: "
                f"it has no {' and no '.join(missing or WEIGHTS)}."
            )
        return [*NEEDED, *(name for name in OPTIONAL if name in there), weights[0]]

    def _cached(self, name: str) -> Path | None:
        found = self._hub().try_to_load_from_cache(self.name, name, revision=self._revision)
        return Path(found) if isinstance(found, str) else None

    def _hub(self) -> ModuleType:
        try:
            return importlib.import_module("huggingface_hub")
        except ImportError as error:
            raise ModelError(
                f"{self.name} is no folder on this machine, and what is on Hugging Face needs one "
                "more package: `pip install huggingface_hub`."
            ) from error


def _is_intact(path: Path) -> bool:
    expected = path.resolve().name
    if len(expected) == 64:
        checksum = hashlib.sha256()
    elif len(expected) == 40:  # As Git computes it: with a header.
        checksum = hashlib.sha1(f"blob {path.stat().st_size}\0".encode())
    else:
        raise UnverifiableError(
            f"{path} cannot be verified: where links are not possible, the cache of Hugging Face "
            "keeps no checksums."
        )
    return checksum_of(path, checksum) == expected
