"""The ledger's scripts: each one is used, and together they carry a delivery from end to end on every kind of server.

What each does by itself is tested where it is called: `test_orders`, `test_claims` and `tests/broker/test_dead_letters`.
"""

import asyncio
import re
from pathlib import Path
from typing import Any

from postroom_broker import keys
from postroom_broker.connection import connect
from postroom_broker.dead_letters import DeadLetters
from postroom_broker.ledger import scripts
from postroom_broker.ledger.claims import Act, Claims, Settlement
from postroom_broker.ledger.orders import Answer, Identity, Orders
from postroom_broker.script import Script
from postroom_broker.task_message import SealedDelivery
from postroom_broker.transport.envelope import dead
from postroom_broker.transport.scripts import CLAIM, PROMOTE
from postroom_contract.error_codes import ErrorCode
from postroom_contract.names import QUEUE_NORMAL
from postroom_contract.outcome import State
from tests.broker.transport.conftest import message

LUA = Path(__file__).parents[3] / "broker" / "postroom_broker" / "ledger" / "lua"


def test_each_text_has_a_name() -> None:
    """No script lies about that nobody calls."""
    named = [script for script in vars(scripts).values() if isinstance(script, Script)]

    texts = [path.read_text() for path in sorted(LUA.glob("*.lua"))]

    # Each script ends with a text of its own; before it may stand one that it shares with others.
    assert [text for text in texts if not any(text in script.text for script in named)] == []
    assert all(any(script.text.endswith(text) for text in texts) for script in named)


def test_the_states_that_scripts_write_are_the_contracts() -> None:
    """A state is spelt in Lua and in the contract; a slip would make a record that no receipt can read."""
    lines = [
        line for path in LUA.parents[1].rglob("*.lua") for line in path.read_text().splitlines() if "'HSET'" in line
    ]
    written = re.findall(r"'state', (?:[\w ]+? and )?'(\w+)'(?: or '(\w+)')?", "".join(lines))
    states = {state for pair in written for state in pair if state}

    assert states == {"queued", "scheduled", "sending", "retrying", "held", "cancelled", "unknown"}
    assert states <= {state.value for state in State}


def test_the_code_that_scripts_write_is_the_contracts() -> None:
    """A message that killed its workers is held with the code of what nobody foresaw."""
    text = (LUA.parents[1] / "transport" / "lua" / "put_back.lua").read_text()

    assert re.findall(r"'code', (\d+)", text) == [str(int(ErrorCode.INTERNAL))]


def test_a_delivery_from_end_to_end(each_redis_url: str) -> None:
    """Taken in, leased, begun, put off, promoted, begun again, committed, held, released, buried, requeued, called back."""
    client: Any = connect(each_redis_url)
    orders, letters = Orders(client, has_results=True), DeadLetters(client)
    orders.enter(SealedDelivery("d1", QUEUE_NORMAL, "payload"), Identity(["print"]))
    steps = [
        Settlement(Act.RETRY, State.RETRYING, "retry", "p1", f"{QUEUE_NORMAL}\n{message('d1')}", 0.0),
        Settlement(Act.HOLD, State.HELD, "", "p2", f"{QUEUE_NORMAL}\n{message('d1')}"),
        Settlement(
            Act.BURY,
            State.HELD,
            message=dead(message("d1"), reason="bug", deliveries=1, queue=QUEUE_NORMAL),
        ),
    ]
    states = []
    for number, step in enumerate(steps, 1):
        asyncio.run(attempt(each_redis_url, lease(client, number), step))
        states.append(orders.read("d1").state)  # type: ignore[union-attr]
        orders.release("d1")
        for letter in letters.scan():
            assert letters.requeue(letter)
        PROMOTE(client, [keys.DELAYED, keys.DELAYED_MESSAGES], [10])
    told = orders.read("d1")

    assert states == [State.RETRYING, State.HELD, State.HELD]
    assert told is not None
    assert told.state is State.QUEUED
    assert (client.llen(QUEUE_NORMAL), client.hlen(keys.UNACKED)) == (1, 0)
    assert orders.call_back("d1", State.CANCELLED, "told", told.progress) is Answer.ENDED
    client.close()


def test_retried_released_and_requeued_mail_is_due_anew(each_redis_url: str) -> None:
    """What an earlier attempt took is no waiting in the queue."""
    client: Any = connect(each_redis_url)
    orders, letters = Orders(client, has_results=True), DeadLetters(client)
    orders.enter(SealedDelivery("d1", QUEUE_NORMAL, "payload"), Identity(["print"]))
    waiting = f"{QUEUE_NORMAL}\n{message('d1')}"
    buried = dead(message("d1"), reason="bug", deliveries=1, queue=QUEUE_NORMAL)
    steps = [
        Settlement(Act.RETRY, State.RETRYING, "retry", "p1", waiting, 0.0),
        Settlement(Act.HOLD, State.HELD, "", "p2", waiting),
        Settlement(Act.BURY, State.HELD, message=buried),
    ]
    began_s = int(client.time()[0])
    for number, step in enumerate(steps, 1):
        client.hset("postroom.delivery.d1", "due", 0)
        asyncio.run(attempt(each_redis_url, lease(client, number), step))
        orders.release("d1")
        for letter in letters.scan():
            assert letters.requeue(letter)
        assert float(client.hget("postroom.delivery.d1", "due")) >= began_s
        PROMOTE(client, [keys.DELAYED, keys.DELAYED_MESSAGES], [10])
    client.close()


def lease(client: Any, number: int) -> str:
    """Take the one message, as the transport does."""
    names = [keys.UNACKED, keys.UNACKED_INDEX, f"{QUEUE_NORMAL}.front", QUEUE_NORMAL]
    _, leased, _ = CLAIM(client, names, [1, 0, 5, f"lease:{number}.", f'"{QUEUE_NORMAL}"'])
    return str(leased.decode())


async def attempt(url: str, leased: str, settlement: Settlement) -> None:
    """Begin, commit, settle."""
    claims = Claims(url)
    await claims.claim("d1", leased)
    await claims.commit("d1", leased, "silent", None)
    await claims.settle("d1", leased, settlement)
    await claims.aclose()
