"""Offline: no command that could reach for a network is started, and no connection is made."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from support.machine import Machine

ASKED = {  # what docker may be asked for
    *("info", "version", "compose config", "container inspect", "image inspect", "image save", "exec"),
    *("volume inspect", "volume create", "volume rm", "run --rm --network=none --entrypoint=/bin/true", "ps"),
    "run --rm --network=none --entrypoint=cat",
    "create --pull=never",
}


@pytest.fixture
def proxy() -> Iterator[socket.socket]:
    """The only way out: whoever goes online comes by here."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def way_out(proxy: socket.socket) -> dict[str, str]:
    address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
    return dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), address)


def came_by(proxy: socket.socket) -> bool:
    try:
        proxy.accept()[0].close()
        return True
    except BlockingIOError:
        return False


def asked(machine: Machine) -> set[str]:
    """What docker was asked for, as far as ASKED tells it apart."""
    found = set()
    for call in machine.calls("docker"):
        words = " ".join(word for word in call if word not in ("--profile", "*"))
        found.add(next((known for known in ASKED if words.startswith(known)), words))
    return found


def fails(machine: Machine, proxy: socket.socket, *messages: str, **environment: str) -> None:
    result = machine.run("--unit", **way_out(proxy), **environment)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    for message in messages:
        assert message in result.stderr
    assert asked(machine) <= ASKED
    assert not came_by(proxy)


def test_a_first_run_with_everything_here_asks_no_registry(machine: Machine, proxy: socket.socket) -> None:
    result = machine.run("--unit", BOULDER_K8S_OFFLINE="true", **way_out(proxy))
    assert result.returncode == 0, result.stderr
    assert {"image inspect", "image save"} <= asked(machine) <= ASKED
    assert not came_by(proxy)


def test_up_offline_does_not_pull_what_is_missing(machine: Machine) -> None:
    machine.tell("no-image", "letsencrypt/boulder-tools:t")
    result = machine.invoke("up", "--offline")
    assert result.returncode == 2
    assert "Image letsencrypt/boulder-tools:t is not here, and nothing is fetched offline" in result.stderr
    assert "invoke images load FILE" in result.stderr
    assert asked(machine) <= ASKED
    machine.invoke("up")
    assert not asked(machine) <= ASKED  # a pull would have been seen


def test_a_missing_node_image_is_not_pulled(machine: Machine, proxy: socket.socket) -> None:
    machine.tell("no-image", "node:1")
    fails(
        machine,
        proxy,
        "Image node:1 is not here",
        "images load FILE",
        KIND_NODE_IMAGE="node:1",
        BOULDER_K8S_OFFLINE="true",
    )


def test_a_missing_kind_is_not_downloaded(machine: Machine, proxy: socket.socket) -> None:
    (machine.state / "bin/kind").unlink()
    fails(machine, proxy, "kind 0.33.0 is not here", "images load FILE", BOULDER_K8S_OFFLINE="true")
    machine.run("--unit", **way_out(proxy))
    assert came_by(proxy)  # a download would have been seen


def test_a_missing_checkout_is_not_cloned(machine: Machine, proxy: socket.socket) -> None:
    fails(machine, proxy, "A Boulder checkout is not here", "load FILE", BOULDER_DIR="", BOULDER_K8S_OFFLINE="true")


def test_offline_is_true_or_false(machine: Machine, proxy: socket.socket) -> None:
    fails(machine, proxy, "BOULDER_K8S_OFFLINE=yes is neither true nor false", BOULDER_K8S_OFFLINE="yes")


def test_the_actions_on_images_are_explained(machine: Machine) -> None:
    shown = machine.invoke("--help", "images").stdout
    for word in ("save", "load", "pin", "FILE"):
        assert word in shown
    result = machine.invoke("images", "sve", "file")
    assert (result.returncode, "images save FILE" in result.stderr) == (2, True)
    result = machine.invoke("images", "load", "nothing")
    assert (result.returncode, "nothing cannot be read: No such file" in result.stderr) == (2, True)
    result = machine.invoke("images", "pin")
    assert (result.returncode, "no registry's digest is known" in result.stderr) == (0, True), result.stderr
