"""What a bundle holds, and that no secret is in it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace

import hypothesis
import pytest
from hypothesis import strategies as st
from support.api_server import ApiServer
from support.programs import Programs

from boulder_k8s.cluster import snapshot
from boulder_k8s.cluster.api import Api
from boulder_k8s.cluster.kubectl import Kubectl
from boulder_k8s.diagnose import bundle, failure
from boulder_k8s.diagnose.scrub import scrub
from boulder_k8s.host import python, tools
from boulder_k8s.host.settings import Settings
from boulder_k8s.host.tools import Tools
from boulder_k8s.run.directory import Run, last_run
from boulder_k8s.run.retention import goes_on
from boulder_k8s.run.runner import keep_cluster_state

KINDS = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY")


def key(kind: str) -> str:
    body = base64.b64encode(f"the inside of a {kind} ".encode() * 20).decode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""])


@pytest.mark.parametrize("kind", KINDS)
def test_private_keys_are_left_out_whole_cut_or_on_one_line(kind: str) -> None:
    text = key(kind)
    inside = re.sub(r"-----.*?-----", "", text).split()
    middle = len(text) // 2
    one_line = text.replace("\n", "\\n")  # as in JSON
    for said in (f"before {text} after", text[:middle], text[middle:], one_line, one_line[:middle]):
        kept = scrub(said.encode()).decode()
        assert not [line for line in inside if line in kept], said
    assert scrub(f"before {text} after {text} end".encode()).decode().replace("(left out)", "") == (
        "before \n after \n end".replace("\n", "\n")
    )


def test_values_of_variables_that_look_secret_are_left_out() -> None:
    for text in (
        "MINIO_ROOT_PASSWORD=hidden",
        "      MINIO_ROOT_PASSWORD:   hidden\n",
        '{"GITHUB_TOKEN": "hidden", "other": 1}',
        '{"name": "AWS_SECRET_ACCESS_KEY", "value": "hidden"}',
        '{\n "name": "API_KEY",\n "value": "hidden"\n}',
        "- name: DB_PASSWD\n  value: hidden\n",
        "http://somebody:hidden@proxy:3128/",
    ):
        assert b"hidden" not in scrub(text.encode()), text
    kept = b'"name": "BOULDER_CONFIG_DIR",\n"value": "test/config"\nFAKE_DNS: 10.77.77.77 http://boulder:4001/a@b'
    assert scrub(kept) == kept


@pytest.fixture
def node(settings: Settings, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node of ours that runs, and answers nothing."""
    found = {
        "State": {"Running": True},
        "Mounts": [{"Type": "bind", "Source": str(settings.runs), "Destination": "/runs"}],
    }
    programs.answer("docker", "container inspect", f"echo '{json.dumps([found])}'")
    programs.answer("docker", "exec", "exit 1")
    monkeypatch.setattr(tools, "find", lambda settings: Tools(Path("/kind"), Path("/kubectl")))


@pytest.fixture
def run(settings: Settings, node: None) -> Run:
    made = Run.create(settings, ["t"], {"arguments": ["--unit"], "environment": {"SOME_TOKEN": "hidden-in-run-json"}})
    (made.path / "stdin").write_text("hidden-in-stdin")
    (made.path / "stdout").write_text(f"said\n{key('EC PRIVATE KEY')}said more\n")
    (made.path / "var-log").mkdir()
    (made.path / "var-log/key.pem").write_text(key("PRIVATE KEY"))
    (made.path / "var-log/link").symlink_to("/etc/hostname")
    made.record["exit_code"] = 1
    made.save()
    return made


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as found:
        return {item.name.removeprefix("boulder-k8s/"): found.extractfile(item).read() for item in found}


