"""Runs the steps of the release workflow that are commands, in their order; what only GitHub can do is named."""

import subprocess
from collections.abc import Iterator
from typing import Any

import yaml

from harness import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"


def steps() -> Iterator[dict[str, Any]]:
    """The steps of all jobs, in the order of the file."""
    for job in yaml.safe_load(WORKFLOW.read_text())["jobs"].values():
        yield from job["steps"]


def main() -> None:
    """Run the steps, until one fails; end with the exit status of that one."""
    for step in steps():
        if (command := step.get("run")) is None:
            print(f"- {step['uses']}: left to GitHub", flush=True)
            continue
        print(f"- {command}", flush=True)
        if code := subprocess.run(command, shell=True, cwd=ROOT, check=False).returncode:
            raise SystemExit(code)


if __name__ == "__main__":
    main()
