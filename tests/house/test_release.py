"""The release workflow: targets of `make`, in an order that publishes what was tried, and no password."""

import subprocess

import pytest
import yaml

from harness import ROOT, release

JOBS = yaml.safe_load(release.WORKFLOW.read_text())["jobs"]
RUN = [step["run"] for step in release.steps() if "run" in step]


@pytest.mark.parametrize("command", RUN)
def test_each_step_of_the_workflow_is_a_target_of_make(command: str) -> None:
    program, target = command.split()
    assert program == "make"
    assert subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_what_is_published_was_checked_tested_built_and_installed_before() -> None:
    order = ["make check", "make test", "make unchanged", "make dist", "make packages"]
    assert [command for command in RUN if command in order] == order
    assert JOBS["publish"]["needs"] == "build"


def test_what_every_lock_file_pins_is_audited_before_it_is_published() -> None:
    (audit,) = [step["with"] for step in JOBS["build"]["steps"] if "pip-audit" in step.get("uses", "")]
    locks = {str(path.relative_to(ROOT)) for path in [*ROOT.glob("requirements*.txt"), *ROOT.glob("deploy/*.txt")]}
    assert set(audit["inputs"].split()) == locks - {"requirements-model.txt"}  # pinned by requirements-dev.txt's
    assert audit["require-hashes"] is True


def test_the_workflow_holds_no_password_and_only_the_last_job_may_publish() -> None:
    assert "secrets." not in release.WORKFLOW.read_text()
    assert [name for name, job in JOBS.items() if "id-token" in job.get("permissions", {})] == ["publish"]


def test_the_steps_are_run_until_one_fails(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    steps = [{"uses": "checkout"}, {"run": "echo first"}, {"run": "exit 3"}, {"run": "echo never"}]
    monkeypatch.setattr(release, "steps", lambda: iter(steps))
    with pytest.raises(SystemExit) as ended:
        release.main()
    assert ended.value.code == 3
    assert capfd.readouterr().out == "- checkout: left to GitHub\n- echo first\nfirst\n- exit 3\n"
