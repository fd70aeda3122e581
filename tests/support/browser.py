"""A real browser, headless: Debian's Chromium, driven by tests/node/browser.cjs.

It loads each page in a fresh profile that goes when it is done, and tells what a person would see there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NODE_FOLDER = Path(__file__).parents[1] / "node"
# Starting it takes a few seconds, and a loaded two-core machine takes its time.
TIMEOUT_S = 120
# As large as a laptop's.
SIZE = (1280, 640)


@dataclass(frozen=True)
class Look:
    """A page to look at."""

    url: str
    # A CSS selector that has to show before it is looked at.
    wait_for: str = "body"
    picture: Path | None = None


@dataclass(frozen=True)
class Seen:
    """What was there."""

    title: str
    text: str
    html: str
    errors: Sequence[str]
    requests: Sequence[str]


def chromium() -> str | None:
    """Where the browser is; None without it, or without what drives it."""
    has_driver = shutil.which("node") is not None and (NODE_FOLDER / "node_modules" / "playwright-core").is_dir()
    return shutil.which("chromium") if has_driver else None


def look_at(pages: Sequence[Look], auth: tuple[str, str] | None = None, size: tuple[int, int] = SIZE) -> list[Seen]:
    """Look at pages, one after the other, in one browser."""
    username, password = auth or ("", "")
    asked = {
        "executable": chromium(),
        "username": username,
        "password": password,
        "width": size[0],
        "height": size[1],
        "pages": [
            {"url": page.url, "waitFor": page.wait_for, "picture": str(page.picture) if page.picture else None}
            for page in pages
        ],
    }
    ended = subprocess.run(
        ["node", "browser.cjs"],  # noqa: S607 -- whichever is first on PATH, as for the other Node programs
        cwd=NODE_FOLDER,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return [Seen(**seen) for seen in json.loads(ended.stdout)]
