"""The terminal of a call: a line for each thing that happens, and a status line at the bottom.

It reads well at 80 columns and without colour: what matters is in words, colour only repeats it.
"""

import os
import select
import sys
import textwrap
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from .._text import shown
from .call import CallLog

HELP = """\
Type, and press Enter: your words are spoken at once, over the agent's as well.
  /play FILE    play a WAV file to the agent
  /keys 123#    press telephone keys
  /hangup       end the call
  /help         this text
Ctrl+C ends the call and writes its files; pressed again, it ends at once."""

# The caller's side in magenta: beside red it is the one of the 16 colours that is read on black and on white.
_NAMES = {
    "agent": ("agent", "bold"),
    "caller": ("you", "bold magenta"),
    "heard": ("heard", "magenta"),
    "held": ("held", "magenta"),
    "turn": ("turn", ""),
    "gap": ("gap", ""),
    "note": ("", "dim"),
    "error": ("", "bold red"),
}


GLANCE = 0.2
"""Seconds from one look at whether the call is over to the next, where lines are read from a plain terminal."""


class Screen:
    """The terminal of one call.

    Args:
        plain: write lines only: no prompt, no bottom line. For a script, or where the output is no terminal.
    """

    help = HELP

    def __init__(self, *, plain: bool) -> None:
        self._plain = plain
        if not plain:
            import prompt_toolkit.shortcuts  # noqa: F401 - 0.1 s: not for a script, nor first in the session's loop
        self._console = Console(highlight=False, soft_wrap=True)
        self._width = min(self._console.width, 100)
        self.call: CallLog | None = None

    def show(self, kind: str, text: str) -> None:
        """Write one thing that happened; safe from any thread."""
        if kind not in _NAMES:
            return
        name, style = _NAMES[kind]
        now = f"{self.call.line.now:6.1f}  " if self.call is not None and name else ""
        head = f"{now}{name:<7}" if name else ""
        body = textwrap.fill(shown(text), self._width, initial_indent=head, subsequent_indent=" " * len(head)) or head
        line = Text(body)
        line.stylize(style, 0, len(head) if head else len(body))
        if self._plain:
            self._console.print(line)
            return
        from prompt_toolkit.formatted_text import ANSI
        from prompt_toolkit.shortcuts import print_formatted_text

        with self._console.capture() as captured:
            self._console.print(line, end="")
        print_formatted_text(ANSI(captured.get()))

    def say(self, text: str) -> None:
        self._console.print(Text(shown(text)))

    def prompt(self, on_line: Callable[[str], None], over: Callable[[], bool]) -> None:
        """Read what the person types until the call is over or it ends the input; blocks.

        Raises:
            KeyboardInterrupt: Ctrl+C.
        """
        if self._plain:
            _read_lines(on_line, over)
            return
        from prompt_toolkit import PromptSession
        from prompt_toolkit.patch_stdout import patch_stdout

        session: PromptSession[str] = PromptSession("> ", bottom_toolbar=self._status, refresh_interval=0.1)

        def leave_when_over() -> None:
            if over() and session.app.is_running:
                session.app.exit(exception=EOFError)

        session.app.after_render += lambda _: leave_when_over()
        with patch_stdout(raw=True):
            while not over():
                try:
                    on_line(session.prompt())
                except EOFError:
                    return

    def _status(self) -> str:
        """The bottom line: who has the floor, how far the utterance is, and what is being heard."""
        if self.call is None or self.call.line.session is None:
            return "the call begins …"
        segment = self.call.line.loudspeaker.current
        if segment is not None and segment.start is not None:
            done = segment.played / segment.captured if segment.captured else 0.0
            bar = "█" * round(done * 20) + "·" * (20 - round(done * 20))
            length = f"/{segment.captured:.0f} s" if segment.complete else " s"
            protected = segment.handle is not None and not segment.handle.allow_interruptions
            state = f"agent speaks{' (protected)' if protected else ''} {bar} {segment.played:.0f}{length}"
        else:
            state = {"thinking": "agent thinks"}.get(self.call.line.session.agent_state, "the floor is yours")
        held = sum(1 for words in self.call.held if words.fate == "held")
        line = f" {state}{f' · {held} held' if held else ''}"
        spoken = tail(self.call.caption, self._width - 4)
        hears = tail(self.call.guess, self._width - len(line) - len(" · hears “”"))
        return shown("".join((f" “{spoken}”\n" if spoken else "", line, f" · hears “{hears}”" if hears else "")))


def _read_lines(on_line: Callable[[str], None], over: Callable[[], bool]) -> None:
    """Read lines from a terminal whose output goes elsewhere (``| tee``), until the call is over or the input ends."""
    typed = b""
    while not over():
        if not select.select([sys.stdin], [], [], GLANCE)[0]:
            continue
        if not (more := os.read(sys.stdin.fileno(), 4096)):
            return
        *lines, typed = (typed + more).split(b"\n")
        for line in lines:
            on_line(line.decode(errors="replace"))


def tail(text: str, width: int) -> str:
    """The last words of a text that fit into so many characters, after “…” where some are left out."""
    said = " ".join(text.split())
    if len(said) <= width:
        return said
    kept = said[-(width - 1) :].partition(" ")[2] or said[-(width - 2) :]
    return f"… {kept}" if width > 10 else ""
