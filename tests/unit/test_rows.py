"""Which rows a matrix has: those of the checkout's workflow, or those that are typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from boulder_k8s.host.errors import Problem
from boulder_k8s.matrix import rows
from boulder_k8s.matrix.rows import Row


def workflow(checkout: Path, text: str) -> Path:
    path = checkout / rows.WORKFLOW
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return checkout


def test_the_miniatures_rows_are_its_workflows(checkout: Path) -> None:
    found = rows.of_workflow(checkout)
    assert [row.name for row in found] == ["t-integration", "tn-integration", "t-start-py", "vitess-t-integration"]
    assert [row.config_next for row in found] == [False, True, False, False]
    assert found[3].environment == (("USE_VITESS", "true"),) and found[3].arguments == ("--integration",)
    assert found[3].text == "USE_VITESS=true ./t.sh --integration"


def test_every_matrix_of_every_job_counts_and_what_is_no_row_does_not(tmp_path: Path) -> None:
    text = """
jobs:
  a: {strategy: {matrix: {TAG: ["go1"], tests: ["./t.sh --unit -p './va ./ra'", "make", 3, "./t.sh 'open"]}}}
  b: {strategy: {matrix: {more: ["A=1 B='x y' ./tnk8s.sh -n"], include: {x: y}}}}
  c: {runs-on: x}
  d: nothing
"""
    one, other = rows.of_workflow(workflow(tmp_path, text))
    assert (one.arguments, one.config_next) == (("--unit", "-p", "./va ./ra"), False)
    assert (other.environment, other.arguments) == ((("A", "1"), ("B", "x y")), ("-n",)) and other.config_next


@pytest.mark.parametrize("text", ["jobs: {}", "jobs: []", "[]", "", "jobs: {b: {strategy: {matrix: {t: [make]}}}}"])
def test_a_workflow_without_rows_is_said(tmp_path: Path, text: str) -> None:
    with pytest.raises(Problem, match="has no row that runs t.sh or tn.sh"):
        rows.of_workflow(workflow(tmp_path, text))


@pytest.mark.parametrize("text", [None, "a: [", "\x00"])
def test_a_workflow_that_cannot_be_read_is_said(tmp_path: Path, text: str | None) -> None:
    with pytest.raises(Problem, match="The rows of .* cannot be read"):
        rows.of_workflow(tmp_path if text is None else workflow(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("--unit -p ./va", Row("t-unit-p-va", False, (), ("--unit", "-p", "./va"))),
        ("", Row("t", False, (), ())),
        ("tn --integration", Row("tn-integration", True, (), ("--integration",))),
        ("./tn.sh -i", Row("tn-i", True, (), ("-i",))),
        ("USE_VITESS=true --start-py", Row("vitess-t-start-py", False, (("USE_VITESS", "true"),), ("--start-py",))),
        ("A=b tn", Row("a-b-tn", True, (("A", "b"),), ())),
        ("--filter 'Test[a-z]+'", Row("t-filter-test-a-z", False, (), ("--filter", "Test[a-z]+"))),
    ],
)
def test_a_row_can_be_typed(text: str, row: Row) -> None:
    assert rows.typed([text]) == [row]


def test_a_quotation_mark_that_is_missing_is_said() -> None:
    with pytest.raises(Problem, match="--row ' cannot be taken apart"):
        rows.typed(["'"])


def test_names_are_those_of_jobs_and_no_two_are_the_same() -> None:
    found = rows.typed(["--unit", "--unit", "--unit " + "x" * 80, "--unit " + "x" * 80, "--é"])
    names = [row.name for row in found]
    assert len(set(names)) == 5 and names[:2] == ["t-unit", "t-unit-2"]
    assert all(len(name) <= 45 and name.strip("-") == name and name.isascii() for name in names)


def test_patterns_choose_rows_in_their_order(checkout: Path) -> None:
    found = rows.of_workflow(checkout)
    assert rows.chosen(found, []) == found
    assert [row.name for row in rows.chosen(found, ["start", "tn-*"])] == ["tn-integration", "t-start-py"]
    assert [row.name for row in rows.chosen(found, ["USE_VITESS=true"])] == ["vitess-t-integration"]
    with pytest.raises(Problem, match="No row fits --rows x") as caught:
        rows.chosen(found, ["tn", "x"])
    assert "t-start-py" in caught.value.fix
