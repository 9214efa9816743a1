"""tk8s.sh, tnk8s.sh and the tasks on a machine of fakes: what they pass on, what they refuse, what they never do."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support.machine import Machine, refused


def test_arguments_arrive_untouched_behind_test_sh(machine: Machine) -> None:
    arguments = ["--unit", "-p", "./a b", "", "ü'\"$HOME *", "--", "--help"]
    assert machine.run(*arguments).returncode == 0
    commands = json.loads((machine.project / ".runs/latest/command.json").read_text())["commands"]
    assert commands[-1] == ["test/entrypoint.sh", "./test.sh", *arguments]
    assert commands[0][-1] == "test/certs/generate.sh"
    assert machine.run(*arguments, wrapper="tnk8s.sh").returncode == 0
    commands = json.loads((machine.project / ".runs/latest/command.json").read_text())["commands"]
    assert commands[-1] == ["test/entrypoint.sh", "./test.sh", "-n", *arguments]


@pytest.mark.parametrize("exec_code", ["0", "1", "137"])
def test_the_exit_code_is_the_records_whatever_exec_says(machine: Machine, exec_code: str) -> None:
    machine.tell("exit-code", "42")
    machine.tell("exec-code", exec_code)
    machine.tell("stdout", "what the tests say")
    machine.tell("stderr", "what they complain about\n")
    result = machine.run("--unit")
    assert (result.returncode, result.stdout) == (42, "what the tests say")
    assert "what they complain about\n" in result.stderr


def test_use_vitess_is_passed_only_if_it_is_set(machine: Machine) -> None:
    def environment() -> dict[str, str]:
        return {
            item["name"]: item["value"]
            for item in json.loads((machine.state / "pod.json").read_text())["spec"]["containers"][0]["env"]
        }

    machine.run("-h")
    assert environment()["USE_VITESS"] == "false"
    machine.run("-h", USE_VITESS="true")
    assert environment()["USE_VITESS"] == "true"


def test_a_variable_that_t_sh_passes_arrives_as_under_compose(machine: Machine) -> None:
    script = machine.checkout / "t.sh"
    script.write_text(script.read_text().replace("-e USE_VITESS", "-e FOO -e BAR=${BAR:-none}"))

    def environment() -> dict[str, str]:
        pod = json.loads((machine.state / "pod.json").read_text())
        return {item["name"]: item["value"] for item in pod["spec"]["containers"][0]["env"]}

    assert machine.run("-h", FOO="1", USE_VITESS="true").returncode == 0
    assert (environment()["FOO"], environment()["BAR"], environment()["USE_VITESS"]) == ("1", "none", "false")
    commands = json.loads((machine.project / ".runs/latest/command.json").read_text())["commands"]
    assert commands[0][commands[0].index("FOO") - 1] == "-u"  # bsetup is not given it
    assert machine.run("-h").returncode == 0
    assert "FOO" not in environment()


def test_what_t_sh_does_and_nobody_can_do_here_is_said_before_anything_starts(machine: Machine) -> None:
    script = machine.checkout / "t.sh"
    script.write_text(script.read_text().replace("-e USE_VITESS", "--user nobody"))
    refused(machine, machine.run("-h"), "t.sh:6 has --user; that has no counterpart here.", "Run ./t.sh itself")
    assert machine.run("-h", BOULDER_K8S_DRIFT="note").returncode == 0


def change_compose(machine: Machine, change: Callable[[dict], object]) -> None:
    """Changes the checkout's docker-compose.yml."""
    path = machine.checkout / "docker-compose.yml"
    document = yaml.safe_load(path.read_text())
    change(document["services"])
    path.write_text(yaml.safe_dump(document))


