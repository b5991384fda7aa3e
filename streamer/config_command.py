"""`streamer config`: what is in force, as a file that could be the configuration."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from streamer.configuration import Setting, file_path


def show(settings: Sequence[Setting], unknown_variables: Sequence[str]) -> str:
    """The settings as TOML, with the origin of each as a comment.

    What is the same for all commands that have it stands first, the rest below each command.
    """
    path = file_path()
    lines = [f"# {path}{'' if path.exists() else ' (there is none yet)'}"]
    lines += [f"# {name}: no option has this name" for name in unknown_variables]
    by_option: dict[str, list[Setting]] = {}
    for setting in settings:
        by_option.setdefault(setting.option, []).append(setting)
    shared = {
        option
        for option, found in by_option.items()
        if len(found) > 1 and all(_is_same(setting, found[0]) for setting in found)
    }
    lines += ["", *(_line(by_option[option][0]) for option in by_option if option in shared)]
    for command in dict.fromkeys(setting.command for setting in settings):
        own = [s for s in settings if s.command == command and s.option not in shared]
        plain = [_line(s) for s in own if not isinstance(s.value, dict)]
        tables = [s for s in own if isinstance(s.value, dict)]
        if own:
            lines += ["", f"[{command}]", *plain]
        for setting in tables:
            lines += ["", f"[{command}.{setting.option}]  # {setting.origin}"]
            lines += [f"{_toml(phrase)} = {_toml(text)}" for phrase, text in setting.value.items()]
    return "\n".join(lines)


def run(options: argparse.Namespace, settings: Sequence[Setting], unknown: Sequence[str]) -> int:
    """Run the command."""
    print(file_path() if options.path else show(settings, unknown))
    return 0


def _is_same(one: Setting, other: Setting) -> bool:
    return one.value == other.value and one.origin == other.origin


def _line(setting: Setting) -> str:
    if setting.value is None:
        return f"# {setting.option} ="
    return f"{f'{setting.option} = {_toml(setting.value)}':<32}  # {setting.origin}"


def _toml(value: Any) -> str:
    """A text, number or switch, as TOML writes it: as JSON does."""
    return json.dumps(str(value) if isinstance(value, PurePath) else value, ensure_ascii=False)
