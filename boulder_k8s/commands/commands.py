"""What the tasks and the wrappers do: one function a command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NoReturn

from ..cluster import images, snapshot, volume
from ..cluster.kind import Cluster
from ..host import docker, process, tools
from ..host.errors import Problem
from ..host.lock import held
from ..host.progress import note, overdue, shown, step
from ..host.settings import Settings
from ..host.signals import Signals
from ..manifests import checkout as checkouts
from ..manifests import staging
from ..manifests.compose import setup_command, words
from ..run import standby
from ..run.directory import Run
from ..run.runner import TESTS, Harness
from .arguments import TIMEOUT
from .stack import BOULDER, Stack


def find_checkout(settings: Settings, environ: Mapping[str, str]) -> checkouts.Checkout:
    """The checkout that the environment, the current directory or the wrapper's place names, else the cluster's, else a clone."""
    found = checkouts.find(
        environ, checkouts.current_directory(), settings.root, settings.offline, settings.known_checkout
    )
    if outside := found.external_git_directory():
        note(
            f"{found.path} is a git worktree; git in the pod cannot see {outside}, so --generate fails here as it does under Compose"
        )
    return found


@contextmanager
def working(
    settings: Settings, what: str, signals: Signals, environ: Mapping[str, str], config_next: bool
) -> Iterator[tuple[Stack, Harness]]:
    """Everything that can be checked without changing anything, then the cluster's lock for the block."""
    cluster = Cluster(settings, tools.find(settings))
    with held(settings, what):
        yield Stack.of(settings, cluster, find_checkout(settings, environ), config_next), Harness(cluster, signals)


def test(
    settings: Settings,
    signals: Signals,
    arguments: list[str],
    config_next: bool = False,
    environ: Mapping[str, str] = os.environ,
    timeout: float = TIMEOUT,
) -> int:
    """`./t.sh ARGUMENTS`, or ./tn.sh with config_next: returns test.sh's exit code.

    timeout: seconds for the dependencies to get ready. Raises Problem when the tests cannot be started.
    """
    what = " ".join([("./tnk8s.sh" if config_next else "./tk8s.sh"), *arguments])
    command = ["./test.sh", *(["-n"] if config_next else []), *arguments]
    return in_fresh_pod(settings, signals, what, command, arguments, config_next, environ, timeout)


def in_fresh_pod(
    settings: Settings,
    signals: Signals,
    what: str,
    program: list[str],
    arguments: list[str],
    config_next: bool,
    environ: Mapping[str, str],
    timeout: float,
) -> int:
    """`docker compose run --rm boulder PROGRAM`: runs it behind entrypoint.sh in a fresh pod; returns its exit code.

    what: the command as the user gave it. arguments: what of it goes to run.json and the run directory's name.
    """
    with working(settings, what, signals, environ, config_next) as (stack, harness):
        passed = (
            {"USE_VITESS": environ["USE_VITESS"]} if "USE_VITESS" in environ else {}
        )  # `docker compose run -e USE_VITESS`
        run = Run.create(
            settings,
            [("tn" if config_next else "t"), *arguments],
            {
                "arguments": arguments,
                "config_next": config_next,
                "environment": passed,
                "checkout": str(stack.checkout.path),
            },
            standby.find(settings),
        )
        with snapshot.packed(settings, run), run.recorded(), explained(stack, run), ThreadPoolExecutor(1) as pool:
            # Beside the work: git looks at every file.
            pool.submit(lambda: run.record.update(revision=stack.checkout.revision()))
            rendered = stack.bring_up(harness, run, timeout)
            run.record["versions"] = stack.versions()
            with run.phase("stop boulder"):
                stack.remove_leftovers(harness, run)
                stack.stop_boulder()
            entrypoint = words(stack.services[BOULDER], "entrypoint")
            commands = [setup_command(stack.services), [*entrypoint, *program]]
            try:
                code = harness.execute(rendered, run, TESTS, commands, passed, timeout, stack.basis())
            finally:
                give_back(stack, signals)
            run.record["exit_code"] = code
        if code:
            note(f"exit code {code}; everything about this run is in {shown(run.path)}")
        return code


def run(
    settings: Settings,
    signals: Signals,
    program: list[str],
    config_next: bool = False,
    environ: Mapping[str, str] = os.environ,
    timeout: float = TIMEOUT,
) -> int:
    """`docker compose run --rm boulder PROGRAM`: returns its exit code. Otherwise as `test`."""
    if not program:
        raise Problem("There is no command to run.", "Write it behind two dashes: invoke run -- go test ./va")
    what = " ".join(["invoke run --", *program])[:200]
    return in_fresh_pod(settings, signals, what, program, ["run", *program], config_next, environ, timeout)


