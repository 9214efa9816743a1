"""What is typed behind flags and cannot be meant is a Problem, not a traceback."""

from __future__ import annotations

import pytest

from boulder_k8s.commands import arguments
from boulder_k8s.host.errors import Problem


def test_the_flag_comes_before_the_environment_before_the_default() -> None:
    assert arguments.timeout("30", {"BOULDER_K8S_TIMEOUT": "20"}) == 30
    assert arguments.timeout("", {"BOULDER_K8S_TIMEOUT": "2.5"}) == 2.5
    assert arguments.timeout("", {"BOULDER_K8S_TIMEOUT": ""}) == arguments.timeout("", {}) == 600


@pytest.mark.parametrize("text", ["abc", "0", "-1", "nan", "inf", "1e999", "10m"])
def test_what_is_no_number_of_seconds_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="--timeout .* is not a number of seconds"):
        arguments.timeout(text, {})
    with pytest.raises(Problem, match="BOULDER_K8S_TIMEOUT=.* is not a number of seconds"):
        arguments.timeout("", {"BOULDER_K8S_TIMEOUT": text})


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "²"])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="--tail .* is not a whole number"):
        arguments.number("--tail", text)
    assert arguments.number("--tail", "20") == 20


def test_a_quotation_mark_without_its_counterpart_is_refused() -> None:
    assert arguments.words("--args", "--unit -p './a b'") == ["--unit", "-p", "./a b"]
    with pytest.raises(Problem, match="--args cannot be taken apart"):
        arguments.words("--args", "'x")
