"""Reading and marking messages as they lie in Redis, whoever wrote them."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from kombu.utils.json import dumps

from postroom_broker.task_message import SealedDelivery, task_message
from postroom_broker.transport import envelope
from tests.broker.transport.conftest import message

PUBLISHED = task_message(SealedDelivery("id", "postroom.urgent", "sealed"))


@pytest.mark.parametrize("text", [message("a"), PUBLISHED, json.dumps(json.loads(PUBLISHED), separators=(",", ":"))])
def test_messages_of_every_writer_are_read(text: str) -> None:
    """Our publisher's, kombu's, and one with another spelling of the same JSON."""
    assert envelope.read(text.encode())["properties"]["delivery_info"]["routing_key"].startswith("postroom.")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'"text"',
        b'{"properties": null}',
        b'{"properties": {"delivery_info": {}}}',
        b"[" * 100_000,
        json.dumps({"body": 5, "properties": {"delivery_info": {"routing_key": "q"}}}).encode(),
        *(
            f'{{"body": "", "headers": {headers}, "properties": {{"delivery_info": {{"routing_key": "q"}}}}}}'.encode()
            for headers in ("[1]", '"text"', '{"id": ["a"]}', '{"task": {}}', '{"id": "\\ud800"}')
        ),
        json.dumps(
            {"body": "a", "properties": {"body_encoding": "base64", "delivery_info": {"routing_key": "q"}}}
        ).encode(),
    ],
)
def test_what_is_no_message_is_refused_without_a_quote(raw: bytes) -> None:
    """Rubbish raises one error, whose text has nothing of it."""
    with pytest.raises(envelope.UnreadableMessage, match=r"^not a message of kombu \(\w+\)$"):
        envelope.read(raw)


def test_a_base64_body_is_read() -> None:
    """Stock kombu's way of writing bodies."""
    payload = json.loads(message("a"))
    payload["properties"]["body_encoding"] = "base64"
    payload["body"] = base64.b64encode(b"body").decode()
    assert envelope.read(json.dumps(payload).encode()) == payload


@pytest.mark.parametrize(
    ("eta", "due_at"),
    [
        (None, None),
        ("nonsense", None),
        (17, None),
        ("2030-01-01T00:00:00+00:00", 1893456000.0),
        ("2030-01-01T01:00:00+01:00", 1893456000.0),
        ("2030-01-01T00:00:00Z", 1893456000.0),
        ("2030-01-01T00:00:00", 1893456000.0),
    ],
)
def test_the_time_a_message_is_due(eta: object, due_at: float | None) -> None:
    """With a zone or in UTC; what cannot be read is left to the worker to complain about."""
    assert envelope.due_at(envelope.read(message("a", eta=eta).encode())) == due_at


def test_a_datetime_of_kombus_own_json_is_understood() -> None:
    """Kombu restores dates in headers as objects."""
    eta = datetime.now(UTC) + timedelta(hours=1)
    raw = dumps({**json.loads(message("a")), "headers": {"eta": eta}}).encode()
    assert envelope.due_at(envelope.read(raw)) == eta.timestamp()
    assert envelope.due_at({"headers": None}) is None


def test_a_message_is_named_by_its_task_or_by_its_tag() -> None:
    """The task's id, where there is one."""
    payload = json.loads(message("a"))
    assert envelope.id_of(payload) == "a"
    assert envelope.id_of({**payload, "headers": {}}) == "tag-a"


def test_the_eta_goes_and_all_else_stays() -> None:
    """A due message has none, the given one is not changed."""
    payload = json.loads(message("a", eta="2030-01-01T00:00:00Z", retries=2))
    assert envelope.without_eta(payload)["headers"] == {"id": "a", "eta": None, "retries": 2}
    assert payload["headers"]["eta"]


@pytest.mark.parametrize("record", ['[{},"","{q}"]', '[{}, "", "{q}"]', '[{}, "exchange", "{q}"]'])
def test_a_record_gives_the_text_as_it_was(record: str) -> None:
    """Whichever transport wrote the record, the message in it is not rewritten."""
    text = '{"a" :  [1.0, {}, []], "delivery_tag": "\\"delivery_tag\\": \\"x\\""}'
    held = envelope.held(record.replace("{}", text, 1).replace("{q}", "queue").encode())
    assert (held.text, held.routing_key) == (text, "queue")
    assert held.exchange == ("exchange" if "exchange" in record else "")


