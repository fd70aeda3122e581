"""`manage.py postroom_test`: what it sends, what it prints, and how it ends."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from postroom import BrokerUnavailable
from postroom.errors import ErrorCode
from postroom.testing import OutboxMailer


def run(*arguments: str, **options: Any) -> dict[str, Any]:
    """Run the command and return what it printed."""
    output = StringIO()
    call_command("postroom_test", *arguments, stdout=output, **options)
    told: dict[str, Any] = json.loads(output.getvalue())
    return told


def test_it_sends_a_mail_and_tells_the_outcome(outbox: OutboxMailer) -> None:
    """One message to everybody named, and one JSON object in the shape of `postroom status`."""
    told = run("ann@example.com", "bob@example.com")

    assert (told["state"], told["accepted"]) == ("sent", ["ann@example.com", "bob@example.com"])
    assert [delivery.id for delivery in outbox.outbox] == [told["id"]]
    assert outbox.outbox[0].message.from_.address == "shop@example.com"


def test_it_goes_through_postroom_whatever_the_backend(outbox: OutboxMailer) -> None:
    """Where EMAIL_BACKEND is another one (yet), the test mail takes Postroom's way, with the sender asked for."""
    with override_settings(EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend"):
        run("ann@example.com", "--from", "desk@example.com", "--session", "bulk")

    assert outbox.outbox[0].message.from_.address == "desk@example.com"


def test_a_refusal_ends_it_with_an_error(outbox: OutboxMailer) -> None:
    """Nobody got it: exit code 10, and the outcome is printed all the same."""
    outbox.refuse("ann@example.com")
    output = StringIO()
    with pytest.raises(CommandError, match="the test mail is failed") as failed:
        call_command("postroom_test", "ann@example.com", stdout=output)

    assert failed.value.returncode == 10
    assert json.loads(output.getvalue())["error"]["smtp_code"] == 550


def test_still_pending_is_75(outbox: OutboxMailer) -> None:
    """No worker has taken it in time."""
    outbox.hold_next()
    with pytest.raises(CommandError) as pending:
        run("ann@example.com", wait=0)

    assert pending.value.returncode == 75


def test_redis_away_is_69_and_bad_input_65(outbox: OutboxMailer) -> None:
    """Errors end it with the codes of the `postroom` command, and no traceback."""
    outbox.fail_next(BrokerUnavailable(ErrorCode.BROKER_UNAVAILABLE, {"maybe_enqueued": False}))
    with pytest.raises(CommandError, match="Redis") as away:
        run("ann@example.com")
    with pytest.raises(CommandError, match="not a mail address") as malformed:
        run("nobody at all")

    assert (away.value.returncode, malformed.value.returncode) == (69, 65)
