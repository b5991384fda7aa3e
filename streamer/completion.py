"""`streamer completion`: what a shell needs to complete the command line."""

from __future__ import annotations

import argparse
from typing import Any

import shtab

from streamer.configuration import commands_of

PATHS = {"FILE": shtab.FILE, "PATH": shtab.FILE, "FOLDER": shtab.DIRECTORY}


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for a shell that shtab knows, with files where a file or a folder is meant."""
    for command in commands_of(parser).values():
        for action in command._actions:
            metavar: Any = action.metavar
            if metavar in PATHS:
                action.complete = PATHS[metavar]  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell))
