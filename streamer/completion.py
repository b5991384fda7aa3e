"""`streamer completion`: what a shell needs to complete the command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import shtab

from streamer.configuration import commands_of
from streamer.models.catalogue import CATALOGUE

PATHS = {"FILE": shtab.FILE, "PATH": shtab.FILE, "FOLDER": shtab.DIRECTORY}


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for a shell that shtab knows, with files, folders and models as meant."""
    names = [entry.name for entry in CATALOGUE]
    for action in _actions(parser):
        metavar: Any = action.metavar
        if metavar in PATHS:
            action.complete = PATHS[metavar]  # type: ignore[attr-defined]
        elif metavar == "NAME_OR_PATH":
            action.choices = ["auto", *names]  # In bash: or a path.
        elif metavar == "NAME":
            action.choices = names
    return str(shtab.complete(parser, shell))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Those of all commands, and of what they have for commands."""
    for command in commands_of(parser).values():
        yield from command._actions
        if any(isinstance(action, argparse._SubParsersAction) for action in command._actions):
            yield from _actions(command)
