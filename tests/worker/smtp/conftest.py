"""What the SMTP tests share: coroutines as tests, certificates, and a cache that is closed afterwards.

An `async def` test runs in an event loop of its own, in debug mode, where a callback that blocks or a task that is
forgotten complains.
"""

import asyncio
import inspect

import pytest

from postroom.testing import CertificateKit


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine function as a test."""
    if not inspect.iscoroutinefunction(pyfuncitem.function):
        return None
    wanted = inspect.signature(pyfuncitem.function).parameters
    arguments = {name: value for name, value in pyfuncitem.funcargs.items() if name in wanted}
    asyncio.run(pyfuncitem.function(**arguments), debug=True)
    return True


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> CertificateKit:
    """One authority for the whole run: making keys takes time."""
    return CertificateKit(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def trusted(certificates: CertificateKit, monkeypatch: pytest.MonkeyPatch) -> CertificateKit:
    """The same authority, trusted by this process as a user would do it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
    return certificates
