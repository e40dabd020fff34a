"""Runs pip with a lock file, and shows on a terminal how many packages are there; in a pipe it is as silent as pip is.

`make` runs it by its path, before anything is installed: it imports the standard library only.
"""

import re
import subprocess
import sys
from pathlib import Path


def main(lock: str, *command: str) -> int:
    """The exit status of pip, called by ``command`` for the file ``lock``."""
    command = (*command, "--requirement", lock)
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        return subprocess.run([*command, "--quiet"], check=False).returncode
    wanted = len(re.findall(r"^[\w.-]+(?:\[[^]]*\])?==", Path(lock).read_text(), re.MULTILINE))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as pip:
        got = 0
        for line in pip.stdout or ():
            got += line.startswith(("Collecting ", "Requirement already"))
            doing = f"installing {wanted} packages" if line.startswith("Installing ") else f"{got} of {wanted} packages"
            print(f"\r  {doing} ...\033[K", end="", file=sys.stderr, flush=True)
    print("\r\033[K", end="", file=sys.stderr, flush=True)
    return pip.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
