"""The example applications, started as their README says: an order over HTTP becomes a mail at a real SMTP server.

The web processes have the keys of a producer and not those of passwords. Their mail goes through a real Redis and a real
worker process.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from postroom.testing import SmtpServer, free_port
from tests.support.post import Post
from tests.support.waiting import wait_until
from tests.support.web_site import ROOT, WebSite, program_path

README = (ROOT / "producer" / "examples" / "README.md").read_text(encoding="utf-8")
ORDERS = 8

# Each framework's heading in the README, and what its server's log says of each of its processes.
FRAMEWORKS = {"Django": "Booting worker", "Flask": "Booting worker", "FastAPI": "Started server process"}


def commands(heading: str) -> list[str]:
    """The lines to type under a heading."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^    (\S.*)$", section, re.MULTILINE)


@pytest.fixture
def environment(post: Post, tls_server: SmtpServer) -> dict[str, str]:
    """What a web process of the examples is started with: no more than a producer needs."""
    post.name_session("shop", tls_server)
    needed = ("POSTROOM_BROKER_URL", "POSTROOM_KEYS", "POSTROOM_SESSIONS_FILE")
    return {name: post.environment[name] for name in needed}


@pytest.fixture
def away(environment: dict[str, str]) -> None:
    """No Redis where the web processes look for it."""
    environment["POSTROOM_BROKER_URL"] = f"redis://127.0.0.1:{free_port()}/0"


@pytest.fixture(params=FRAMEWORKS)
def site(request: pytest.FixtureRequest, environment: dict[str, str], tmp_path: Path) -> Iterator[WebSite]:
    """Each of the applications."""
    command, *_ = commands(request.param)
    with WebSite(command, environment, tmp_path / "site.log") as site:
        wait_until(lambda: site.log.count(FRAMEWORKS[request.param]) == 2, 30, "both processes to start")
        yield site


def test_orders_over_http_arrive_as_mail(site: WebSite, post: Post, tls_server: SmtpServer) -> None:
    """Several customers at once: each gets a receipt and one mail with both bodies, and the receipt comes to say "sent"."""
    customers = [f"customer{number}@example.com" for number in range(ORDERS)]
    with post.worker(), ThreadPoolExecutor(ORDERS) as pool:
        answers = list(pool.map(lambda customer: site.post("/orders", {"email": customer}), customers))
        assert [answer.status_code for answer in answers] == [202] * ORDERS, site.log
        receipts = [answer.json()["receipt"] for answer in answers]
        tls_server.wait_for_messages(ORDERS, timeout_s=30)
        for receipt in receipts:
            wait_until(lambda receipt=receipt: site.get(f"/orders/{receipt}").json() == {"state": "sent"}, 30)  # type: ignore[misc]

    assert sorted(message.recipients for message in tls_server.messages) == [(customer,) for customer in customers]
    kinds = {part.get_content_type() for message in tls_server.messages for part in message.parsed().walk()}
    assert {"text/plain", "text/html"} <= kinds
    assert {message.parsed()["Subject"] for message in tls_server.messages} == {"Your order"}


def test_bad_input_is_the_customers_mistake(site: WebSite, environment: dict[str, str]) -> None:
    """A malformed address is refused over HTTP with the error's number, and nothing is queued."""
    answer = site.post("/orders", {"email": "nobody at all"})

    assert (answer.status_code, answer.json()["error_code"]) == (400, 1300)
    unknown = site.get("/orders/00000000-0000-4000-8000-000000000000")
    assert unknown.json() == {"state": "not_found"}


def test_redis_away_is_told(away: None, site: WebSite) -> None:
    """The order fails with 500, at the commit or before, the server's log says why, and the next one is answered, too."""
    answers = [site.post("/orders", {"email": "ann@example.com"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [500, 500]
    wait_until(lambda: "BrokerUnavailable" in site.log, 10, "the server's log")
    assert "ann@example.com" not in site.log


def test_djangos_command_checks_and_sends_a_test_mail(
    post: Post, environment: dict[str, str], tls_server: SmtpServer
) -> None:
    """`manage.py check` and `manage.py postroom_test`, as the README says: good settings, one mail, and its outcome."""
    _, check, test_mail = commands("Django")
    variables = environment | {"PATH": program_path()}

    def run(command: str) -> str:
        ended = subprocess.run(
            shlex.split(command), cwd=ROOT, env=variables, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended
        return ended.stdout

    assert "no issues" in run(check)
    with post.worker():
        assert '"state": "sent"' in run(test_mail)
    assert [message.recipients for message in tls_server.messages] == [("ann@example.com",)]
