"""The Lua scripts of the transport.

Owns their list. Their texts lie in the folder `lua` beside this module, each with a header that says what it does; keys are
always given in full, with the operator's prefix.
"""

from __future__ import annotations

from functools import partial

from postroom_broker.script import Argument, Script

__all__ = ["CLAIM", "DELAY", "LAPSED", "PROMOTE", "PUT_BACK", "RENEW", "STEP_BACK", "Argument"]

_script = partial(Script, "postroom_broker.transport")

CLAIM = _script("claim")
RENEW = _script("renew")
LAPSED = _script("lapsed")
PUT_BACK = _script("put_back")
DELAY = _script("delay")
PROMOTE = _script("promote")
STEP_BACK = _script("step_back")