def test_no_secret_is_in_the_archive(settings: Settings, run: Run, programs: Programs, monkeypatch) -> None:
    """Secrets as they lie in the state directory (rendered, staged, kubeconfig), in the run directory, in the cluster's answers."""
    programs.answer("docker", "exec", "echo kubelet says TOKEN=hidden-in-journal")
    secret = base64.b64encode(key("RSA PRIVATE KEY").encode()).decode()
    objects = [
        {"kind": "Secret", "metadata": {"name": "bredis-tls"}, "data": {"key.pem": secret}},
        {"kind": "ConfigMap", "metadata": {"name": "boulder-config"}, "data": {"a.json": "hidden-in-a-config-map"}},
        {"kind": "Deployment", "spec": {"env": [{"name": "ROOT_PASSWORD", "value": "hidden-in-env"}]}},
    ]
    settings.state.mkdir(parents=True)
    (settings.state / "kubeconfig").write_text(f"client-key-data: {secret}")
    settings.file("overlay").write_text(json.dumps({"key": "", "answer": {"text": "", "objects": objects}}))
    (settings.state / "overlay/bredis-tls").mkdir(parents=True)
    (settings.state / "overlay/bredis-tls/key.pem").write_text(key("RSA PRIVATE KEY"))
    (run.path / "cluster").mkdir()
    (run.path / "cluster/objects.json").write_text("[]")
    (run.path / "cluster/boulder-x.log").write_text(key("RSA PRIVATE KEY"))
    bundle.pack(settings, run)
    found = members(run.path / bundle.NAME)
    everything = b"\n".join(found.values())
    assert b"hidden" not in everything
    assert secret.encode() not in everything
    for kind in KINDS:
        assert not [line for line in key(kind).splitlines()[1:-1] if line.encode() in everything]
    assert next(iter(found)) == "summary.txt"
    assert {"run/run.json", "run/stdout", "rendered.yaml", "node/journal.txt", "run/cluster/boulder-x.log"} <= set(
        found
    )
    assert not [name for name in found if "stdin" in name or "link" in name or "kubeconfig" in name]
    assert b"said more" in found["run/stdout"]
    assert not list(run.path.glob(".*.partial"))


def test_of_large_files_the_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "stdout"
    path.write_bytes(b"x" * 1000 + b"the end")
    assert bundle.tail(path, 7) == b"(1000 bytes before this were left out)\nthe end"


def test_a_failure_is_packed_and_an_interruption_is_not(settings: Settings, run: Run, programs: Programs) -> None:
    from boulder_k8s.host.errors import Interrupted, Problem

    with pytest.raises(Interrupted), failure.packed(settings, run):
        raise Interrupted(2)
    assert not (run.path / bundle.NAME).exists()
    with pytest.raises(Problem), failure.packed(settings, run), run.recorded():
        raise Problem("Not ready after 3 s: bconsul.", "Wait.")
    text = members(run.path / bundle.NAME)["summary.txt"].decode()
    assert text.startswith("Probably: Not ready after 3 s: bconsul.")


def test_tests_that_fail_are_packed_behind_the_wrapper(settings: Settings, run: Run, monkeypatch) -> None:
    left: list[list[str]] = []
    monkeypatch.setattr(failure.process, "spawn_detached", lambda command, cwd: left.append(command))
    with failure.packed(settings, run):
        (run.path / "exitcode").write_text("1\n")
        keep_cluster_state(SimpleNamespace(api=None, kubectl=None), run)
    assert left == [python.command("diagnose.bundle", str(run.path), "unit")]
    assert not (run.path / bundle.NAME).exists()
    assert not (run.path / "cluster").exists()
    run.record["exit_code"] = 130  # interrupted
    with failure.packed(settings, run):
        pass
    run.record["exit_code"] = 0
    with failure.packed(settings, run):
        pass
    assert len(left) == 1


@pytest.fixture
def kubectl(programs: Programs, tmp_path: Path) -> Kubectl:
    programs.answer("kubectl", "describe pods", "echo refused >&2; exit 1")
    return Kubectl(programs.directory / "kubectl", tmp_path / "kubeconfig", "kind-unit")


def test_what_the_cluster_knew_is_kept(
    api: Api, server: ApiServer, kubectl: Kubectl, tmp_path: Path, settings: Settings
) -> None:
    labels = {"app.kubernetes.io/part-of": "boulder"}
    server.add(
        {
            "kind": "Pod",
            "metadata": {"name": "bconsul-x", "labels": labels},
            "spec": {"containers": [{"name": "bconsul"}]},
        }
    )
    ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "noon"}
    status = {
        "name": "bconsul",
        "restartCount": 1,
        "state": {"running": {}},
        "lastState": {"terminated": ended},
    }
    server.change("Pod", "bconsul-x", {"status": {"containerStatuses": [status]}})
    server.say("bconsul-x", "bconsul", "hello", at="2026-01-01T00:00:01.000000000Z")
    server.say("bconsul-x", "bconsul", "last words", at="2026-01-01T00:00:00.000000000Z", previous=True)
    server.add(
        {
            "kind": "Event",
            "type": "Warning",
            "reason": "SystemOOM",
            "message": "victim: consul",
            "lastTimestamp": "2026-01-01T00:00:00Z",
            "metadata": {"name": "e"},
            "involvedObject": {"kind": "Node", "name": "node"},
        }
    )
    found = tmp_path / "cluster"
    snapshot.take(api, kubectl, found)
    assert (found / "bconsul-x.log").read_text() == "bconsul 2026-01-01T00:00:01.000000000Z hello\n"
    assert (found / "bconsul-x.previous.log").read_text() == "bconsul 2026-01-01T00:00:00.000000000Z last words\n"
    assert "SystemOOM Node/node: victim: consul" in (found / "events.txt").read_text()
    assert "refused" in (found / "missing.txt").read_text()
    text = bundle.summary(settings, None, found)
    assert text.startswith("Probably: bconsul-x (bconsul) ended with 137 (OOMKilled) at noon, restarted 1 times.")
    assert "SystemOOM node: victim: consul" in text


