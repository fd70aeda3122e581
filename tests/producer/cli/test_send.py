"""`postroom send` without a worker: what it queues, refuses and prints, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from postroom_broker import keys as keys_of_redis
from postroom_contract.delivery import Delivery
from postroom_contract.names import QUEUE_NORMAL, QUEUE_URGENT
from postroom_contract.sealing import Keyring
from tests.producer.cli.conftest import PASSWORD, Command, Keys, changed
from tests.support.redis_proxy import Fault, RedisProxy
from tests.support.valkey import ValkeyServer, connect
from tests.support.waiting import wait_until

FIELDS = ["id", "state", "message_id", "accepted", "refused", "attempts", "possible_duplicate", "error"]
ERROR_FIELDS = {
    *("type", "category", "error_code", "reason", "smtp_code", "enhanced_code", "message", "help_link", "retryable")
}


@pytest.fixture
def file(tmp_path: Path, request_json: dict[str, Any]) -> Path:
    """A request in a file."""
    path = tmp_path / "message.json"
    path.write_text(json.dumps(request_json))
    return path


def test_message_is_queued_and_told_in_one_line(command: Command, file: Path, redis_url: str, keys: Keys) -> None:
    """The line has the agreed fields, and the queue has the message, which only the keys open."""
    done = command("send", str(file), POSTROOM_BROKER_URL=redis_url)
    (line,) = done.stdout.splitlines()
    told = json.loads(line)

    assert done.exit_code == 0
    assert list(told) == FIELDS
    assert told["state"] == "queued"
    assert uuid.UUID(told["id"]).version == 4
    assert told["message_id"] == f"<{told['id']}@gmail.com>"
    assert done.stderr == ""
    delivery = queued(redis_url, QUEUE_NORMAL, keys)
    assert delivery.message.subject == "Example email subject"
    assert delivery.id == told["id"]


def test_message_is_read_from_standard_input(command: Command, file: Path, redis_url: str, keys: Keys) -> None:
    """`-` reads what is piped in, and the priority chooses the queue."""
    asked = changed(json.loads(file.read_text()), "EmailMessage", Priority="Urgent")
    done = command("send", "-", stdin=json.dumps({**asked, "CloseSession": True}), POSTROOM_BROKER_URL=redis_url)

    assert done.exit_code == 0
    assert queued(redis_url, QUEUE_URGENT, keys).close_session


def test_wait_without_a_worker_ends_as_still_pending(command: Command, file: Path, redis_url: str) -> None:
    """When the time is over, the line says where the message is, and the exit code that it is not decided."""
    done = command("send", str(file), "--wait", "0.1", POSTROOM_BROKER_URL=redis_url)
    told = json.loads(done.stdout)

    assert (done.exit_code, told["state"], told["attempts"]) == (75, "queued", 0)
    assert told["message_id"] == f"<{told['id']}@gmail.com>"
    assert "is a worker running" in done.stderr


def test_session_is_found_by_its_name(command: Command, file: Path, redis_url: str, tmp_path: Path, keys: Keys) -> None:
    """A named session comes from the sessions file."""
    asked = json.loads(file.read_text())
    password = asked.pop("BasicEmailSessionDetails")["Credentials"]["Password"]
    sessions = tmp_path / "sessions.toml"
    sessions.write_text(
        f'[sessions.office]\nhost = "localhost"\nport = 465\nusername = "me"\npassword = "{password}"\n'
    )
    settings = {"POSTROOM_BROKER_URL": redis_url, "POSTROOM_SESSIONS_FILE": str(sessions)}
    done = command("send", "-", stdin=json.dumps({**asked, "Session": "office"}), **settings)

    assert done.exit_code == 0
    assert queued(redis_url, QUEUE_NORMAL, keys).session.server_details.host == "localhost"


def test_unknown_session_is_refused_with_the_known_ones(command: Command, file: Path, redis_url: str) -> None:
    """A wrong name is bad input."""
    asked = {**json.loads(file.read_text()), "BasicEmailSessionDetails": None, "Session": "nowhere"}
    done = command("send", "-", stdin=json.dumps(asked), POSTROOM_BROKER_URL=redis_url)

    assert done.exit_code == 65
    assert json.loads(done.stdout)["error"]["type"] == "ArgumentException"
    assert "POSTROOM_SESSIONS_FILE" in done.stderr


def test_refused_input_is_told_as_json_and_as_one_line(
    command: Command, request_json: dict[str, Any], redis_url: str
) -> None:
    """Bad input queues nothing: the same object with state refused, all mistakes in it, and a line for the person."""
    asked = changed(changed(request_json, "ServerDetails", Port=0), "EmailMessage", To=[])
    done = command("send", "-", stdin=json.dumps(asked), POSTROOM_BROKER_URL=redis_url)
    told = json.loads(done.stdout)

    assert done.exit_code == 65
    assert list(told) == FIELDS
    assert (told["id"], told["state"], told["message_id"]) == (None, "refused", None)
    assert set(told["error"]) == ERROR_FIELDS
    assert told["error"]["type"] == "PropertyValueOutOfRangeException"
    assert "EmailMessage.To is required and is empty" in told["error"]["message"]
    (line,) = done.stderr.splitlines()
    assert line.startswith("postroom: refused: BasicEmailSessionDetails.ServerDetails.Port is out of range.")
    assert "EmailMessage.To is required and is empty." in line
    with connect(redis_url) as client:
        assert client.dbsize() == 0


def test_password_in_the_clear_is_refused_and_never_shown(
    command: Command, request_json: dict[str, Any], redis_url: str
) -> None:
    """Neither output nor error has the secret."""
    request_json["BasicEmailSessionDetails"]["Credentials"]["Password"] = PASSWORD
    done = command("--debug", "send", "-", stdin=json.dumps(request_json), POSTROOM_BROKER_URL=redis_url)

    assert done.exit_code == 65
    assert json.loads(done.stdout)["error"]["type"] == "UnencryptedTextException"
    assert PASSWORD not in done.output
    assert "postroom encrypt" in done.stderr


@pytest.mark.parametrize("name", ["missing.json", "", "a\0b"])
def test_file_that_cannot_be_read_is_bad_input(command: Command, tmp_path: Path, redis_url: str, name: str) -> None:
    """A missing file, a folder and what is no path at all are told by name, in one line."""
    done = command("send", f"{tmp_path}/{name}", POSTROOM_BROKER_URL=redis_url)

    assert done.exit_code == 65
    assert json.loads(done.stdout)["state"] == "refused"
    assert str(tmp_path) in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_redis_away_is_told_with_what_is_known(command: Command, file: Path, away_url: str) -> None:
    """Nothing was queued, the address is named, and so is what to do."""
    done = command("send", str(file), POSTROOM_BROKER_URL=away_url)

    assert (done.exit_code, done.stdout) == (69, "")
    (line,) = done.stderr.splitlines()
    assert away_url in line
    assert "Nothing was queued." in line
    assert "POSTROOM_BROKER_URL" in line


def test_wrong_settings_are_listed_all_at_once(command: Command, file: Path) -> None:
    """One start shows every mistake."""
    settings = {"POSTROOM_KEYS": None, "POSTROOM_SESSIONS_FILE": "/nowhere/sessions.toml"}
    done = command("send", str(file), **settings)

    assert (done.exit_code, done.stdout) == (78, "")
    assert "POSTROOM_KEYS" in done.stderr
    assert "POSTROOM_SESSIONS_FILE" in done.stderr


@pytest.mark.parametrize("wait", ["-1", "nan", "soon"])
def test_time_that_is_none_is_wrong_usage(command: Command, file: Path, wait: str) -> None:
    """`--wait` takes a number of seconds."""
    assert command("send", str(file), "--wait", wait).exit_code == 2


def test_interrupted_wait_says_how_to_ask_again(file: Path, redis_url: str, keys: Keys) -> None:
    """Ctrl-C ends the waiting, not the delivery: the id is told."""
    environment = {**os.environ, "POSTROOM_KEYS": keys.sealing, "POSTROOM_BROKER_URL": redis_url}
    arguments = [sys.executable, "-m", "postroom", "send", str(file), "--wait", "60"]
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with connect(redis_url) as client:
        wait_until(lambda: client.pubsub_numpat() or client.pubsub_channels(), 30, "the command to wait")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
        (key,) = client.keys("postroom.delivery.*")

    assert process.returncode == 130
    assert f"postroom status {key.decode().removeprefix('postroom.delivery.')}" in stderr


LATER = "2090-03-01T09:00:00+01:00"


def test_message_with_a_time_is_told_as_scheduled(command: Command, file: Path, redis_url: str, keys: Keys) -> None:
    """Not queued, which it is not; it goes out with all that was asked for."""
    wishes = {"SendAt": LATER, "ExpiresAt": "2090-03-02T09:00:00+01:00", "OnUnknown": "hold"}
    done = command("send", "-", stdin=asking(file, **wishes), POSTROOM_BROKER_URL=redis_url)
    told = json.loads(done.stdout)

    assert (done.exit_code, told["state"], told["attempts"]) == (0, "scheduled", 0)
    assert list(told) == FIELDS
    assert told["message_id"] == f"<{told['id']}@gmail.com>"
    with connect(redis_url) as client:
        (waiting,) = client.hvals(keys_of_redis.DELAYED_MESSAGES)
    delivery = opened(waiting.partition(b"\n")[2], keys)
    assert delivery.send_at == datetime(2090, 3, 1, 8, tzinfo=UTC)
    assert delivery.expires_at == datetime(2090, 3, 2, 8, tzinfo=UTC)
    assert delivery.on_unknown == "hold"
    waited = command("send", "-", "--wait", "0.1", stdin=asking(file, **wishes), POSTROOM_BROKER_URL=redis_url)
    assert (waited.exit_code, json.loads(waited.stdout)["state"]) == (75, "scheduled")


def test_time_that_has_passed_means_now(command: Command, file: Path, redis_url: str) -> None:
    """It is queued, and told so."""
    done = command("send", "-", stdin=asking(file, SendAt="2020-01-01T00:00:00Z"), POSTROOM_BROKER_URL=redis_url)

    assert (done.exit_code, json.loads(done.stdout)["state"]) == (0, "queued")


@pytest.mark.parametrize(
    ("wishes", "complaint"),
    [
        ({"SendAt": "2030-03-01T09:00:00"}, "SendAt is not valid. It needs an offset from UTC, such as 2030-03-01T09"),
        ({"SendAt": "tomorrow"}, "SendAt is not valid. Write it as ISO 8601 with an offset, such as 2030-03-01T09"),
        ({"SendAt": 1900000000}, "SendAt is not valid. It should be text."),
        ({"ExpiresAt": "2020-01-01T00:00:00Z"}, "ExpiresAt is out of range. It lies in the past."),
        ({"SendAt": LATER, "ExpiresAt": "2080-01-01T00:00:00Z"}, "ExpiresAt is not valid. It lies before SendAt."),
        ({"OnUnknown": "retry"}, "OnUnknown is not valid. It is resend or hold."),
        ({"IdempotencyKey": ""}, "IdempotencyKey is not valid. A key is a text of 1 to 256 characters."),
        ({"ReceiptId": "17"}, "ReceiptId is not valid. A receipt's id is a UUID."),
        ({"SendAtt": LATER}, "SendAtt is not valid. There is no such property; SendAt may be meant."),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wish_that_is_none_is_refused_in_one_line(
    command: Command, file: Path, redis_url: str, wishes: dict[str, Any], complaint: str
) -> None:
    """The same object with state refused, a line that says how to write it, and nothing in Redis."""
    done = command("send", "-", stdin=asking(file, **wishes), POSTROOM_BROKER_URL=redis_url)
    told = json.loads(done.stdout)

    assert (done.exit_code, told["state"], told["id"]) == (65, "refused", None)
    assert list(told) == FIELDS
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"postroom: refused: {complaint}")
    with connect(redis_url) as client:
        assert client.dbsize() == 0


def test_null_is_as_good_as_absent(command: Command, file: Path, redis_url: str, keys: Keys) -> None:
    """A template may name every property."""
    wishes = dict.fromkeys(["SendAt", "ExpiresAt", "OnUnknown", "IdempotencyKey", "ReceiptId"])
    done = command("send", "-", stdin=asking(file, **wishes), POSTROOM_BROKER_URL=redis_url)

    assert (done.exit_code, json.loads(done.stdout)["state"]) == (0, "queued")
    assert queued(redis_url, QUEUE_NORMAL, keys).on_unknown == "resend"


def test_key_sends_once_and_is_refused_for_another_message(command: Command, file: Path, redis_url: str) -> None:
    """The same id again with exit code 0, and where the message is by now; another message with it is bad input."""
    wishes = {"IdempotencyKey": "order 17"}
    first, again = (command("send", "-", stdin=asking(file, **wishes), POSTROOM_BROKER_URL=redis_url) for _ in range(2))
    delivery_id = json.loads(first.stdout)["id"]
    other = command("send", "-", stdin=asking(file, SendAt=LATER, **wishes), POSTROOM_BROKER_URL=redis_url)
    command("schedule", "cancel", delivery_id, POSTROOM_BROKER_URL=redis_url)
    late = command("send", "-", stdin=asking(file, **wishes), POSTROOM_BROKER_URL=redis_url)

    assert (first.exit_code, again.exit_code, again.stdout) == (0, 0, first.stdout)
    assert (late.exit_code, json.loads(late.stdout)["state"]) == (0, "cancelled")
    assert json.loads(late.stdout)["id"] == delivery_id
    told = json.loads(other.stdout)
    assert (other.exit_code, told["state"], told["error"]["error_code"]) == (65, "refused", 1006)
    assert other.stderr == "postroom: refused: This idempotency key or receipt id belongs to another message.\n"
    with connect(redis_url) as client:
        assert client.llen(QUEUE_NORMAL) == 1


@pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.CUT_BEFORE])
def test_lost_answer_is_told_with_the_way_to_send_again(
    command: Command, file: Path, redis_url: str, valkey: ValkeyServer, fault: Fault
) -> None:
    """Whether it arrived or not, the id that the line names sends it once."""
    command("send", str(file), POSTROOM_BROKER_URL=redis_url)  # the server knows the script
    with RedisProxy(valkey.port, b"EVALSHA", fault) as proxy:
        lost = command("send", str(file), POSTROOM_BROKER_URL=f"{proxy.url}?socket_timeout=0.3")
    (line,) = lost.stderr.splitlines()
    found = re.search(r'or send it again with "ReceiptId": "([0-9a-f-]{36})", which cannot double it\.', line)
    assert found is not None, line
    again = command("send", "-", stdin=asking(file, ReceiptId=found[1]), POSTROOM_BROKER_URL=redis_url)

    assert (lost.exit_code, lost.stdout) == (69, "")
    assert (again.exit_code, json.loads(again.stdout)["id"]) == (0, found[1])
    with connect(redis_url) as client:
        assert client.llen(QUEUE_NORMAL) == 2


def asking(file: Path, **wishes: Any) -> str:
    """The request in a file with more beside it."""
    return json.dumps({**json.loads(file.read_text()), **wishes})


def queued(redis_url: str, queue: str, keys: Keys) -> Delivery:
    """Open the one delivery in a queue."""
    with connect(redis_url) as client:
        (task,) = client.lrange(queue, 0, -1)
    return opened(task, keys)


def opened(message: bytes, keys: Keys) -> Delivery:
    """Open the delivery in a task message."""
    task = json.loads(message)
    ((payload,), _, _) = json.loads(task["body"])
    return Delivery.open(payload, task["headers"]["id"], Keyring.parse(keys.sealing))
