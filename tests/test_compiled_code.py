"""What XLA has compiled is kept for the next start, and can do no harm."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamer.models import compiled_code

PROGRAM = """
import sys
if "first" in sys.argv:
    import tensorflow
from streamer import models
models.import_tensorflow()
import tensorflow as tf
from streamer.models.compiled import CompiledModel
from streamer.models.labels import WAV2VEC2_LABELS

class Network:
    name, labels, hop, receptive_field, shortest = "tiny", WAV2VEC2_LABELS, 100, 100, None
    jit_compile = True
    def __call__(self, waveforms, valid):
        frames = tf.reshape(waveforms, [1, -1, 100])
        return frames @ tf.ones([100, 32]), valid // 100

print(CompiledModel(Network(), [1_000]).log_probs(tf.ones([500]).numpy()).sum())
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "my cache"))
    monkeypatch.setenv("HOME", str(tmp_path))  # for macOS
    monkeypatch.delenv(compiled_code.FLAGS, raising=False)
    return tmp_path / "my cache"


def run(*arguments: str, **environment: str) -> None:
    """Compile something in a new process, and see that it computes what it should."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.stdout == "16000.0\n", ran.stderr


def kept() -> dict[Path, float]:
    """The files of our folder, and when they were written."""
    return {file: file.stat().st_mtime for file in compiled_code.folder().glob("*.pb")}


def test_the_second_start_finds_what_the_first_has_compiled(cache: Path) -> None:
    run()
    first = kept()
    assert first
    assert all(cache in file.parents for file in first)
    run()
    assert kept() == first


def test_the_second_start_compiles_nothing_of_starter(cache: Path) -> None:
    warm_up = "from streamer import models; models.load('starter').warm_up()"
    found = []
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-c", warm_up], capture_output=True, timeout=120, check=True
        )
        found.append(kept())
    assert found[0] == found[1] != {}


def test_the_oldest_files_are_thrown_away(cache: Path) -> None:
    run()
    (newest,) = kept()
    for age_s in range(1, 2 * compiled_code.MOST_FILES):
        file = newest.with_name(f"{age_s}.pb")
        file.write_bytes(b"")
        os.utime(file, (newest.stat().st_mtime - age_s,) * 2)
    run()
    expected = {f"{age_s}.pb" for age_s in range(1, compiled_code.MOST_FILES)}
    assert {file.name for file in kept()} == {newest.name, *expected}


@pytest.mark.parametrize("damage", [b"", b"\x80garbage" * 500, None])
def test_a_damaged_file_is_compiled_anew(cache: Path, damage: bytes | None) -> None:
    run()
    (file,) = kept()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    run()
    run()
    assert len(file.read_bytes()) == len(whole)


def test_what_other_versions_have_kept_is_thrown_away(cache: Path) -> None:
    older = compiled_code.folder().with_name("1.0-0.0")
    elsewhere = compiled_code.folder().parents[1] / "another-processor" / "1.0-0.0"
    for folder in (older, elsewhere):
        folder.mkdir(parents=True)
    run()
    assert kept()
    assert not older.exists()
    assert elsewhere.exists()


def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    run()
    assert not kept()


def test_a_program_that_imports_tensorflow_itself_decides_for_itself(
    cache: Path, tmp_path: Path
) -> None:
    run("first")
    run(TF_XLA_FLAGS=f"--tf_xla_persistent_cache_directory={tmp_path / 'own'}")
    assert not kept()


def test_nothing_is_thrown_away_that_is_not_in_use(cache: Path) -> None:
    compiled_code.folder().mkdir(parents=True)
    (compiled_code.folder() / "of-another-program.pb").touch()
    assert not compiled_code.forget()
    assert kept()
