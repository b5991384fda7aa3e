"""`streamer`, also as `python -m streamer`."""

import signal

# While modules are imported Ctrl-C ends the program at once, and not in the middle of one of them.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from streamer.cli import entry  # What takes its time comes behind that.

if __name__ == "__main__":
    entry()
