"""A page in headless Chromium, for tests. Standard library only."""
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Visit:
    dom: str  # after the scripts have run
    console: list  # messages, errors among them
    requests: set  # addresses that the page asked for, itself excepted
    screenshot: bytes  # PNG


def page_requests(net_log, page):
    """Chromium asks for updates and such on its own: those requests have no origin."""
    with open(net_log, encoding="utf-8") as file:
        events = [event.get("params") or {} for event in json.load(file)["events"]]
    return {event["url"] for event in events if event.get("url") and event.get("initiator") not in (None, "not an origin")} - {page}


def visit(html, fragment="", dark=False, height=1600):
    """Opens the page 1280 pixels wide at #fragment."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = os.path.join(folder, "page.html")
        with open(path, "w", encoding="utf-8") as file:
            file.write(html)
        address = f"file://{path}{'#' + fragment if fragment else ''}"
        # No sandbox: Chromium refuses to start as root with one.
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking", "--no-first-run",
                 f"--user-data-dir={folder}/user", f"--window-size=1280,{height}", f"--screenshot={folder}/page.png", f"--log-net-log={folder}/net.json",
                 "--virtual-time-budget=1000", "--enable-logging=stderr", "--dump-dom"] + (["--force-dark-mode"] if dark else [])
        result = subprocess.run([CHROMIUM, *flags, address], capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=120, check=True)
        console = [line for line in result.stderr.splitlines() if ":CONSOLE" in line]
        with open(f"{folder}/page.png", "rb") as file:
            return Visit(result.stdout, console, page_requests(f"{folder}/net.json", f"file://{path}"), file.read())
