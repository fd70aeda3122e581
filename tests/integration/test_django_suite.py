"""Django's own tests of a mail backend pass on Postroom's, but for two that mail to addresses without a domain."""

from __future__ import annotations

import json
import subprocess
import sys

import django
import pytest

from tests.conftest import require
from tests.support.celery_worker import ROOT

# `make django-suite` puts it there.
SUITE = ROOT / ".django-suite" / "tests"

# As many as Django 5.2 has: fewer would mean that they were not found.
LEAST_TESTS = 18

# The tests that mail to "django" and "to1", and what they do not find.
WITHOUT_DOMAIN = {"test_recipient_without_domain", "test_lazy_addresses"}


@pytest.mark.skipif(django.VERSION >= (6,), reason="the suite that is fetched is Django 5.2's")
def test_djangos_own_backend_tests_pass() -> None:
    """Sending, counting, admins, alternatives, names, long lines, opening and closing: as Django wants it."""
    require("Django's test suite (make django-suite)", is_there=SUITE.is_dir())
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.django_suite", str(SUITE)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)

    assert told["run"] >= LEAST_TESTS
    assert told["failed"].keys() == WITHOUT_DOMAIN, told["failed"]
    assert all("is not a mail address" in why for why in told["failed"].values())
