"""`streamer models`: what there is, and getting, checking and finding it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from streamer.errors import ModelError
from streamer.models import store
from streamer.models.archive import pulled_names
from streamer.models.catalogue import CATALOGUE, entry_for
from streamer.outputs import say

PULLED = "a SavedModel, pulled from this address"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the list says of a model."""

    name: str
    n_bytes: int
    licence: str | None
    purpose: str
    sha256: str | None
    path: str | None


def _rows() -> Iterator[Row]:
    """What is in the catalogue, and what else was pulled from an address."""
    path: Path | None
    for entry in CATALOGUE:
        try:
            path = store.find(entry.name).path
        except ModelError:
            path = None
        yield Row(
            name=entry.name,
            n_bytes=entry.n_bytes,
            licence=entry.licence,
            purpose=entry.purpose,
            sha256=entry.sha256,
            path=None if path is None else str(path),
        )
    for name in pulled_names():
        if entry_for(name) is None:
            path = _origin(name).path()
            files = path.rglob("*") if path else ()
            yield Row(
                name=name,
                n_bytes=sum(file.stat().st_size for file in files if file.is_file()),
                licence=None,
                purpose=PULLED if path else "damaged; pull it again",
                sha256=None,
                path=None if path is None else str(path),
            )


def _list(options: argparse.Namespace) -> int:
    rows = list(_rows())
    if options.json:
        keys = Row.__slots__
        print(json.dumps([{key: getattr(row, key) for key in keys} for row in rows], indent=2))
        return 0
    width = max(len(row.name) for row in CATALOGUE)
    for row in rows:
        mark = " " if row.path is None else "*"
        print(f"{mark} {row.name:{width}}  {_size(row.n_bytes):>7}  {row.licence or ''}".rstrip())
        print(f"    {row.purpose}")
    print(
        "* is on this machine. `streamer models pull NAME` gets the others, and any\n"
        "wav2vec 2.0 or HuBERT checkpoint with CTC on Hugging Face (ORGANISATION/NAME)."
    )
    return 0


def _pull(options: argparse.Namespace) -> int:
    origin = _origin(options.name, options.source)
    if path := origin.path():
        say(f"{origin.name} is on this machine already: {path}")
        return 0
    with _Progress(origin.name) as progress:
        try:
            path = origin.pull(progress.say, progress.update)
        except KeyboardInterrupt:
            progress.say("Interrupted. What has arrived is kept: pull it again to go on.")
            raise
    say(f"{origin.name} is ready: {path}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    origin = _origin(options.name)
    n_files = origin.verify()
    say(f"{origin.name} is intact; files compared with their checksums: {n_files}.")
    return 0


def _path(options: argparse.Namespace) -> int:
    _origin(options.name)
    print(store.find(options.name).path)
    return 0


def _origin(name: str, source: str | None = None) -> store.Origin:
    origin = store.origin_of(name, source)
    if origin is None:
        what = "a path" if Path(name).exists() else "something else"
        raise ModelError(
            "Expected a name that `streamer models` lists, ORGANISATION/NAME of a repository on "
            f"Hugging Face, or an address, found {what}: {name}"
        )
    return origin


class _Progress:
    """A progress bar on a terminal, from the first byte on."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def say(self, message: str) -> None:
        """Tell the user something; the bar begins anew."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        say(message)

    def update(self, n_bytes: int, total: int | None) -> None:
        """So many bytes are here."""
        if self._bar is None:
            self._bar = tqdm(
                desc=self._name,
                initial=n_bytes,  # What was here before says nothing of the speed.
                unit="B",
                unit_scale=True,
                leave=False,
                disable=not sys.stderr.isatty(),
                file=sys.stderr,
            )
        self._bar.total = total
        self._bar.update(n_bytes - self._bar.n)


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"


ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "pull": _pull,
    "verify": _verify,
    "path": _path,
}
