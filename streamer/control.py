"""A socket through which a desktop's shortcuts reach the dictation that is running.

One line a connection: `start`, `stop`, `toggle`, `status` or `quit`; the answer is one line, too.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import platformdirs

from streamer.errors import TypingError

ORDERS = ("start", "stop", "toggle", "status", "quit")
TIMEOUT_S = 2.0
LONGEST = 100  # bytes of an order
NONE_IS_RUNNING = (FileNotFoundError, ConnectionRefusedError)
DOES_NOT_ANSWER = (TimeoutError, BlockingIOError, ConnectionError)  # It has the socket, though.


class NoSocketError(TypingError):
    """There is no place for the socket."""

    def __init__(self, error: OSError) -> None:
        """Say what the system says of it."""
        super().__init__(
            "Expected a place for the socket through which `--control` works, found none: "
            f"{error.strerror or error}. Give XDG_RUNTIME_DIR a folder of yours with a short path."
        )


def socket_path() -> Path:
    """Where the socket is: a folder that only this user can reach."""
    with warnings.catch_warnings():
        # Outside a desktop session there is none, and platformdirs takes one in /tmp.
        warnings.simplefilter("ignore")
        return platformdirs.user_runtime_path("streamer", ensure_exists=True) / "dictate.sock"


def send(order: str) -> str:
    """Give an order to the dictation that is running, and return its answer.

    Raises:
        TypingError: None is running, it does not answer, or there is no place for a socket.
    """
    try:
        return _ask(order)
    except NONE_IS_RUNNING:
        raise TypingError(
            "Expected a dictation that is running, found none. Begin one: streamer dictate "
            "--paused."
        ) from None
    except DOES_NOT_ANSWER:
        raise TypingError(
            f"Expected the dictation that is running to answer within {TIMEOUT_S:g} s, found it "
            "busy or stopped. Try again, or end its process."
        ) from None
    except OSError as error:
        raise NoSocketError(error) from error


def _ask(order: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(str(socket_path()))
        connection.sendall(order.encode() + b"\n")
        return connection.makefile(encoding="utf-8").readline().strip()


def _is_running() -> bool:
    try:
        _ask("status")
    except NONE_IS_RUNNING:
        return False
    except DOES_NOT_ANSWER:
        pass
    return True


class Control:
    """Listens on the socket while it is entered, in a thread `streamer-control`."""

    def __init__(self, obey: Callable[[str], str]) -> None:
        """Take what obeys the orders, one of `ORDERS` at a time, and returns the answer."""
        self._obey = obey
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._serve, name="streamer-control", daemon=True)

    def __enter__(self) -> Control:
        """Begin to listen.

        Raises:
            NoSocketError: There is no place for it.
            TypingError: Another dictation is running.
        """
        try:
            self._listen()
        except TypingError:
            self._socket.close()
            raise
        except OSError as error:
            self._socket.close()
            raise NoSocketError(error) from error
        self._thread.start()
        return self

    def _listen(self) -> None:
        if _is_running():
            raise TypingError(
                "Another dictation is running. End it with: streamer dictate --control quit."
            )
        self._path = socket_path()
        self._path.unlink(missing_ok=True)  # left behind by one that was killed
        mask = os.umask(0o177)
        try:
            self._socket.bind(str(self._path))
        finally:
            os.umask(mask)
        self._inode = self._path.stat().st_ino
        self._socket.listen()

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._thread.join()
        # It may have been removed, and be another's by now; while ours is open its inode is not.
        with contextlib.suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            # Who connects and says nothing, or does not wait for the answer, harms nobody.
            with connection, contextlib.suppress(OSError):
                connection.settimeout(TIMEOUT_S)
                order = connection.recv(LONGEST).decode("utf-8", "replace").strip()
                known = order in ORDERS
                answer = self._obey(order) if known else f"expected one of {', '.join(ORDERS)}"
                connection.sendall(answer.encode() + b"\n")