def test_a_cluster_that_does_not_answer_is_said(api: Api, server: ApiServer, kubectl: Kubectl, tmp_path: Path) -> None:
    server.stop()
    snapshot.take(api, kubectl, tmp_path / "cluster")
    missing = (tmp_path / "cluster/missing.txt").read_text()
    assert "objects: the API server does not answer" in missing and "describe: " in missing


def test_the_archive_is_readable_by_tar(settings: Settings, run: Run, programs: Programs) -> None:
    bundle.pack(settings, run)
    listed = subprocess.run(["tar", "-tzf", run.path / bundle.NAME], capture_output=True, text=True, check=True).stdout
    assert listed.splitlines()[0] == "boulder-k8s/summary.txt"


def broken_disk(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device", "/somewhere/bundle.tar.gz")


def odd(*_: object, **__: object) -> None:
    raise KeyError("a defect\nof ours")


@pytest.mark.parametrize("fault", [broken_disk, odd])
def test_a_bundle_that_cannot_be_written_is_one_line_and_changes_nothing(
    settings: Settings, run: Run, monkeypatch, capsys: pytest.CaptureFixture[str], fault
) -> None:
    from boulder_k8s.host.errors import Problem

    monkeypatch.setattr(bundle, "write_archive", fault)
    monkeypatch.setattr(failure.process, "spawn_detached", fault)
    with pytest.raises(Problem, match="Not ready after 3 s"), failure.packed(settings, run), run.recorded():
        raise Problem("Not ready after 3 s: bconsul.", "Wait.")
    del run.record["failure"]
    (run.path / "exitcode").write_text("1\n")
    with failure.packed(settings, run):  # the tests' own failure
        pass
    run.record["failure"] = "killed: OOMKilled"
    with failure.packed(settings, run):
        pass
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all(line.startswith("boulder-k8s: bundle.tar.gz was not written: ") for line in lines)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
KNOWN = ("began", "ended", "arguments", "phases", "versions", "restarts", "failure", "exit_code", "cluster", "revision")
OBJECT = {"kind": "Pod", "metadata": {"name": "a"}, "status": {"containerStatuses": [{"name": "b", "lastState": {}}]}}


@hypothesis.settings(
    max_examples=50, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(
    record=st.dictionaries(st.sampled_from(KNOWN), values) | values,
    objects=st.lists(st.just(OBJECT) | values, max_size=3) | values,
    end=st.integers(0, 60) | st.none(),
)
def test_files_that_hold_anything_or_end_anywhere_do_not_stop_the_bundle(
    settings: Settings, run: Run, record: object, objects: object, end: int | None
) -> None:
    (run.path / "cluster").mkdir(exist_ok=True)
    (run.path / "run.json").write_text(json.dumps(record)[:end])
    (run.path / "cluster/objects.json").write_text(json.dumps(objects)[:end])
    bundle.pack(settings, run)
    found = members(run.path / bundle.NAME)
    assert "run/stdout" in found and b"In this archive:" in found["summary.txt"]
    last_run(settings)
    goes_on(run.path)


def test_a_file_that_cannot_be_read_is_named_in_the_archive(settings: Settings, run: Run, monkeypatch) -> None:
    tail = bundle.tail

    def fails(path: Path, *most: int) -> bytes:
        if path.name == "stdout":
            raise OSError(5, "Input/output error")
        return tail(path, *most)

    monkeypatch.setattr(bundle, "tail", fails)
    bundle.pack(settings, run)
    found = members(run.path / bundle.NAME)
    assert found["run/stdout"] == b"could not be read: Input/output error\n"