def test_a_checkout_without_bsetup_runs_the_tests_alone(machine: Machine) -> None:
    change_compose(machine, lambda services: services.pop("bsetup"))
    script = machine.checkout / "t.sh"
    refused(
        machine, machine.run("-h"), "t.sh:5 runs the service bsetup, which the Compose file does not have", "./t.sh"
    )
    script.write_text(script.read_text().replace("docker compose run --rm bsetup\n", ""))
    result = machine.run("-h")
    assert result.returncode == 0, result.stderr
    commands = json.loads((machine.project / ".runs/latest/command.json").read_text())["commands"]
    assert commands == [["test/entrypoint.sh", "./test.sh", "-h"]]


def test_a_bsetup_with_another_command_runs_that(machine: Machine) -> None:
    change_compose(machine, lambda services: services["bsetup"].update(entrypoint=["test/make.sh"], command=["all"]))
    (machine.checkout / "test/certs/generate.sh").unlink()
    assert machine.run("-h").returncode == 0
    commands = json.loads((machine.project / ".runs/latest/command.json").read_text())["commands"]
    assert commands[0][-2:] == ["test/make.sh", "all"]


def test_every_call_names_its_cluster(machine: Machine) -> None:
    machine.run("-h", KIND_CLUSTER="mine")
    machine.run("-h", KIND_CLUSTER="mine")
    kubeconfig = machine.project / ".state/clusters/mine/kubeconfig"
    for call in machine.calls("kubectl"):
        assert call[0] in ("kustomize", "version") or {f"--kubeconfig={kubeconfig}", "--context=kind-mine"} <= set(
            call
        ), call
    for call in machine.calls("kind"):
        assert call == ["version"] or {f"--kubeconfig={kubeconfig}", "--name=mine"} <= set(call), call
    assert sum(call[:2] == ["create", "cluster"] for call in machine.calls("kind")) == 1


def test_after_an_upgrade_of_python_the_environment_is_made_again(machine: Machine) -> None:
    assert machine.run("t").returncode == 0
    (machine.project / ".venv/complete").write_text("/usr/bin/python3.0\n")
    (machine.project / ".venv/lib").unlink()
    result = machine.run("t", BOULDER_K8S_OFFLINE="true")  # so that it says so and does not begin
    assert (result.returncode, ".venv is not set up or not up to date" in result.stderr) == (2, True)


def test_the_users_preferences_for_kubectl_do_not_count(machine: Machine) -> None:
    machine.run("t")
    assert set((machine.state / "kubectl.kuberc").read_text().split()) == {"off"}


