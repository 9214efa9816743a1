"""The sidecar between Boulder and a client at a reserved address, as a real process on addresses of the loopback's."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from boulder_k8s.host.settings import ROOT

ADDRESS, TARGET = "127.0.0.3", "127.0.0.2"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it runs in the pod alone")


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def forwarder(port: int) -> Iterator[subprocess.Popen]:
    program = f"import asyncio, forward; forward.PORTS = ({port},); asyncio.run(forward.main('{ADDRESS}', '{TARGET}'))"
    child = subprocess.Popen([sys.executable, "-B", "-c", program], cwd=ROOT / "k8s/components/acme-client")
    yield child
    child.kill()
    child.wait()


def connect(port: int) -> socket.socket:
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection((ADDRESS, port), 10)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def read(connection: socket.socket) -> bytes:
    data = b""
    while more := connection.recv(65536):
        data += more
    return data


def test_bytes_pass_in_both_directions_and_an_end_is_an_end(forwarder: subprocess.Popen, port: int) -> None:
    question, answer = b"\x00ask\r\n" * 50_000, b"\xfftold\n" * 50_000
    heard = []
    with socket.create_server((TARGET, port)) as server, connect(port) as connection:

        def client() -> None:
            accepted, _ = server.accept()
            with accepted:
                heard.append(read(accepted))  # ends when the asking side has said all
                accepted.sendall(answer)

        thread = threading.Thread(target=client, daemon=True)
        thread.start()
        connection.sendall(question)
        connection.shutdown(socket.SHUT_WR)
        assert read(connection) == answer
        thread.join(10)
    assert heard == [question]


def test_a_client_that_is_not_there_is_a_reset_and_the_next_one_is_served(
    forwarder: subprocess.Popen, port: int
) -> None:
    # On a busy machine it comes while we connect.
    with pytest.raises(ConnectionResetError), connect(port) as connection:
        connection.recv(1)
    with socket.create_server((TARGET, port)) as server, connect(port):
        server.accept()[0].close()


def test_sigterm_ends_it_at_once(forwarder: subprocess.Popen, port: int) -> None:
    connect(port).close()
    forwarder.send_signal(signal.SIGTERM)
    assert forwarder.wait(5) == 0
