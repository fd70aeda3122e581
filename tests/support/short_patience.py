"""A real worker whose transport has little patience: a message is dead after two lost deliveries, of which each shows soon.

Used by starting a worker with `STARTER`. Everything else is as in any worker.
"""

from unittest.mock import patch

from postroom_broker.transport.channel import Channel
from postroom_worker import app

# The arguments with which an interpreter becomes such a worker.
STARTER = ("-c", "from tests.support.short_patience import run_worker; run_worker()")

DELIVERY_LIMIT = 2

# Long enough for a loaded two-core machine to renew in time.
LEASE_S = 4


def run_worker() -> None:
    """Run the worker with these two options of the transport."""
    from postroom_worker.__main__ import main  # noqa: PLC0415 -- after the options are set

    with patch.object(Channel, "delivery_limit", DELIVERY_LIMIT), patch.object(app, "LEASE_S", LEASE_S):
        main()
