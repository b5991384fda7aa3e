"""Keys of an X11 keyboard that nothing is on, for the characters that its layout lacks.

`xdotool` puts such a character on a free key while it presses it, and takes it away again: an
application that is slow to look sees another one, or none. Here each gets a key of its own, which
keeps it as long as there are keys.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

# Applications read what is on a key when they handle that it was pressed, busy ones this late.
READ_S = 0.5


class SpareKeys:
    """Gives keys to characters, and takes them back when the program ends.

    It needs two libraries that `xdotool` needs as well.
    """

    def __init__(self) -> None:
        """Load the libraries; nothing is changed yet.

        Raises:
            OSError: They are not where libraries are looked for.
        """
        self._x11, self._xkb = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libxkbcommon.so.0")
        integers = ctypes.POINTER(ctypes.c_int)
        symbols = ctypes.POINTER(ctypes.c_ulong)
        display, integer, key = ctypes.c_void_p, ctypes.c_int, ctypes.c_ubyte
        for name, result, *arguments in (
            ("XOpenDisplay", display, ctypes.c_char_p),
            ("XCloseDisplay", integer, display),
            ("XDisplayKeycodes", integer, display, integers, integers),
            ("XGetKeyboardMapping", symbols, display, key, integer, integers),
            ("XChangeKeyboardMapping", integer, display, integer, integer, symbols, integer),
            ("XFree", integer, symbols),
            ("XSync", integer, display, integer),
        ):
            function = getattr(self._x11, name)
            function.restype, function.argtypes = result, arguments
        self._display_name = os.environ.get("DISPLAY", "").encode()
        self._given: dict[int, tuple[int, int]] = {}  # by key, small and capital letter
        atexit.register(self._take_back)

    def give(self, text: str) -> int:
        """Have a key for each character of a text, as far as there are keys.

        Returns:
            How many characters can be typed now, at least one.
        """
        with self._open_display() as display:
            if display is None:  # as xdotool will say
                return len(text)
            keys = self._keys(display)
            there = {symbol for symbols in keys.values() for symbol in symbols}
            spare = [key for key, symbols in keys.items() if not any(symbols)]
            # Another layout may have been chosen meanwhile.
            self._given = {k: pair for k, pair in self._given.items() if pair[0] in keys[k]}
            needed: set[int] = set()
            for number, character in enumerate(text):
                pair = (self._symbol(character.lower()), self._symbol(character.upper()))
                wanted = self._symbol(character)
                if wanted not in pair:  # Its other case is more than one character.
                    pair = (wanted, wanted)
                if wanted in there:
                    needed |= {key for key, given in self._given.items() if wanted in given}
                    continue
                if not spare:
                    spare = [key for key in self._given if key not in needed]
                    if not spare:
                        return max(number, 1)
                    time.sleep(READ_S)
                    for key in spare:
                        there -= set(self._given.pop(key))
                key = spare.pop()
                self._put(display, key, *pair)
                self._given[key] = pair
                there |= set(pair)
                needed.add(key)
        return len(text)

    def _symbol(self, text: str) -> int:
        return int(self._xkb.xkb_utf32_to_keysym(ord(text))) if len(text) == 1 else 0

    def _keys(self, display: int) -> dict[int, list[int]]:
        """What is on each key."""
        first, last, n_symbols = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        self._x11.XDisplayKeycodes(display, first, last)
        numbers = range(first.value, last.value + 1)
        found = self._x11.XGetKeyboardMapping(display, first.value, len(numbers), n_symbols)
        n = n_symbols.value
        keys = {key: found[i * n : i * n + n] for i, key in enumerate(numbers)}
        self._x11.XFree(found)
        return keys

    def _put(self, display: int, key: int, *symbols: int) -> None:
        array = (ctypes.c_ulong * len(symbols))(*symbols)
        self._x11.XChangeKeyboardMapping(display, key, len(symbols), array, 1)
        self._x11.XSync(display, 0)

    def _take_back(self) -> None:
        with self._open_display() as display:
            if display is None or not self._given:
                return
            time.sleep(READ_S)
            keys = self._keys(display)
            for key, pair in self._given.items():
                if pair[0] in keys[key]:
                    self._put(display, key, 0)

    @contextmanager
    def _open_display(self) -> Iterator[int | None]:
        # Not for longer: when the server goes, the library ends the program that has it open.
        display = self._x11.XOpenDisplay(self._display_name)
        try:
            yield display
        finally:
            if display is not None:
                self._x11.XCloseDisplay(display)
