"""One file and some variables say once what would be said with every call."""

import argparse
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamer import configuration
from streamer.arguments import parser
from streamer.cli import COMMANDS, main, sample_path
from streamer.doctor.finding import PROBLEM
from streamer.doctor.system import configuration_in_force
from streamer.errors import ConfigurationError


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that is read, empty to begin with."""
    path = tmp_path / "config.toml"
    path.touch()
    monkeypatch.setenv("STREAMER_CONFIG", str(path))
    return path


def in_force(*arguments: str) -> dict[str, object]:
    """The options of a command line."""
    top = parser()
    configuration.apply(top, os.environ)
    found = vars(top.parse_args(arguments))
    found.pop("check", None)  # a function of the parser's own
    return found


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["config"]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.startswith("streamer: ")
    assert printed.err.count("\n") == 1
    return printed.err


def test_the_more_special_wins(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_force("captions")["language"] == "en"
    config.write_text('language = "de"\n[transcribe]\nlanguage = "fr"\n')
    assert in_force("captions")["language"] == "de"
    assert in_force("transcribe", "-")["language"] == "fr"
    monkeypatch.setenv("STREAMER_LANGUAGE", "it")
    assert in_force("captions")["language"] == "it"
    assert in_force("transcribe", "-")["language"] == "it"
    monkeypatch.setenv("STREAMER_CAPTIONS_LANGUAGE", "es")
    assert in_force("captions")["language"] == "es"
    assert in_force("captions", "--language", "pt")["language"] == "pt"


def test_a_goal_on_the_command_line_takes_the_place_of_another_one(config: Path) -> None:
    config.write_text('[dictate]\nfile = "notes.txt"\n')
    assert in_force("dictate")["file"] == Path("notes.txt")
    found = in_force("dictate", "--to", "stdout")
    assert (found["to"], found["file"]) == ("stdout", None)
    found = in_force("dictate", "--exec", "cat")
    assert (found["exec"], found["file"]) == ("cat", None)


def test_a_goal_of_the_environment_goes_before_one_of_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config.write_text(f'[dictate]\nfile = "{tmp_path}"\n')  # It cannot be written.
    monkeypatch.setenv("STREAMER_DICTATE_EXEC", "cat")
    chosen: list[object] = []
    monkeypatch.setitem(COMMANDS, "dictate", lambda o: chosen.append((o.exec, o.file)) or 0)
    assert main(["dictate", "--sample"]) == 0
    assert chosen == [("cat", None)]


def test_two_goals_are_one_too_many(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text('[dictate]\nfile = "notes.txt"\nto = "clipboard"\n')
    with pytest.raises(SystemExit, match="2"):
        main(["dictate", "--sample"])
    assert "the configuration names to and file; expected one of them" in capsys.readouterr().err


def test_values_become_what_the_command_line_would_make_of_them(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(
        'end-silence = 1\n[transcribe]\nrealtime = true\nsave = "~/talk.srt"\nrate = 8000\n'
        '[dictate]\nexec = "~/bin/post https://host/text"\n'
    )
    monkeypatch.setenv("STREAMER_PARTIALS", "off")
    monkeypatch.setenv("STREAMER_MODEL", "")
    found = in_force("transcribe", "-")
    assert found["end_silence"] == 1.0
    assert found["realtime"] is True
    assert found["save"] == Path.home() / "talk.srt"
    assert in_force("dictate")["exec"] == f"{Path.home()}/bin/post https://host/text"
    assert found["rate"] == 8000
    assert found["model"] == "auto"
    assert found["partials"] is False
    assert in_force("transcribe", "--no-realtime", "-")["realtime"] is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('modle = "starter"', "found 'modle'; did you mean 'model'?"),
        ("[captions]\nend_silence = 1", "found 'end_silence'; did you mean 'end-silence'?"),
        ("[captoins]\nnumbers = 1", "found 'captoins'; did you mean 'captions'?"),
        ("zzz = 1", "found 'zzz'; `streamer config` lists all."),
        ("sample = true", "found 'sample'"),
        ('[dictate]\ncontrol = "stop"', "found 'control'"),
        ('numbers = "roman"', "numbers: expected one of words, prose, digits, found 'roman'."),
        ("end-silence = 99", "end-silence: expected seconds, from 0.05 to 10, found '99'."),
        ("partials = 3", "partials: expected true or false, found 3."),
        ("model = [1]", "model: expected one text or number, found [1]."),
        ('rate = "fast"', "rate: expected a number, found 'fast'."),
        ('save = "talk.doc"', "save: Expected a file ending in"),
        ('save = "~nobody here/a.txt"', "save: expected a path in the folder of a user"),
        ("model = ", "expected TOML, with"),
    ],
)
def test_what_no_option_takes_is_refused_in_one_sentence(
    text: str, expected: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(text)
    message = refusal(capsys)
    assert expected in message
    assert str(config) in message


def test_a_wrong_variable_is_named(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMER_CAPTIONS_PRESET", "fast")
    assert "STREAMER_CAPTIONS_PRESET: expected one of " in refusal(capsys)


def test_a_mark_before_the_first_character_is_no_part_of_it(config: Path) -> None:
    config.write_text('\ufefflanguage = "de"\n', encoding="utf-8")
    assert in_force("captions")["language"] == "de"


@pytest.mark.skipif(sys.platform == "win32", reason="it has other folders")
def test_where_there_is_no_home_that_is_said_in_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HOME", "STREAMER_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    assert main(["models"]) == 1
    assert capsys.readouterr().err == (
        "streamer: Expected a home folder for the configuration and the cache, found none: "
        "set HOME.\n"
    )


def test_a_named_file_must_be_there(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.unlink()
    assert "found none at" in refusal(capsys)
    config.mkdir()
    assert "cannot be read: Is a directory" in refusal(capsys)


def test_a_value_in_a_command_s_table_is_refused_with_the_table(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text('[captions]\nnumbers = "digit"\n')
    assert "[captions] numbers: expected one of " in refusal(capsys)


def test_the_doctor_sees_a_damaged_file_and_looks_at_the_rest(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("modell = 1\n")
    with pytest.raises(SystemExit, match="2"):
        main(["doctor", "--nonsense"])  # What is wrong with the command line is said first.
    capsys.readouterr()
    secret = ConfigurationError("numbers: expected one of words, prose, found 'my password'.")
    (found,) = configuration_in_force(argparse.Namespace(damage=secret, settings=[]))
    assert (found.status, found.remedy) == (PROBLEM, "streamer config")
    assert "my password" not in found.message
    assert main(["doctor", "--seconds", "0", "--model", str(config.parent / "none")]) == 1
    said = capsys.readouterr().out
    assert "FAIL  configuration: is damaged" in said
    assert "  disk: " in said


def test_what_mends_a_damaged_file_or_does_not_need_it_works(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("modell = 1\n")
    assert main(["config", "--path"]) == 0
    assert capsys.readouterr() == (f"{config}\n", "")
    assert main(["completion", "bash"]) == 0
    assert "complete " in capsys.readouterr().out
    assert main(["config"]) == 2


def test_raw_sound_may_be_described_for_whenever_it_comes(
    config: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config.write_text("[transcribe]\nrate = 8000\n")
    assert main(["transcribe", str(tmp_path / "none.wav")]) == 1
    assert "none.wav" in capsys.readouterr().err  # and not a word of --rate
    with pytest.raises(SystemExit, match="2"):
        main(["transcribe", "--channels", "2", str(tmp_path / "none.wav")])
    assert "--channels describes raw PCM" in capsys.readouterr().err


def test_the_speed_of_speech_may_be_configured_though_a_pipe_has_its_own(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("[transcribe]\nrealtime = true\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    monkeypatch.setattr("streamer.models.load", None)
    assert main(["transcribe", "-"]) == 1
    assert "the pipe is empty" in capsys.readouterr().err


@pytest.mark.parametrize("goal", [["--to", "stdout"], ["--exec", "cat"]])
def test_live_may_be_configured_though_some_goals_take_nothing_back(
    goal: list[str], config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("[dictate]\nlive = true\n")
    monkeypatch.setitem(COMMANDS, "dictate", lambda _: 0)
    assert main(["dictate", "--sample", *goal]) == 0


def test_help_needs_no_configuration(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text("nonsense")
    with pytest.raises(SystemExit, match="0"):
        main(["captions", "--help"])
    assert "--numbers" in capsys.readouterr().out


def test_what_is_shown_is_a_configuration_that_changes_nothing(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text('language = "de"\n[captions]\nnumbers = "digits"\n')
    monkeypatch.setenv("STREAMER_MODEL", 'a "quoted" \\ näme')
    monkeypatch.setenv("STREAMER_MODLE", "starter")
    assert main(["config"]) == 0
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert lines[0] == f"# {config}"
    assert "# STREAMER_MODLE: no option has this name" in lines
    languages = [line for line in lines if line.startswith("language ")]
    assert {line.split("#")[-1].strip() for line in languages} == {"file"}
    assert any(line.startswith("model = ") and line.endswith("# STREAMER_MODEL") for line in lines)
    captions = [line.split() for line in lines[lines.index("[captions]") :]]
    assert ["numbers", "=", '"digits"', "#", "file"] in captions

    before = in_force("captions"), in_force("transcribe", "-")
    config.write_text(shown)
    monkeypatch.delenv("STREAMER_MODEL")
    assert (in_force("captions"), in_force("transcribe", "-")) == before


def test_the_path_is_printed_before_there_is_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STREAMER_CONFIG", raising=False)
    assert main(["config", "--path"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path.name == "config.toml"
    assert "streamer" in path.parts


def test_the_program_reads_it(config: Path) -> None:
    config.write_text('[transcribe]\nformat = "srt"\n')
    done = subprocess.run(
        [sys.executable, "-m", "streamer", "transcribe", sample_path()],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1\n00:00:")
