"""`streamer`, also as `python -m streamer`."""

import signal

# While modules are imported Ctrl-C ends the program at once, and not in the middle of one of them.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
# A shortcut that toggles a dictation comes too early then, which is no reason to end it.
if hasattr(signal, "SIGUSR1"):
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)

from streamer.cli import entry  # What takes its time comes behind that.

if __name__ == "__main__":
    entry()
