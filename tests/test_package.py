"""`import streamer` takes no time, and has every public name."""

import subprocess
import sys

import streamer


def test_nothing_is_imported_before_it_is_used() -> None:
    program = (
        "import sys, streamer\n"
        "assert 'numpy' not in sys.modules\n"
        "from streamer import *\n"
        "assert Transcriber and Final and streamer.Pipe\n"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_public_name_is_there() -> None:
    assert all(hasattr(streamer, name) for name in streamer.__all__)
    assert "Transcriber" in dir(streamer)
