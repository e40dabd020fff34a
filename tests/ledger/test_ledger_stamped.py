"""Anchors with a time stamp (RFC 3161): the commands of docs/receipts.md, and an authority of our own."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import ROOT

AUTHORITY = """
[tsa]
default_tsa = own
[own]
serial = serial
signer_cert = authority.pem
certs = authority.pem
signer_key = authority.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
"""
CERTIFICATE = "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout authority.key -out authority.pem -subj /CN=authority"

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def openssl(folder: Path, command: str) -> bool:
    done = subprocess.run(["openssl", *shlex.split(command)], cwd=folder, capture_output=True, timeout=60)
    return done.returncode == 0


def documented() -> tuple[str, str]:
    """The request and the check, as the document has them."""
    asks, checks = re.findall(r"^openssl (ts .*)$", (ROOT / "docs" / "receipts.md").read_text(), re.MULTILINE)
    return asks, checks


@pytest.fixture
def stamped(tmp_path: Path) -> Path:
    """A folder with anchors and their stamp, by the commands of the document."""
    (tmp_path / "authority.conf").write_text(AUTHORITY)
    (tmp_path / "serial").write_text("01\n")
    (tmp_path / "anchors.jsonl").write_text('{"book":"main","size":4,"root":"00"}\n')
    assert openssl(tmp_path, f"{CERTIFICATE} -addext extendedKeyUsage=critical,timeStamping")
    assert openssl(tmp_path, documented()[0])
    assert openssl(tmp_path, "ts -reply -config authority.conf -queryfile anchors.tsq -out anchors.tsr")
    return tmp_path


@needs_openssl
def test_the_documented_commands_stamp_and_check_anchors(stamped: Path) -> None:
    assert openssl(stamped, documented()[1])


@needs_openssl
def test_a_stamp_is_of_these_anchors_and_no_others(stamped: Path) -> None:
    anchors = stamped / "anchors.jsonl"
    anchors.write_text(anchors.read_text().replace('"size":4', '"size":3'))
    assert not openssl(stamped, documented()[1])


@needs_openssl
def test_a_stamp_of_another_authority_is_none(stamped: Path) -> None:
    assert openssl(stamped, f"{CERTIFICATE} -addext extendedKeyUsage=critical,timeStamping")
    assert not openssl(stamped, documented()[1])
