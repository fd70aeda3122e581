"""The Lua scripts of the ledger.

Owns their list. Their texts lie in the folder `lua` beside this module, each with a header that says what it does. The
producer's ones are called by `orders`, the worker's by `claims`, an operator's by `dead_letters`.
"""

from __future__ import annotations

from functools import partial

from postroom_broker.script import Script

_script = partial(Script, "postroom_broker.ledger")

ENTER = _script("enter")
CALL_BACK = _script("call_back", after=["hand_on"])
RESCHEDULE = _script("reschedule")
RELEASE = _script("release")
LEAVE_DEAD = _script("leave_dead", after=["hand_on"])

CLAIM = _script("claim")
COMMIT = _script("commit")
SETTLE = _script("settle", after=["hand_on"])
