"""What the transport reads and writes in a message as it lies in Redis: kombu's JSON around the task.

Owns that JSON: when a message is due, how often it was delivered in vain, and how a dead one is kept. It is parsed here and
not in Lua, so that any kombu's spelling of it will do. Pure functions; the body is never looked at.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kombu.utils.json import loads

Payload = dict[str, Any]

# What taking a foreign text apart may raise: JSON has numbers that are infinite, texts that are no text (half a surrogate
# pair), and any depth.
BROKEN = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, binascii.Error)


class UnreadableMessage(ValueError):
    """What lies in a queue is no message. The text never quotes it."""


@dataclass(frozen=True, slots=True)
class Held:
    """A message as it lies among the unacknowledged ones: its own text, and where it came from."""

    text: str
    exchange: str
    routing_key: str


@dataclass(frozen=True, slots=True)
class Dead:
    """A message as it lies among the dead ones, and what is known of its end. None where that is not told."""

    text: str
    reason: str | None
    deliveries: int | None
    queue: str | None
    died_at: str | None


def read(raw: bytes) -> Payload:
    """The message, ready for kombu and Celery: what either would choke on must not end one worker after the other.

    Raises:
        UnreadableMessage: it is none.
    """
    try:
        payload = loads(raw.decode())
        properties, headers = payload["properties"], payload.get("headers") or {}
        properties["delivery_info"]["routing_key"]
        # They become keys, of Redis and of tables in memory.
        names = [name for name in (headers.get("id"), headers.get("task")) if name is not None]
        if not isinstance(payload["body"], str) or not all(isinstance(name, str) for name in names):
            raise TypeError("Celery's names and body are texts")
        "".join(names).encode()
        if properties.get("body_encoding") == "base64":
            base64.b64decode(payload["body"])
    except BROKEN as error:
        raise UnreadableMessage(f"not a message of kombu ({type(error).__name__})") from None
    return dict(payload)


def due_at(payload: Payload) -> float | None:
    """When the message wants to be delivered (s since 1970), or None for at once."""
    eta = (payload.get("headers") or {}).get("eta")
    if isinstance(eta, str):
        try:
            eta = datetime.fromisoformat(eta)
        except ValueError:
            return None  # the worker will say what is wrong with it
    if not isinstance(eta, datetime):
        return None
    return (eta if eta.tzinfo else eta.replace(tzinfo=UTC)).timestamp()


def id_of(payload: Payload) -> str:
    """What names the message while it is delayed: its task's id, so that a second try to delay it replaces the first."""
    return str((payload.get("headers") or {}).get("id") or payload["properties"]["delivery_tag"])


def task_id(text: str) -> str:
    """The id of the task in a message, or an empty text where it has none that could name anything in Redis."""
    try:
        return str(json.loads(text)["headers"]["id"]).encode().decode()
    except BROKEN:
        return ""


def without_eta(payload: Payload) -> Payload:
    """The message to deliver once it is due: a worker whose clock is late must not hold it back again."""
    return {**payload, "headers": {**payload["headers"], "eta": None}}


def held(record: bytes) -> Held:
    """Take apart what stands in `unacked`: `[message, exchange, routing key]`.

    Raises:
        UnreadableMessage: it is not that.
    """
    try:
        text = record.decode()
        _, end = json.JSONDecoder().raw_decode(text, 1)
        _, *names = json.loads(text)
        exchange, routing_key = (str(name or "").encode().decode() for name in names)
    except (ValueError, RecursionError) as error:
        raise UnreadableMessage(f"not a message of kombu ({type(error).__name__})") from None
    return Held(text[1:end], exchange, routing_key)


def held_at_least(record: bytes) -> Held:
    """Take apart what our claim has written around something that is no message."""
    text = record.decode(errors="surrogateescape")
    start, end = text.find("[") + 1, text.rfind(',"",')
    try:
        queue = json.loads(text[end + len(',"",') : -1])
    except ValueError:
        return Held(text, "", "")
    return Held(text[start:end], "", str(queue))


def redelivered(text: str, *, in_vain: bool) -> tuple[str, int]:
    """Mark a message as delivered before.

    Args:
        text: the message.
        in_vain: count that delivery as one that failed.

    Returns:
        The marked message, and how many deliveries of it have failed.
    """
    payload = json.loads(text)
    info = payload["properties"]["delivery_info"]
    failed = int(info.get("deliveries") or 0) + in_vain
    info.update(redelivered=True, deliveries=failed)
    if isinstance(payload.get("headers"), dict):
        payload["headers"]["redelivered"] = True
    return json.dumps(payload), failed


def priority_of(text: str) -> int:
    """The message's priority as kombu reads it, 0 to 9."""
    try:
        return max(0, min(9, int(json.loads(text)["properties"]["priority"])))
    except BROKEN:
        return 0


def dead(text: str, *, reason: str, deliveries: int, queue: str) -> str:
    """How a dead letter is kept: the message as it was, and what is known of its end. `read_dead` reads it."""
    died_at = datetime.now(UTC).isoformat(timespec="seconds")
    facts = {"reason": reason, "deliveries": deliveries, "queue": queue, "died_at": died_at}
    return json.dumps({**facts, "message": text})


def read_dead(entry: bytes) -> Dead:
    """Take apart what `dead` has made; what is nothing of that kind is taken for a message of which nothing is known."""
    try:
        kept = json.loads(entry)
        text = kept["message"]
    except BROKEN:
        kept, text = {}, None
    if not isinstance(text, str):
        return Dead(entry.decode(errors="surrogateescape"), None, None, None, None)
    deliveries = kept.get("deliveries")
    words = {name: kept.get(name) for name in ("reason", "queue", "died_at")}
    return Dead(
        text=text,
        deliveries=deliveries if isinstance(deliveries, int) else None,
        **{name: word if isinstance(word, str) else None for name, word in words.items()},
    )


def revived(raw: bytes) -> str:
    """A dead letter that `read` can read, ready to be delivered again: its deliveries are counted anew.

    That it was delivered before stays written on it. One of those deliveries may have sent the mail, and the outcome has
    to say so; it is the count alone that makes a message dead.
    """
    payload = json.loads(raw.decode())
    payload["properties"]["delivery_info"].pop("deliveries", None)
    return json.dumps(payload)
