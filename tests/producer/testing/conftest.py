"""Fixtures of the tests of the test server: certificates, made once."""

import pytest

from postroom.testing import CertificateKit


@pytest.fixture(scope="session")
def certificates() -> CertificateKit:
    """One authority and its good and bad certificates."""
    return CertificateKit()
