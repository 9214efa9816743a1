"""`invoke trace`: Jaeger's page with the spans of a run."""

from __future__ import annotations

import threading
import time
import webbrowser
from collections.abc import Callable
from urllib.parse import urlencode

from ..host.progress import interactive, note
from ..host.settings import Settings
from ..run import record as records
from . import forward, rerun

SERVICE = "bjaeger"
FIRST = (
    "boulder-wfe2"  # whose spans the page shows first: an ACME request begins there. Its page lists the other services
)
SOON = 1.0  # seconds after which the port answers
MOST = 200  # spans' requests that the page lists


def trace(settings: Settings, name: str = "", show: Callable[[str], object] = webbrowser.open) -> int:
    """Forwards Jaeger's port and shows its page with what Boulder did while a run lasted, until Ctrl-C; returns 128 + the signal's number.

    name: the run's directory below .runs/, the newest if it is "". show: opens a page; on a terminal alone, and the page's address is said in
    any case. Jaeger keeps its spans in memory: what it did before its own start is gone. Raises Problem as `port_forward` does, or if there
    is no such run of the tests.
    """
    path = rerun.named(settings, name) if name else rerun.last(settings, failed=True)
    record = records.read(path)

    def opened(local: int) -> None:
        address = page(local, record["began"], record.get("ended") or time.time())
        note(f"the spans of {path.name}: {address}")
        if interactive():
            threading.Timer(SOON, show, [address]).start()

    return forward.port_forward(settings, [SERVICE], opened)


def page(port: int, began: float, ended: float) -> str:
    """Returns the address of Jaeger's page. began, ended: Unix time. https://www.jaegertracing.io/docs/latest/frontend-ui/"""
    span = {"start": int(began * 1e6), "end": int(ended * 1e6)}  # microseconds
    return (
        f"http://localhost:{port}/search?{urlencode({'service': FIRST, 'lookback': 'custom', 'limit': MOST, **span})}"
    )
