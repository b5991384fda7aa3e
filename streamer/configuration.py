"""Options that are given once: a TOML file and environment variables, under the options' names.

    model = "wav2vec2-960h"     # for every command that has --model

    [captions]
    numbers = "digits"          # for `streamer captions` alone

What stands for one command goes before what stands for all, and the command line goes before
`STREAMER_CAPTIONS_NUMBERS`, that before `STREAMER_NUMBERS`, and both before the file. Every option
with a value can be set, and every switch that has a `--no-` form; the others are for one call, as
are orders to a program that runs already.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from streamer.errors import ConfigurationError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PREFIX = "STREAMER_"
SWITCHES = {"true": True, "yes": True, "on": True, "1": True} | {
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
DEFAULT = "default"
FOR_ONE_CALL = {"control"}  # though these options have a value


@dataclass(frozen=True, slots=True)
class Setting:
    """What is in force for an option of a command, unless the command line says otherwise.

    Attributes:
        command: The command.
        option: Name of the option, without dashes before it.
        value: As it was written: a text, a number, a switch, a table, or None for nothing.
        origin: Where it was written: `DEFAULT`, "file", or the name of an environment variable.
    """

    command: str
    option: str
    value: Any
    origin: str


def file_path() -> Path:
    """The file that is read: `STREAMER_CONFIG`, or `config.toml` in the user's folder for that."""
    named = os.environ.get(PREFIX + "CONFIG")
    return Path(named) if named else platformdirs.user_config_path("streamer") / "config.toml"


def apply(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> list[Setting]:
    """Make what the file and the environment say the defaults of the commands' options.

    Returns:
        Every option of every command, in the order of the parser.

    Raises:
        ConfigurationError: The file cannot be read, or it or a variable says what no option takes.
    """
    file = _File(file_path())
    commands = {name: dict(_options_of(command)) for name, command in commands_of(parser).items()}
    file.refuse_unknown(commands)
    found = []
    for command, options in commands.items():
        for option, action in options.items():
            value, origin = _in_force(file, environment, command, option)
            if origin == DEFAULT:
                value = action.default
            else:
                where = origin if origin != "file" else file.place_of(command, option)
                action.default = _converted(action, value, where)
            found.append(Setting(command, option, value, origin))
    return found


def unknown_variables(environment: Mapping[str, str], settings: Collection[Setting]) -> list[str]:
    """Variables that look like ours and are read by nothing: a slip of the pen, perhaps."""
    known = {PREFIX + name for name in ("CONFIG", "MODELS_DIR", "TEST_MICROPHONE")}
    for setting in settings:
        known |= {_variable(setting.option), _variable(setting.command, setting.option)}
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of the commands, by name."""
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return dict(commands.choices)


class _File:
    """The file, as a table; empty if there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.table: dict[str, Any] = {}
        try:
            # Editors of Windows put a mark before the first character.
            self.table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            if os.environ.get(PREFIX + "CONFIG"):
                raise ConfigurationError(
                    f"Expected the file that {PREFIX}CONFIG names, found none at {path}."
                ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"{path}: expected TOML, with texts between quotes: {error}."
            ) from None
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read: {error.strerror}.") from None

    def place_of(self, command: str, option: str) -> str:
        """Where the value of a command's option stands."""
        table = f"[{command}] " if option in self.table.get(command, {}) else ""
        return f"{self.path}: {table}{option}"

    def refuse_unknown(self, commands: Mapping[str, Mapping[str, Any]]) -> None:
        of_all = {option for options in commands.values() for option in options}
        for key, value in self.table.items():
            if key in commands and isinstance(value, dict):
                for option in value:
                    self._refuse_unless_in(option, commands[key], f"[{key}] ")
            else:
                known = commands if isinstance(value, dict) else of_all
                self._refuse_unless_in(key, known, "")

    def _refuse_unless_in(self, key: str, known: Collection[str], where: str) -> None:
        if key in known:
            return
        hint = what_was_meant(key.replace("_", "-"), known, "`streamer config` lists all.")
        raise ConfigurationError(
            f"{self.path}: {where}expected the name of an option, found {key!r}; {hint}"
        )


def _options_of(command: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    for action in command._actions:
        name = next((text[2:] for text in action.option_strings if text.startswith("--")), None)
        is_for_one_call = action.nargs == 0 and not isinstance(
            action, argparse.BooleanOptionalAction
        )
        if name is not None and name not in FOR_ONE_CALL and not is_for_one_call:
            yield name, action


def _in_force(
    file: _File, environment: Mapping[str, str], command: str, option: str
) -> tuple[Any, str]:
    for name in (_variable(command, option), _variable(option)):
        if value := environment.get(name):  # An empty variable is none.
            return value, name
    of_command = file.table.get(command, {})
    if option in of_command:
        return of_command[option], "file"
    if option in file.table:
        return file.table[option], "file"
    return None, DEFAULT


def _variable(*names: str) -> str:
    return PREFIX + "_".join(names).upper().replace("-", "_")


def _converted(action: argparse.Action, value: Any, where: str) -> Any:
    """The value as the command line would have given it."""

    def refusal(expected: str) -> ConfigurationError:
        return ConfigurationError(f"{where}: expected {expected}, found {value!r}.")

    if isinstance(action, argparse.BooleanOptionalAction):
        switch = SWITCHES.get(value.lower()) if isinstance(value, str) else value
        if not isinstance(switch, bool):
            raise refusal("true or false")
        return switch
    if isinstance(action.default, dict):
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise refusal('a table in the file, with a line "spoken" = "written" for each')
        return {**action.default, **value}
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise refusal("one text or number")
    text = str(value)
    if text.startswith("~"):  # No shell has seen it. It may be a command, and not only a path.
        text = os.path.expanduser(text)
        if text.startswith("~"):
            raise refusal("a path in the folder of a user that there is")
    try:
        converted = action.type(text) if callable(action.type) else text
    except argparse.ArgumentTypeError as error:
        raise ConfigurationError(f"{where}: {str(error).rstrip('.')}.") from None
    except ValueError:
        raise refusal("a number" if action.type in (int, float) else "another value") from None
    if action.choices is not None and converted not in action.choices:
        raise refusal(f"one of {', '.join(map(str, action.choices))}")
    return converted


def what_was_meant(name: str, known: Collection[str], otherwise: str) -> str:
    """The end of a message about a name that is none: which was meant, if one is like it."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else otherwise
