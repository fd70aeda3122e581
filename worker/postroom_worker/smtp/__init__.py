"""SMTP: the sessions of a worker and the sending of one message over one of them.

The core (`reply`, `envelope`, `transaction`, `report`) is bytes in, events out; `connection` and `session` drive it over a
socket; `opening` gets that far; `cache` keeps sessions. What is exported here is what the delivery uses; deciding what a
report means is the verdict table's business.
"""

from postroom_worker.smtp.access import Access, SessionKey
from postroom_worker.smtp.cache import CacheStats, SessionCache
from postroom_worker.smtp.envelope import Envelope
from postroom_worker.smtp.limits import Limits, Timeouts
from postroom_worker.smtp.local_name import check_local_name
from postroom_worker.smtp.reply import Reply
from postroom_worker.smtp.report import Answer, Phase, TransactionReport
from postroom_worker.smtp.session import OnCommit
from postroom_worker.smtp.shelf import TurnedAway
from postroom_worker.smtp.stopwatch import Step

__all__ = [
    "Access",
    "Answer",
    "CacheStats",
    "Envelope",
    "Limits",
    "OnCommit",
    "Phase",
    "Reply",
    "SessionCache",
    "SessionKey",
    "Step",
    "Timeouts",
    "TransactionReport",
    "TurnedAway",
    "check_local_name",
]
