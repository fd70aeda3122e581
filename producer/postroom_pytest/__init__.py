"""The pytest plugin: an outbox, scripted mail servers and a whole system as fixtures, wherever Postroom is installed.

Owns the fixtures' names and lives; what they give is `postroom.testing`'s and `postroom.local`'s. It is a package by itself
because pytest imports it in every run: nothing of Postroom is imported before a fixture is asked for.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from postroom import BasicEmailSessionDetails
    from postroom.testing import CertificateKit, OutboxMailer, SmtpServer
    from postroom.testing.system import System


@pytest.fixture
def postroom_sessions() -> Iterable[str] | Mapping[str, BasicEmailSessionDetails] | None:
    """The sessions that the outbox knows, by name; a test suite may have a fixture of this name. None: every name will do."""
    return None


@pytest.fixture
def postroom_outbox(
    postroom_sessions: Iterable[str] | Mapping[str, BasicEmailSessionDetails] | None,
) -> Iterator[OutboxMailer]:
    """An `OutboxMailer` that gets what the program under test sends, by whichever mailer, made before or meanwhile."""
    from postroom.testing.takeover import taken_over  # noqa: PLC0415 -- see above

    with taken_over(postroom_sessions) as outbox:
        yield outbox


@pytest.fixture(scope="session")
def postroom_certificates(tmp_path_factory: pytest.TempPathFactory) -> CertificateKit:
    """A certificate authority for the run; its `ca_file` is what clients trust."""
    pytest.importorskip("trustme", reason="needs trustme: pip install '.[testing]' in Postroom's folder")
    from postroom.testing import CertificateKit  # noqa: PLC0415 -- see above

    return CertificateKit(tmp_path_factory.mktemp("postroom-certificates"))


@pytest.fixture
def postroom_smtp_servers(request: pytest.FixtureRequest) -> Iterator[Callable[..., SmtpServer]]:
    """Makes running mail servers, and stops them: `postroom_smtp_servers(stall(), certificate="expired")`.

    Rules come first; `certificate` is one of `postroom.testing.faults.CERTIFICATES` (TLS from the first byte then, unless
    `tls` says "starttls"); other keywords are those of `SmtpServer`.
    """
    from postroom.testing import SmtpServer  # noqa: PLC0415 -- see above
    from postroom.testing.faults import CERTIFICATES  # noqa: PLC0415

    with ExitStack() as stack:

        def make(*rules: Any, certificate: str | None = None, **options: Any) -> SmtpServer:
            if certificate is not None:
                if certificate not in CERTIFICATES:
                    raise ValueError(f"no such certificate: {certificate!r}; there are {', '.join(CERTIFICATES)}")
                kit = request.getfixturevalue("postroom_certificates")
                options = {"tls": "implicit", "ssl_context": CERTIFICATES[certificate](kit), **options}
            return stack.enter_context(SmtpServer(rules=rules, **options))

        yield make


@pytest.fixture
def postroom_smtp(postroom_smtp_servers: Callable[..., SmtpServer]) -> SmtpServer:
    """A running mail server without TLS, which takes everything until it is given rules."""
    return postroom_smtp_servers()


@pytest.fixture
def postroom_system(
    request: pytest.FixtureRequest, tmp_path: Path, postroom_certificates: CertificateKit
) -> Iterator[System]:
    """A broker and a worker of its own, for a test that goes all the way; skipped where their parts are not installed."""
    if "postroom_outbox" in request.fixturenames:
        pytest.fail(
            "postroom_outbox gets the mail that postroom_system should send: ask for one of them", pytrace=False
        )
    from postroom.testing.system import MissingPart, running_system  # noqa: PLC0415 -- see above

    folder = tmp_path / "postroom"
    folder.mkdir()
    with ExitStack() as stack:
        try:
            yield stack.enter_context(running_system(folder, postroom_certificates.ca_file))
        except MissingPart as missing:
            pytest.skip(str(missing))
