"""`invoke certificates`: `docker compose run --rm bsetup`."""

from __future__ import annotations

from ..host.progress import note
from ..host.settings import Settings
from ..host.signals import Signals
from ..manifests import compose, staging
from ..run.directory import Run
from .arguments import Options
from .stack import explained
from .working import working


def certificates(settings: Settings, signals: Signals, options: Options) -> None:
    """Runs the checkout's generate.sh in a pod, which makes the test certificates that are missing. Raises Problem, with its exit code if it
    fails, or ApiError.
    """
    with working(settings, "invoke certificates", signals, options) as (stack, runner):
        if not staging.setup_is_due(stack.checkout, compose.setup_words(stack.services)):
            note("the test certificates are there; remove test/certs/ipki and webpki to have them made anew")
            return
        run = Run.create(settings, ["certificates"], {"arguments": ["up"], "checkout": str(stack.checkout.path)})
        with run.recorded(), explained(stack, run):
            stack.bring_up(runner, run, options.timeout, last="certificates")