def test_a_directory_that_is_gone_is_said(machine: Machine, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"cd {gone} && rmdir {gone} && exec {machine.project}/tk8s.sh"
    result = subprocess.run(["bash", "-c", script], env=machine.environment(), capture_output=True, text=True)
    assert result.returncode == 2
    assert "The current directory is gone" in result.stderr
    assert "Traceback" not in result.stderr


def test_what_sudo_left_is_said(machine: Machine) -> None:
    """A file that only root may read; raised here, since these tests may be root's."""
    script = """
from boulder_k8s.commands.cli import guarded
def action(settings, signals):
    raise PermissionError(13, "Permission denied", str(settings.state))
raise SystemExit(guarded(action))
"""
    python = machine.project / ".venv/bin/python"
    environment = machine.environment(PYTHONPATH=str(machine.project))
    result = subprocess.run([python, "-c", script], env=environment, capture_output=True, text=True)
    assert result.returncode == 2
    assert "cannot be read or written by you" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_directory_that_is_no_checkout(machine: Machine, tmp_path: Path) -> None:
    refused(
        machine,
        machine.run(BOULDER_DIR=str(tmp_path)),
        "is not a Boulder checkout: it has no docker-compose.yml",
        "Set BOULDER_DIR",
    )
    refused(machine, machine.run(BOULDER_DIR="/no/where"), "it does not exist", "Set BOULDER_DIR")


def test_a_service_that_cannot_be_converted(machine: Machine) -> None:
    machine.tell("services", "bnew")
    refused(machine, machine.run(), "the service bnew has `network_mode`", "give it networks")
    result = machine.run(BOULDER_K8S_DRIFT="note")
    assert (result.returncode, "bnew goes on without its `network_mode`" in result.stderr) == (0, True), result.stderr
    assert machine.api.find("Deployment", "bnew")


def test_docker_not_running(machine: Machine) -> None:
    machine.tell("docker-down")
    refused(machine, machine.run(), "The Docker engine does not answer", "Start it")


def test_a_wrong_kind(machine: Machine) -> None:
    machine.tell("kind-version", "0.20.0")
    refused(machine, machine.run(KIND="kind"), "kind is kind 0.20.0", "Unset KIND")


def test_a_wrong_kubectl(machine: Machine) -> None:
    old = machine.state / "bin" / "old-kubectl"
    old.write_text("#!/bin/sh\necho Client Version: v1.20.0\n")
    old.chmod(0o755)
    refused(
        machine, machine.run(KUBECTL="old-kubectl"), "kubectl 1.20; the cluster needs 1.36 to 1.38", "Unset KUBECTL"
    )


def test_a_port_that_is_taken(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = machine.run(BOULDER_PORTS=f"{port}:4001")
    refused(machine, result, f"Port {port} on 127.0.0.1 is taken", "BOULDER_PORTS=")


def test_an_image_that_cannot_be_had(machine: Machine) -> None:
    machine.tell("no-image", "letsencrypt/boulder-tools:t")
    refused(machine, machine.run(), "Image letsencrypt/boulder-tools:t cannot be pulled", "BOULDER_TOOLS_TAG")


def test_settings_that_cannot_be_meant(machine: Machine) -> None:
    refused(machine, machine.run(KIND_CLUSTER="Not A Name"), "is not a name that kind accepts", "Use")
    refused(machine, machine.run(BOULDER_PORTS="4001:"), "is not a list of ports", "Write")


def test_a_cluster_that_is_not_ours_is_left_alone(machine: Machine) -> None:
    machine.tell("node", json.dumps({"Id": "theirs", "State": {"Running": True}, "Mounts": [], "HostConfig": {}}))
    result = machine.run()
    assert (result.returncode, "was not made by boulder-k8s" in result.stderr) == (2, True), result.stderr
    assert machine.invoke("down").returncode == 2
    assert not [call for call in machine.calls("kind") if call[0] in ("create", "delete")]


def test_a_second_wrapper_is_told_who_runs(machine: Machine) -> None:
    (machine.state / "exit-code").unlink()
    first = machine.start("--integration")
    wait_for_call(machine, "kubectl", "exec")
    second = machine.run("--unit")
    assert second.returncode == 2
    assert "`./tk8s.sh --integration` runs since" in second.stderr and f"process {first.pid}" in second.stderr
    first.send_signal(signal.SIGINT)
    assert first.wait(30) == 130
    machine.tell("exit-code", "0")
    assert machine.run("--unit").returncode == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_during_the_start_ends_it_and_the_next_command_repairs(
    machine: Machine, number: int, code: int
) -> None:
    machine.tell("slow")
    child = machine.start("--unit")
    wait_for_call(machine, "kind", "create")
    child.send_signal(number)
    assert child.wait(30) == code
    (machine.state / "slow").unlink()
    assert machine.run("--unit").returncode == 0


def wait_for_call(machine: Machine, tool: str, verb: str) -> None:
    deadline = time.monotonic() + 30
    while not any(verb in call for call in machine.calls(tool)):
        assert time.monotonic() < deadline, f"no call of {tool} {verb}"
        time.sleep(0.05)


def test_tasks_and_their_flags_are_explained(machine: Machine) -> None:
    listed = machine.invoke("--list").stdout
    for task, flags in {
        "up": ["--next", "--timeout"],
        "down": [],
        "test": ["--next", "--args"],
        "logs": ["--follow", "--services"],
    }.items():
        assert f"\n  {task} " in listed
        shown = machine.invoke("--help", task).stdout
        for flag in flags:
            line = next(line for line in shown.splitlines() if flag in line)
            assert len(line.split(flag, 1)[1].split()) > 1, line


def test_invoke_test_runs_what_the_wrapper_runs(machine: Machine) -> None:
    machine.tell("exit-code", "7")
    assert machine.invoke("test", "--next", "--args", "--unit -p './a b'").returncode == 7
    commands = json.loads((machine.project / ".runs/latest/command.json").read_text())["commands"]
    assert commands[-1][2:] == ["-n", "--unit", "-p", "./a b"]


def test_boulder_ci_orch_compose_is_the_checkouts_own_script(machine: Machine) -> None:
    for name in ("t.sh", "tn.sh"):
        script = machine.checkout / name
        script.write_text(f'#!/bin/bash\nprintf "%s\\n" {name} "$@" "${{PYTHONPATH-unset}}"; exit 42\n')
        script.chmod(0o755)
    result = machine.run("--unit", "a b", BOULDER_CI_ORCH="compose")
    assert (result.returncode, result.stdout) == (42, "t.sh\n--unit\na b\nunset\n")
    assert machine.run("-i", wrapper="tnk8s.sh", BOULDER_CI_ORCH="compose").stdout == "tn.sh\n-i\nunset\n"
    assert not (machine.project / ".runs").exists()


def test_boulder_ci_orch_knows_two_words(machine: Machine) -> None:
    result = machine.run("--unit", BOULDER_CI_ORCH="Compose")
    assert result.returncode == 2
    assert "k8s (the default) or compose" in result.stderr
    assert machine.run("-h", BOULDER_CI_ORCH="k8s").returncode == 0
    assert machine.run("-h", BOULDER_CI_ORCH="").returncode == 0


def test_run_puts_a_command_in_the_place_of_test_sh(machine: Machine) -> None:
    machine.tell("exit-code", "3")
    assert machine.invoke("run", "--next", "--", "sh", "-c", 'echo "a  b"; exit 3').returncode == 3
    commands = json.loads((machine.project / ".runs/latest/command.json").read_text())["commands"]
    assert commands[-1] == ["test/entrypoint.sh", "sh", "-c", 'echo "a  b"; exit 3']


@pytest.mark.parametrize("task", ["run", "exec"])
def test_a_command_that_is_missing_is_said(machine: Machine, task: str) -> None:
    result = machine.invoke(task)
    assert result.returncode == 2
    assert f"`invoke {task} " in result.stderr


def test_exec_refuses_what_is_no_service_or_does_not_run(machine: Machine) -> None:
    result = machine.invoke("exec", "--service", "nonsense", "--", "ls")
    assert (result.returncode, "bredis-1" in result.stderr) == (2, True)
    result = machine.invoke("exec", "--", "ls")
    assert (result.returncode, "Run `invoke up`" in result.stderr) == (2, True)


def test_render_prints_what_up_would_apply_without_a_cluster(machine: Machine) -> None:
    (machine.state / "node").unlink(missing_ok=True)
    result = machine.invoke("render", "--next")
    assert result.returncode == 0
    objects = [item for item in yaml.safe_load_all(result.stdout) if item]
    names = {(item["kind"], item["metadata"]["name"]) for item in objects}
    assert {("Deployment", "boulder"), ("Service", "boulder-mariadb")} <= names
    assert "test/config-next" in result.stdout
    assert machine.calls("kind") == [["version"]]
    assert not [call for call in machine.calls("kubectl") if "kustomize" not in call and "version" not in call]


def test_a_checkout_that_another_cluster_uses_is_not_run_into(machine: Machine) -> None:
    directory = os.open(machine.checkout, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        refused(machine, machine.invoke("up"), f"The checkout {machine.checkout} is in use", "or use another checkout")
    finally:
        os.close(directory)


def test_render_prints_the_secrets_only_if_it_is_told_to(machine: Machine) -> None:
    """People paste what it prints, and the Secrets have the test PKI's keys."""
    keys = set()
    for path in machine.checkout.glob("test/certs/ipki/**/*.pem"):
        path.write_text(f"the key {path}\n")
        keys.add(path.read_bytes())
    told = machine.invoke("render", "--secrets").stdout
    secrets = [item for item in yaml.safe_load_all(told) if item["kind"] == "Secret"]
    assert {base64.b64decode(value) for item in secrets for value in item["data"].values()} <= keys
    bare = machine.invoke("render").stdout
    assert not [key for key in keys if base64.b64encode(key).decode() in bare]
    others = [item for item in yaml.safe_load_all(told) if item["kind"] != "Secret"]
    assert [item for item in yaml.safe_load_all(bare) if item] == others
    assert len(secrets) == 2 and all(f"# Secret {item['metadata']['name']} (" in bare for item in secrets)


def boulder(text: str) -> dict:
    """The pod of the Deployment boulder in what `invoke render` printed."""
    return next(
        item["spec"]["template"]["spec"]
        for item in yaml.safe_load_all(text)
        if item and (item["kind"], item["metadata"]["name"]) == ("Deployment", "boulder")
    )


def test_flags_for_acme_clients_are_rendered_and_run_and_recorded(machine: Machine) -> None:
    mine = machine.state / "mine"
    mine.mkdir()
    (mine / "wfe2.json").write_text("mine, my own\n")
    flags = ["--fake-dns", "10.77.0.80", "--add-host", "a.example:10.77.0.80", "-a", "b.example:::1"]
    flags += ["--config-overlay", str(mine)]
    result = machine.invoke("render", *flags)
    assert result.returncode == 0, result.stderr
    assert "mine, my own" in result.stdout
    pod = boulder(result.stdout)
    assert {"name": "FAKE_DNS", "value": "64.112.117.1"} in pod["containers"][0]["env"]
    assert {"name": "TARGET", "value": "10.77.0.80"} in pod["initContainers"][0]["env"]
    assert {"ip": "10.77.0.80", "hostnames": ["a.example"]} in pod["hostAliases"]
    assert {"ip": "64.112.117.122", "hostnames": ["ca.example.org", "integration.trust"]} in pod["hostAliases"]
    assert "not as in the checkout: FAKE_DNS 10.77.0.80" in result.stderr
    result = machine.invoke("run", *flags, "--", "true")
    assert result.returncode == 0, result.stderr
    assert "docker-compose.yml has what" not in result.stderr  # the user's own changes are no drift
    ran = json.loads((machine.state / "pod.json").read_text())["spec"]
    assert {"name": "FAKE_DNS", "value": "64.112.117.1"} in ran["containers"][0]["env"]
    record = json.loads((machine.project / ".runs/latest/run.json").read_text())
    assert record["overrides"] == {
        "FAKE_DNS": "10.77.0.80",
        "extra_hosts": ["a.example:10.77.0.80", "b.example:::1"],
        "config": ["wfe2.json"],
    }


def test_the_wrappers_test_what_compose_tests_whatever_is_set_for_clients(machine: Machine) -> None:
    mine = {"FAKE_DNS": "10.77.0.80", "BOULDER_EXTRA_HOSTS": "a:::1", "BOULDER_CONFIG_OVERLAY": "/no/where"}
    assert machine.run("-h", **mine).returncode == 0
    pod = json.loads((machine.state / "pod.json").read_text())["spec"]
    assert {"name": "FAKE_DNS", "value": "64.112.117.122"} in pod["containers"][0]["env"]
    assert [entry["ip"] for entry in pod["hostAliases"]] == ["64.112.117.122"]
    assert json.loads((machine.project / ".runs/latest/run.json").read_text())["overrides"] == {}


def test_a_port_that_the_user_publishes_beyond_composes_is_no_drift(machine: Machine) -> None:
    result = machine.run("-h", BOULDER_PORTS="24811:4001,24855:8055")
    assert (result.returncode, "do not follow" in result.stderr) == (0, False), result.stderr


@pytest.mark.parametrize("task", ["up", "run", "render"])
def test_an_address_that_cannot_be_meant_is_refused_by_every_task_that_takes_one(machine: Machine, task: str) -> None:
    refused(machine, machine.invoke(task, "--fake-dns", "localhost", "--", "true"), "is not an IPv4 address", "Write")


def test_the_hosts_address_needs_a_cluster(machine: Machine) -> None:
    refused(machine, machine.invoke("render", "--fake-dns", "host-gateway"), "once the cluster runs", "Run `invoke up`")


def test_status_without_a_cluster_is_1(machine: Machine) -> None:
    (machine.state / "node").unlink(missing_ok=True)
    result = machine.invoke("status", "--json")
    assert (result.returncode, json.loads(result.stdout)["node"]) == (1, "absent")


def test_static_parity_touches_neither_composes_stack_nor_the_cluster(machine: Machine) -> None:
    (machine.state / "node").unlink(missing_ok=True)
    result = machine.invoke("parity", "--part", "static", "--output", str(machine.state / "report"))
    assert "static:" in result.stdout
    assert [call for call in machine.calls("docker") if call[0] == "compose" and "config" not in call] == []
    assert machine.calls("kind") == [["version"]]


def test_a_run_claims_the_pod_that_waits(machine: Machine) -> None:
    def record() -> dict:
        return json.loads((machine.project / ".runs/latest/run.json").read_text())

    assert machine.run("t").returncode == 0
    assert record()["standby"] is False
    waiting = machine.api.find("Pod", "boulder-tests")
    assert waiting["metadata"]["labels"]["app.kubernetes.io/name"] == "boulder-standby"
    machine.tell("exit-code", "7")
    machine.api.requests.clear()
    assert machine.run("t").returncode == 7
    assert record()["standby"] is True
    pods = [item for item in machine.api.requests if "/pods" in item.path and item.method != "GET"]
    # None is created but the next run's, after the one that waited has run the tests and is deleted.
    assert [item.method for item in pods] == ["PATCH", "DELETE", "POST"]
    assert pods[1].body["preconditions"]["uid"] == waiting["metadata"]["uid"]
    assert machine.api.find("Pod", "boulder-tests")["metadata"]["uid"] != waiting["metadata"]["uid"]  # the next one's
    assert machine.run("t", USE_VITESS="true").returncode == 7  # another pod than the one that waits
    assert record()["standby"] is False
    assert machine.run("t", BOULDER_K8S_STANDBY="false").returncode == 7
    assert machine.api.find("Pod", "boulder-tests") is None


def test_a_claim_whose_answer_is_lost_is_a_claim(machine: Machine) -> None:
    assert machine.run("t").returncode == 0
    machine.api.cut("PATCH", "/pods/boulder-tests", when="after")
    assert machine.run("t").returncode == 0
    assert json.loads((machine.project / ".runs/latest/run.json").read_text())["standby"] is True


def test_a_service_that_crashes_is_named_with_the_end_of_its_log(machine: Machine) -> None:
    """A StatefulSet, whose pod has an ordinal."""
    machine.api.controller.crashes["bmariadb"] = 3
    machine.api.say("bmariadb-0", "bmariadb", "no room for the tables", previous=True)
    result = machine.run("t")
    assert result.returncode == 2
    assert "bmariadb-0 (container bmariadb) cannot start: ended 2 times, last with exit code 3" in result.stderr
    assert "no room for the tables" in result.stderr
    machine.api.controller.crashes.clear()
    machine.api.controller.settle_all()
    assert machine.run("t").returncode == 0