def hand_over(
    settings: Settings, arguments: list[str], config_next: bool, environ: Mapping[str, str] = os.environ
) -> NoReturn:
    """Becomes the checkout's own t.sh, or tn.sh, with the environment as the user has it (BOULDER_CI_ORCH=compose)."""
    script = find_checkout(settings, environ).path / ("tn.sh" if config_next else "t.sh")
    own = str(settings.root)  # what tk8s.sh put in front
    path = [part for part in environ.get("PYTHONPATH", "").split(":") if part and part != own]
    kept = {key: value for key, value in environ.items() if key not in ("PYTHONPATH", "BOULDER_K8S_WRAPPER")}
    try:
        os.execve(script, [str(script), *arguments], {**kept, **({"PYTHONPATH": ":".join(path)} if path else {})})
    except OSError as error:
        raise Problem(
            f"{script} cannot be started: {error.strerror}.", "See whether it is there and executable."
        ) from error


@contextmanager
def explained(stack: Stack, run: Run) -> Iterator[None]:
    """When the block fails on the cluster: its logs are kept, and an image that the node has lost is loaded next time."""
    try:
        yield
    except Problem as problem:
        if stack.node_id:
            snapshot.collect(stack.cluster.kubectl, run)
        if "ErrImageNeverPull" in problem.message:
            images.forget(stack.settings)
        raise


def give_back(stack: Stack, signals: Signals) -> None:
    """Starts the Boulder again that the tests' pod took the place of. Failing at it does not change the tests' verdict."""
    with signals.deferred():
        try:
            stack.restore_boulder(patience=10)
        except (process.Failed, subprocess.TimeoutExpired) as error:
            note(f"the running Boulder could not be started again; the next command does it ({error})")


def up(
    settings: Settings,
    signals: Signals,
    config_next: bool = False,
    environ: Mapping[str, str] = os.environ,
    timeout: float = TIMEOUT,
) -> None:
    """`docker compose up --detach`: returns when the ACME directory answers on the host.

    timeout: seconds, for the dependencies and again for Boulder. Raises Problem with the name of what failed and its last log lines.
    """
    with working(settings, "invoke up", signals, environ, config_next) as (stack, harness):
        run = Run.create(
            settings, ["up"], {"arguments": ["up"], "config_next": config_next, "checkout": str(stack.checkout.path)}
        )
        with snapshot.packed(settings, run), run.recorded(), explained(stack, run):
            rendered = stack.bring_up(harness, run, timeout)
            stack.remove_leftovers(harness, run)
            stack.bring_up_boulder(rendered, timeout)
            wait_for_directory(settings, 30)
        note(f"Boulder is up: {settings.directory_url}")


def render(settings: Settings, config_next: bool = False, environ: Mapping[str, str] = os.environ) -> None:
    """Prints the YAML that `up` applies for this checkout, Secrets included (they hold the throwaway test PKI). Needs no cluster.

    Raises Problem when the checkout cannot be carried. Where generate.sh has not run yet, its Secrets are left out, and that is said.
    """
    cluster = Cluster(settings, tools.find(settings))
    checkout = find_checkout(settings, environ)
    with overdue("asking Docker and Compose"):
        stack = Stack.of(settings, cluster, checkout, config_next)
        stack.lay_over()
        stack.image_ids = docker.image_ids(sorted({service.image for service in stack.services.values()}))
    if bare := staging.needs_generate(stack.checkout):
        note("without the Secrets: test/certs/generate.sh has not run yet")
    with held(settings, "invoke render"):
        sys.stdout.write(stack.render(secrets=not bare).text)


def wait_for_directory(settings: Settings, timeout: float) -> None:
    """Waits until the host reaches the ACME directory. Raises Problem after `timeout` seconds."""
    import urllib.request  # here, not on top: a run of the tests asks nothing over HTTP (25 ms)

    deadline = time.monotonic() + timeout
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # localhost is never behind a proxy
    with step(f"waiting for {settings.directory_url}"):
        while True:
            try:
                with opener.open(settings.directory_url, timeout=5):
                    return
            except OSError as error:  # urllib's errors are OSErrors
                if time.monotonic() > deadline:
                    raise Problem(
                        f"Boulder is ready, but {settings.directory_url} does not answer: {error}.",
                        "See whether a firewall or proxy stands between, and `docker port " + settings.node + "`.",
                        check="proxy",
                    ) from error
                time.sleep(0.2)


def down(settings: Settings, drop_images: bool = False) -> None:
    """`docker compose down --volumes`: removes the cluster, its databases and its kubeconfig; with drop_images also the volume that
    keeps the node's images for the next one. Nothing happens when there is nothing.
    """
    cluster = Cluster(settings, tools.find(settings))
    with held(settings, "invoke down"):
        if cluster.node() is None and not settings.state.exists():
            note(f"there is no cluster {settings.cluster}")
        else:
            cluster.remove()
        if drop_images:
            volume.remove(settings)
