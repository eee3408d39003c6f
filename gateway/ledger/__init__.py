"""The ledger: the truth about every event, and the only code that touches Redis keys."""

from gateway.ledger.alert import ALERTS, AlertRules
from gateway.ledger.bulk import Bulk, Tally, carry_out
from gateway.ledger.errors import LedgerDown, LedgerError, LedgerFull, ReplicasLate
from gateway.ledger.event import (
    Admission,
    Beat,
    Begun,
    By,
    Event,
    Limit,
    NewDelivery,
    Retention,
    Rules,
    Verdict,
    Work,
    new_delivery_id,
    new_event_id,
    new_traceparent,
)
from gateway.ledger.ledger import Ledger, open_ledger
from gateway.ledger.letters import AuditEntry, AuditFilter
from gateway.ledger.progress import Progress
from gateway.ledger.slots import CircuitRule, Ended, Grant, Slots, Way
from gateway.ledger.spending import Account, BudgetSpent, Hold, Near, Spending
from gateway.ledger.view import CandidateView, Filter, GroupView, Stats, StepView, WorkView

__all__ = [
    "ALERTS",
    "Account",
    "Admission",
    "AlertRules",
    "AuditEntry",
    "AuditFilter",
    "Beat",
    "Begun",
    "BudgetSpent",
    "Bulk",
    "By",
    "CandidateView",
    "CircuitRule",
    "Ended",
    "Event",
    "Filter",
    "Grant",
    "GroupView",
    "Hold",
    "Ledger",
    "LedgerDown",
    "LedgerError",
    "LedgerFull",
    "Limit",
    "Near",
    "NewDelivery",
    "Progress",
    "ReplicasLate",
    "Retention",
    "Rules",
    "Slots",
    "Spending",
    "Stats",
    "StepView",
    "Tally",
    "Verdict",
    "Way",
    "Work",
    "WorkView",
    "carry_out",
    "new_delivery_id",
    "new_event_id",
    "new_traceparent",
    "open_ledger",
]
