"""Shells complete the command line, and `man streamer` says what `--help` says."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from streamer.arguments import parser
from streamer.configuration import commands_of

ROOT = Path(__file__).parents[1]


def completions(folder: Path, *words: str) -> set[str]:
    """What bash offers for the last of the words."""
    program = 'eval "$(cat)"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_streamer'
    done = subprocess.run(
        ["bash", "-c", program + '; printf "%s\\n" "${COMPREPLY[@]}"', "bash", "streamer", *words],
        input=_script("bash"),
        capture_output=True,
        text=True,
        cwd=folder,
        check=True,
    )
    return set(done.stdout.split())


def _script(shell: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "streamer", "completion", shell],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_options_values_and_files(tmp_path: Path) -> None:
    (tmp_path / "interview.flac").touch()
    assert completions(tmp_path, "tra") == {"transcribe"}
    assert completions(tmp_path, "captions", "--num") == {"--numbers"}
    assert completions(tmp_path, "captions", "--numbers", "") == {"words", "prose", "digits"}
    assert completions(tmp_path, "transcribe", "int") == {"interview.flac"}
    assert completions(tmp_path, "captions", "--model", "wav2vec2") == {"wav2vec2-960h"}
    assert completions(tmp_path, "models", "pull", "facebook/h") == {
        "facebook/hubert-large-ls960-ft"
    }


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_read_their_script(shell: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(_script(shell))
    assert "transcribe" in script.read_text()
    if shutil.which(shell):
        subprocess.run([shell, "-n", script], check=True)


def test_the_manual_names_every_command_and_option() -> None:
    page = (ROOT / "streamer" / "manual" / "streamer.1").read_text().replace("\\", "")
    for name, command in commands_of(parser()).items():
        section = page.partition(f".SS fBstreamer {name}fR")[2].partition(".SS ")[0]
        assert section, f"scripts/make_manual: there is no section on {name}"
        options = {text for action in command._actions for text in action.option_strings}
        missing = [option for option in options - {"-h", "--help"} if option not in section]
        assert not missing, f"scripts/make_manual: {name} lacks {missing}"
