"""How a failure between us and a server becomes one of the contract's errors.

Owns the facts that every such error carries: host, port, phase, reason, whether a retry is safe, and the server's reply
where there is one. What failed is told here; what to do about it is the verdict table's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PostroomError, make_error
from postroom_worker.smtp.reply import Reply


class Place(NamedTuple):
    """Where a server is, as its user named it."""

    host: str
    port: int

    def failure(  # noqa: PLR0913 -- each is a fact that the error table names
        self,
        code: ErrorCode,
        *,
        phase: str,
        reason: str | None = None,
        retryable: bool = False,
        reply: Reply | None = None,
        more: Mapping[str, object] | None = None,
    ) -> PostroomError:
        """Return the error for a failure here.

        Args:
            code: what failed; it decides the error's type.
            phase: how far the conversation had got.
            reason: the word that tells apart what shares a code.
            retryable: sending again later is safe and may succeed.
            reply: the server's own words. Never those of a service that does not speak SMTP: an error must not turn
                into a way to read the banners of somebody's internal network.
            more: further facts of this code.
        """
        facts: dict[str, object] = {"host": self.host, "port": self.port, "phase": phase, "retryable": retryable}
        if reason:
            facts["reason"] = reason
        if reply:
            facts |= reply.facts()
        return make_error(code, facts | dict(more or {}))

    def __repr__(self) -> str:
        """Show no host: it can be a secret."""
        return f"Place(port={self.port})"
