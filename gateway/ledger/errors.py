"""What can go wrong between us and Redis, in one clear line each."""

from __future__ import annotations

REFUSALS = ("MISCONF", "NOREPLICAS")


class LedgerError(Exception):
    """The ledger could not do what was asked; the text names no password."""


class LedgerDown(LedgerError):  # noqa: N818 - reads better where it is caught
    """Redis did not answer in time; whether the script ran is unknown."""


class LedgerFull(LedgerError):  # noqa: N818 - as above
    """Redis is out of memory; the script did not run."""


def refuses_writes(error: Exception) -> bool:
    """Tell whether that is how a Redis answers that takes no writes for now: its disk is full, or its replicas away."""
    return str(error).startswith(REFUSALS)
