"""The one clear line and the exit code that a command ends with when something is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Fault(Exception):  # noqa: N818 - what the user or the environment got wrong, not a fault of ours
    """Ends the command with one line on stderr and an exit code: 2 = cannot be done as asked, 1 = it was refused."""

    def __init__(self, line: str, *, code: int = 2) -> None:
        """Take the line, without a secret in it, and the exit code."""
        super().__init__(line)
        self.code = code


def unknown(what: str, name: str, known: Iterable[str]) -> Fault:
    """Make the fault for a name nobody declared: `unknown source 'blg'; did you mean 'blog'?`."""
    from gateway.config.errors import nearest  # noqa: PLC0415 - keeps `hookmill --help` quick

    names = sorted(known)
    return Fault(f"unknown {what} {name!r}{nearest(name, names) or '; known: ' + (', '.join(names) or 'none')}")


def line_of(error: Exception) -> str | None:
    """Give the line for an error that is no bug of ours, or None: then a traceback is what helps."""
    from gateway.config import ConfigError  # noqa: PLC0415 - only an error pays for these imports
    from gateway.ledger.errors import LedgerError  # noqa: PLC0415

    if isinstance(error, Fault | ConfigError | LedgerError):
        return str(error)
    if isinstance(error, OSError):
        subject = f"{error.filename}: " if error.filename else ""
        return f"{subject}{(error.strerror or str(error) or type(error).__name__).lower()}"
    return None
