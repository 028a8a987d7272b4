"""Pages as a browser sees them: Debian's Chromium without a window, for tests of HTML pages."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)
SECONDS = 60  # a first start on a busy machine
# Runs after the page has loaded and leaves its findings where --dump-dom shows them.
PROBE = """<script>addEventListener("load", () => {
  const images = [...document.images];
  images.forEach(image => image.loading = "eager");
  document.body.dataset.probe = JSON.stringify({
    title: document.title, text: document.body.innerText,
    n_parts: document.querySelectorAll("article.part").length,
    n_images: images.length, n_charts: document.querySelectorAll(".chart svg").length,
    width: innerWidth, scroll_width: document.documentElement.scrollWidth,
    addresses: [...document.querySelectorAll("[src], [href]")]
      .map(e => e.getAttribute("src") || e.getAttribute("href"))
      .filter(a => !a.startsWith("data:") && !a.startsWith("#")),
  });
});</script>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the browser found; `addresses` are those outside the page, `console` its complaints."""

    title: str
    text: str
    n_parts: int
    n_images: int
    n_charts: int
    width: int
    scroll_width: int
    addresses: list[str]
    console: list[str]


def look_at(page: Path, folder: Path, *, width: int = 1280) -> Seen:
    """Load `page` in Chromium; `folder` takes a copy and the browser's profile."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    copy = folder / f"probed-{width}.html"
    copy.write_text(page.read_text() + PROBE)
    done = subprocess.run(
        [
            chromium,
            *FLAGS,
            f"--user-data-dir={folder / f'profile-{width}'}",
            f"--window-size={width},900",
            "--dump-dom",
            copy.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    probe = re.search(r'data-probe="([^"]*)"', done.stdout)
    assert probe is not None, "the page did not finish loading"
    found = json.loads(html.unescape(probe[1]))
    return Seen(**found, console=re.findall(r"CONSOLE.*", done.stderr))
