"""docs/acme-clients.md with a real client: certbot gets certificates from the real Boulder, its challenges answered three ways."""

from __future__ import annotations

import json
import os
import secrets
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from cryptography import x509
from support.real import LIMIT, Boulder

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # localhost is never behind a proxy


def certbot(directory: Path, server: str, name: str, *arguments: str, **environment: str) -> list[x509.Certificate]:
    """`certbot certonly`; returns the certificate that it got for `name`, and its issuers."""
    command = [Path(sys.executable).with_name("certbot"), "certonly", "--server", server, "--domain", name, *arguments]
    command += ["--non-interactive", "--agree-tos", "--register-unsafely-without-email"]
    for kind in ("config", "work", "logs"):
        command += [f"--{kind}-dir", directory / kind]
    result = subprocess.run(
        command,
        env={**os.environ, "NO_PROXY": "localhost", **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return x509.load_pem_x509_certificates((directory / f"config/live/{name}/fullchain.pem").read_bytes())


def check_issued_by_boulder(chain: list[x509.Certificate], name: str, checkout: Path) -> None:
    """The certificate is for `name` and leads to a root of the checkout's test PKI."""
    leaf, *issuers = chain
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [name]
    for certificate, issuer in zip(chain, issuers, strict=False):
        certificate.verify_directly_issued_by(issuer)
    roots = [
        x509.load_pem_x509_certificate(path.read_bytes())
        for path in (checkout / "test/certs/webpki").glob("root-*.cert.pem")
    ]
    (root,) = (root for root in roots if root.subject == chain[-1].issuer)
    chain[-1].verify_directly_issued_by(root)


def new_name() -> str:
    """A name that no earlier run has asked for: test/config allows two certificates for a domain."""
    return f"www.{secrets.token_hex(6)}.com"


@pytest.fixture
def port_80() -> None:
    """Where Boulder looks for an HTTP-01 answer, whatever the client would like."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", 80))
        except PermissionError:
            pytest.skip("port 80 is for root only here: sudo sysctl net.ipv4.ip_unprivileged_port_start=80")
        except OSError:
            pytest.skip("port 80 of this host is taken; stop what has it, as certbot has to listen there")


def test_a_client_on_the_host_answers_http_01_itself(boulder: Boulder, tmp_path: Path, port_80: None) -> None:
    boulder.invoke("up", "--fake-dns", "host-gateway")
    name = new_name()
    chain = certbot(tmp_path, boulder.url(4001, "directory"), name, "--standalone")
    check_issued_by_boulder(chain, name, boulder.checkout)


def test_challtestsrv_answers_dns_01_in_the_clients_place(boulder: Boulder, tmp_path: Path) -> None:
    boulder.invoke("up")
    hook = tmp_path / "hook"
    hook.write_text(
        "#!/bin/sh\n"
        f"exec curl --fail --silent --show-error --noproxy '*' {boulder.url(8055, 'set-txt')} --data "
        '"{\\"host\\": \\"_acme-challenge.$CERTBOT_DOMAIN.\\", \\"value\\": \\"$CERTBOT_VALIDATION\\"}"\n'
    )
    hook.chmod(0o755)
    name = new_name()
    manual = ["--manual", "--preferred-challenges", "dns", "--manual-auth-hook", str(hook)]
    # 4431 shows a certificate for the name `boulder`, not for localhost.
    chain = certbot(tmp_path, boulder.url(4431, "directory", "https"), name, *manual, "--no-verify-ssl")
    check_issued_by_boulder(chain, name, boulder.checkout)


def test_every_published_port_answers_and_4431_is_boulders_by_its_certificate(boulder: Boulder) -> None:
    boulder.invoke("up")
    for port, path in ((4001, "directory"), (4003, "build")):
        with DIRECT.open(boulder.url(port, path), timeout=10) as answer:
            assert answer.status == 200, port
    request = urllib.request.Request(boulder.url(8055, "dns-request-history"), data=b'{"host": "nobody.example"}')
    with DIRECT.open(request, timeout=10) as answer:
        assert json.load(answer) in ([], None)
    context = ssl.create_default_context(cafile=boulder.checkout / "test/certs/ipki/minica.pem")
    with (
        socket.create_connection(("127.0.0.1", boulder.ports[4431]), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="boulder") as wrapped,
    ):
        assert wrapped.version()


def test_boulder_runs_with_the_configuration_of_the_overlay_and_without_it_again(
    boulder: Boulder, tmp_path: Path
) -> None:
    document = json.loads((boulder.checkout / "test/config/wfe2.json").read_text())
    document["wfe"]["directoryWebsite"] = "https://client.example"
    (tmp_path / "wfe2.json").write_text(json.dumps(document))

    def website() -> str:
        with DIRECT.open(boulder.url(4001, "directory"), timeout=10) as answer:
            return json.load(answer)["meta"]["website"]

    changed = ["git", "-C", str(boulder.checkout), "status", "--porcelain", "test/config"]
    boulder.invoke("up", "--config-overlay", tmp_path)
    assert website() == "https://client.example"
    assert subprocess.run(changed, check=True, capture_output=True).stdout == b""
    boulder.invoke("up")
    assert website() == "https://github.com/letsencrypt/boulder"