@pytest.mark.parametrize(
    "record", [b"", b"[]", b"{}", b"[{}]", b"\xff", b'[{"body": ,"","queue"]', b'[{},"","\\ud800"]', b'[{},"","a","b"]']
)
def test_a_record_that_is_none_is_refused(record: bytes) -> None:
    """So that it can be kept among the dead."""
    with pytest.raises(envelope.UnreadableMessage):
        envelope.held(record)


def test_rubbish_in_our_own_record_is_found_again() -> None:
    """A claim writes its record around anything; what cannot be told apart is kept whole."""
    assert envelope.held_at_least(b'[{"body": ,"","queue"]') == envelope.Held('{"body": ', "", "queue")
    assert envelope.held_at_least(b'[\xff,"","queue"]') == envelope.Held("\udcff", "", "queue")
    assert envelope.held_at_least(b"rubbish") == envelope.Held("rubbish", "", "")


def test_deliveries_in_vain_are_counted() -> None:
    """Each one adds to the count; an orderly return only marks the message."""
    text, count = envelope.redelivered(message("a"), in_vain=False)
    assert (count, json.loads(text)["headers"]["redelivered"]) == (0, True)
    for expected in (1, 2, 3):
        text, count = envelope.redelivered(text, in_vain=True)
        assert count == expected
    info = json.loads(text)["properties"]["delivery_info"]
    assert info == {"exchange": "", "routing_key": "postroom.normal", "redelivered": True, "deliveries": 3}


def test_priorities_are_read_as_kombu_reads_them() -> None:
    """Between 0 and 9; none is 0."""
    payload = json.loads(message("a"))
    for priority, read in ((None, 0), (5, 5), (99, 9), (-1, 0), ("x", 0)):
        payload["properties"]["priority"] = priority
        assert envelope.priority_of(json.dumps(payload)) == read


def test_a_dead_message_is_kept_as_it_was() -> None:
    """With what is known of its end."""
    entry = json.loads(envelope.dead("{ }", reason="why", deliveries=3, queue="q"))
    assert datetime.fromisoformat(entry.pop("died_at")).tzinfo is not None
    assert entry == {"reason": "why", "deliveries": 3, "queue": "q", "message": "{ }"}


def test_a_dead_message_is_read_as_it_was_kept() -> None:
    """What `dead` writes, `read_dead` reads, bytes that are no text included."""
    entry = envelope.dead("\udcff", reason="why", deliveries=3, queue="q").encode()
    kept = envelope.read_dead(entry)
    assert (kept.text, kept.reason, kept.deliveries, kept.queue) == ("\udcff", "why", 3, "q")
    assert kept.died_at == json.loads(entry)["died_at"]


@pytest.mark.parametrize("entry", [b"", b"[]", b"{}", b"7", b'{"message": null}', b"[" * 100_000])
def test_an_entry_of_somebody_else_is_kept_whole(entry: bytes) -> None:
    """Nothing is known of it."""
    assert envelope.read_dead(entry) == envelope.Dead(entry.decode(), None, None, None, None)


def test_facts_of_a_wrong_kind_are_not_told() -> None:
    """Words are words, and a count is a number."""
    facts = {"message": "m", "reason": 1, "queue": [], "died_at": {}, "deliveries": "x"}
    assert envelope.read_dead(json.dumps(facts).encode()) == envelope.Dead("m", None, None, None, None)


def test_a_revived_message_is_counted_anew_and_stays_marked() -> None:
    """It is as it was, without its count; that it was delivered before stays true."""
    text, _ = envelope.redelivered(message("a"), in_vain=True)
    expected = json.loads(text)
    del expected["properties"]["delivery_info"]["deliveries"]
    assert json.loads(envelope.revived(text.encode())) == expected
    assert expected["headers"]["redelivered"] is True
    assert json.loads(envelope.revived(message("a").encode())) == json.loads(message("a"))
