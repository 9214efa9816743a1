"""A failed run's archive on a real cluster; what of the project's own is for its user's eyes alone."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
import tarfile
from pathlib import Path

from support.e2e import CLUSTER, ROOT, Project, eventually


def held(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as found:
        return {item.name.removeprefix("boulder-k8s/"): found.extractfile(item).read() for item in found}


def secrets(project: Project) -> list[bytes]:
    """Lines of every private key of the checkout, and every value of the cluster's Secrets, as they are and in base64."""
    keys = [path.read_bytes() for path in project.checkout.glob("test/certs/**/*key*.pem")]
    items = json.loads(project.kubectl("get", "secrets", "-o", "json"))["items"]
    values = [base64.b64decode(value) for item in items for value in item["data"].values()]
    private = [value for value in [*keys, *values] if b"PRIVATE KEY" in value]
    assert len(private) >= 3
    found = [line for value in private for line in value.splitlines() if len(line) > 20 and b"-----" not in line]
    return found + [base64.b64encode(value)[:400] for value in private]


def leaked(project: Project, files: dict[str, bytes]) -> list[bytes]:
    """Which secrets are in an archive, however their lines are broken there."""
    everything = b"".join(b"".join(files.values()).split())
    return [secret for secret in secrets(project) if secret in everything]


def test_a_failed_run_leaves_an_archive_without_secrets(stack: Project) -> None:
    (stack.checkout / "test/planted").touch()
    result = stack.run("--unit", "--read", input=b"typed by somebody\n")
    assert result.returncode == 1, result.stderr
    bundle = stack.latest() / "bundle.tar.gz"
    eventually(bundle.exists, "the archive behind the wrapper")
    files = held(bundle)
    text = files["summary.txt"].decode()
    assert next(iter(files)) == "summary.txt"
    assert text.startswith("Probably: the tests failed: exit code 1 in its stage unit"), text
    assert "1 package failed: example.test/boulder\n" in text and "TestPlanted: failed" in text
    assert (stack.latest() / "summary.txt").read_text() == text
    assert {"run/run.json", "run/stdout", "run/cluster/describe.txt", "node/journal.txt", "rendered.yaml"} <= set(files)
    assert [name for name in files if name.startswith("run/cluster/bconsul-")]
    assert b"kubelet" in files["node/journal.txt"]
    assert b"typed by somebody" not in b"\n".join(data for name, data in files.items() if name != "run/stdout")
    assert leaked(stack, files) == []


def test_invoke_bundle_packs_the_cluster_as_it_is_now(stack: Project, tmp_path: Path) -> None:
    result = stack.invoke("bundle", "--output", str(tmp_path / "here/report.tar.gz"))
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(b"Probably: ")
    files = held(tmp_path / "here/report.tar.gz")
    assert {"cluster/objects.json", "cluster/events.txt", "cluster/describe.txt", "doctor.txt", "versions.json"} <= set(
        files
    )
    assert "cluster/missing.txt" not in files, files["cluster/missing.txt"]
    assert b"Pod" in files["cluster/events.txt"]
    assert leaked(stack, files) == []


def test_what_is_ours_alone_is_for_our_eyes_and_this_machine(stack: Project) -> None:
    kubeconfig = ROOT / ".state/clusters" / CLUSTER / "kubeconfig"
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    assert stat.S_IMODE(kubeconfig.parent.stat().st_mode) == 0o700
    shown = subprocess.run(
        [
            "docker",
            "container",
            "inspect",
            "--format",
            "{{json .NetworkSettings.Ports}}",
            f"{CLUSTER}-control-plane",
        ],
        check=True,
        capture_output=True,
    ).stdout
    bound = [binding["HostIp"] for bindings in json.loads(shown).values() for binding in bindings or ()]
    assert len(bound) >= 3  # the API server, 4001, 4003
    assert set(bound) == {"127.0.0.1"}
