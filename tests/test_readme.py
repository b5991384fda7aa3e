"""What the README shows runs."""

import re
import shlex
from pathlib import Path

import pytest

import streamer
from streamer.arguments import parser
from streamer.cli import COMMANDS as IMPLEMENTED

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
# A command ends where its explanation begins, two spaces further on.
COMMANDS = re.findall(r"^(?:.*\| )?streamer((?: [^\s|]+)*)(?:  .*)?$", README, re.MULTILINE)


@pytest.mark.parametrize("program", PROGRAMS)
def test_its_programs_compile(program: str) -> None:
    compile(program, "README.md", "exec")


def test_the_program_that_needs_no_microphone_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (program,) = [program for program in PROGRAMS if "Microphone" not in program]
    monkeypatch.chdir(ROOT)
    exec(compile(program, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "THANK YOU ALL FOR COMING" in printed
    assert "Closed(" in printed.splitlines()[-1]


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_are_understood(command: str, tmp_path: Path) -> None:
    (tmp_path / "subtitles").mkdir()
    arguments = shlex.split(command.replace("subtitles", str(tmp_path / "subtitles")))
    options = parser().parse_args(arguments or ["captions"])
    assert options.command in IMPLEMENTED


def test_every_public_name_exists_once() -> None:
    assert sorted(set(streamer.__all__)) == sorted(streamer.__all__)
    assert [name for name in streamer.__all__ if not hasattr(streamer, name)] == []
