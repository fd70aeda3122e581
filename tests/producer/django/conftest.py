"""Django with Postroom as its mail backend, and an outbox behind it."""

from collections.abc import Iterator

import pytest
from django.db import connections

from postroom import Anonymous, BasicEmailSessionDetails, ServerDetails
from postroom.testing import OutboxMailer
from tests.support.django_site import set_up

SESSION = BasicEmailSessionDetails(
    server_details=ServerDetails(host="smtp.example.com", port=465), credentials=Anonymous()
)
set_up()


@pytest.fixture
def outbox() -> Iterator[OutboxMailer]:
    """What takes the place of the process's mailer; `outbox.outbox` holds what was queued."""
    from postroom.django import use_mailer  # noqa: PLC0415 -- Django has to be set up first

    with use_mailer(OutboxMailer({"office": SESSION, "bulk": SESSION})) as mailer:
        yield mailer


@pytest.fixture(autouse=True)
def _closed_databases() -> Iterator[None]:
    """A connection left open would be the next test's warning."""
    yield
    connections.close_all()
