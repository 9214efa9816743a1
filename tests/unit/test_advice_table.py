"""Advice that nobody has followed is not given: advice.yaml names, for each message, the test that follows its advice."""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

import pytest
import yaml
from support.messages import Message, messages

from boulder_k8s.host.settings import ROOT

# Why no test follows an advice. What such advice may say is only what a person does, and commands that look.
REASONS = {
    "SHOWS": "its commands show more, and change nothing",
    "USERS": "the user corrects what is his; a test looks for what is named",
    "MACHINE": "somebody installs, starts or enlarges something of the machine, or uses another one",
    "REPORT": "it asks for a report",
}
# What many messages name: by which test each is done. Their own rows say where all of an advice is followed.
NAMED = {
    "invoke up": "e2e/test_wrappers.py::test_up_answers_on_the_host_and_a_second_up_changes_nothing",
    "invoke down": "e2e/test_wrappers.py::test_down_leaves_nothing",
    "invoke status": "e2e/test_wrappers.py::test_status_exec_render_and_run_on_a_running_stack",
    "invoke exec": "e2e/test_wrappers.py::test_status_exec_render_and_run_on_a_running_stack",
    "invoke run": "e2e/test_wrappers.py::test_status_exec_render_and_run_on_a_running_stack",
    "invoke logs": "e2e/test_logs.py::test_logs_are_compose_like_in_the_order_of_time_and_as_many_as_asked_for",
    "invoke bundle": "e2e/test_bundle.py::test_invoke_bundle_packs_the_cluster_as_it_is_now",
    "invoke images": "e2e/test_airgap.py::test_what_is_missing_is_named_and_the_file_brings_it",
    "invoke rm": "e2e/test_day.py::test_databases_stay_when_services_are_stopped_and_restarted_and_rm_makes_them_anew",
    "invoke port-forward": "e2e/test_day.py::test_port_forward_goes_on_when_the_pod_is_replaced",
    "invoke port": "e2e/test_day.py::test_every_row_of_readmes_table_can_be_typed",
    "invoke certificates": "wrappers/test_day.py::test_what_up_of_some_services_refuses_is_done_as_its_advice_says",
    "invoke matrix": "e2e/test_matrix.py::test_a_matrix_that_is_detached_is_found_again",
    "invoke restart": "e2e/test_day.py::test_databases_stay_when_services_are_stopped_and_restarted_and_rm_makes_them_anew",
    "invoke rerun": "wrappers/test_tasks.py::test_what_failed_is_run_again_as_it_was",
    "invoke doctor": "wrappers/test_tasks.py::test_failures_of_the_machine_point_at_the_doctors_line",
    "invoke --list": "wrappers/test_tasks.py::test_the_list_of_tasks_is_a_line_a_task",
    "invoke --help": "wrappers/test_wrappers.py::test_tasks_and_their_flags_are_explained",
    "BOULDER_DIR": "unit/test_checkout.py::test_the_named_checkout_comes_first_then_the_current_then_the_wrappers",
    "BOULDER_PORTS": "unit/test_kind.py::test_ports_are_published_where_boulder_ports_says",
    "BOULDER_K8S_TIMEOUT": "unit/test_advice_done.py::test_names_that_advice_asks_for_are_taken",
    "KIND_CLUSTER": "unit/test_lock.py::test_no_cluster_has_a_path_that_another_has_too",
    "KIND_NODE_IMAGE": "unit/test_settings.py::test_nothing_set_means_composes_ports_and_the_pinned_node",
    "KUBECTL": "unit/test_tools.py::test_a_kubectl_within_one_version_of_the_cluster_is_used",
    "KIND": "unit/test_tools.py::test_a_named_kind_must_be_the_pinned_one",
    "DOCKER_HOST": "wrappers/test_machines.py::test_an_engine_on_another_machine",
}
LOOKING = {"doctor", "status", "logs", "bundle", "--list", "--help", "images", "rerun"}
PLACES: dict[str, list[str]] = yaml.safe_load((ROOT / "tests/unit/advice.yaml").read_text())


@dataclass(frozen=True)
class Row:
    """One message. named: the commands and variables of ours in its advice. where: a test, or a key of REASONS."""

    message: Message
    named: tuple[str, ...]
    where: str


@cache
def table() -> tuple[Row, ...]:
    """A row for each message of the product, from its source."""
    left = Counter((name, where) for where, names in PLACES.items() for name in names)
    rows = []
    for message in messages():
        where = next((where for name, where in left if name == message.name and left[name, where] > 0), "")
        left[message.name, where] -= 1
        advice = " ".join(message.advice)
        found = re.findall(
            r"`(?:[A-Z_]+=\S* )?(invoke -*[a-z-]+)|\b((?:BOULDER|KIND|KUBECTL|DOCKER)(?:_[A-Z0-9_]+)?)\b", advice
        )
        rows.append(Row(message, tuple(sorted({command or variable for command, variable in found})), where))
    return tuple(rows)


def is_there(test: str) -> bool:
    path, _, name = test.partition("::")
    tree = ast.parse((ROOT / "tests" / path).read_text())
    return name in {item.name for item in ast.walk(tree) if isinstance(item, ast.FunctionDef)}


def test_every_message_has_its_row_and_every_row_its_message() -> None:
    known = Counter(name for names in PLACES.values() for name in names)
    there = Counter(message.name for message in messages())
    assert sorted((there - known).elements()) == [], "who follows the advice of these?"
    assert sorted((known - there).elements()) == [], "these are no messages any more"


@pytest.mark.parametrize("test", sorted({*PLACES, *NAMED.values()} - {*REASONS}))
def test_a_test_that_follows_advice_is_there(test: str) -> None:
    assert is_there(test)


def test_what_advice_names_is_done_by_a_test() -> None:
    named = {name for row in table() for name in row.named}
    assert named - {*NAMED} == set()
    for name in named:
        text = (ROOT / "tests" / NAMED[name].partition("::")[0]).read_text()
        assert name.removeprefix("invoke ") in text, name


def test_advice_that_no_test_follows_changes_nothing() -> None:
    for row in (row for row in table() if row.where in REASONS):
        verbs = {name.removeprefix("invoke ") for name in row.named if name.startswith("invoke ")}
        assert verbs <= LOOKING, row
