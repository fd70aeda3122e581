"""What a worker may do with one delivery: begin it, commit it, settle it.

Owns the two ways in which a delivery is held. `Leased`: its message is under a lease of our transport, and the ledger in the
same Redis knows of every step. `Unrecorded`: the message came by a transport without leases; nothing is noted, Celery stores
and acknowledges, and a message that is given out again may be a duplicate. `delivery` and `tasks` call it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from postroom_broker.ledger.claims import Claim, Claims, Settlement, Standing
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import BrokerUnavailable, ExpiredException, IOException


class Overtaken(Exception):
    """This worker has nothing more to do with a delivery."""

    def __init__(self, standing: Standing) -> None:
        super().__init__(standing.value)
        self.standing = standing


class Assignment(Protocol):
    """One delivery in the hands of this worker."""

    @property
    def id(self) -> str:
        """The delivery's id."""

    @property
    def is_repeated(self) -> bool:
        """Whether the message says that it was given out before; a ledger that has a record of it knows better."""

    @property
    def is_revoked(self) -> bool:
        """Whether it is not to be sent (any more), though nobody has told the ledger so."""

    async def claim(self) -> Claim:
        """Begin an attempt, and learn what is known of earlier ones."""

    async def commit(self, progress: str, expires_at: datetime | None) -> None:
        """Note that the last octets are about to leave.

        Args:
            progress: sealed, as it is if nothing more is heard.
            expires_at: when it is too late.

        Raises:
            Overtaken: they must not leave, because the delivery is not this worker's any more.
            PostroomError: they must not leave, because it is too late, or Redis is away.
        """

    async def settle(self, settlement: Settlement) -> Standing | None:
        """Write down how the attempt ended; None where that is left to Celery."""


@dataclass(frozen=True, slots=True)
class Leased:
    """A delivery under a lease."""

    id: str
    lease: str
    claims: Claims
    is_repeated: bool = False
    is_revoked: bool = False

    async def claim(self) -> Claim:
        """Begin an attempt."""
        return await self.claims.claim(self.id, self.lease)

    async def commit(self, progress: str, expires_at: datetime | None) -> None:
        """Note that the last octets are about to leave."""
        try:
            standing = await self.claims.commit(self.id, self.lease, progress, expires_at)
        except BrokerUnavailable as away:
            facts = {"reason": "broker_away", "retryable": True}
            raise IOException(ErrorCode.CONNECTION_LOST, facts) from away
        if standing is Standing.EXPIRED:
            raise ExpiredException(ErrorCode.EXPIRED, {})
        if standing is not Standing.OURS:
            raise Overtaken(standing)

    async def settle(self, settlement: Settlement) -> Standing | None:
        """Write down how the attempt ended."""
        return await self.claims.settle(self.id, self.lease, settlement)


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """A delivery of which no ledger knows."""

    id: str
    is_repeated: bool = False
    is_revoked: bool = False

    async def claim(self) -> Claim:
        """Begin an attempt."""
        return Claim(Standing.OURS)

    async def commit(self, progress: str, expires_at: datetime | None) -> None:
        """Note nothing."""

    async def settle(self, settlement: Settlement) -> Standing | None:  # noqa: ARG002 -- Celery does it
        """Leave it to Celery."""
        return None
