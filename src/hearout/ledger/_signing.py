"""Ed25519 signatures of rows and checkpoints: who has the database and not the key cannot write a book of their own.

Needs the extra ``signed``.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LedgerError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


class Verifier:
    """A public key.

    Attributes:
        public: its 32 bytes.
        key: names it: the beginning of their SHA-256.
    """

    def __init__(self, public: "Ed25519PublicKey") -> None:
        self._public, self.public = public, public.public_bytes_raw()
        self.key = hashlib.sha256(self.public).hexdigest()[:16]

    def is_signed(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's, of this message."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._public.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class Signer:
    def __init__(self, private: "Ed25519PrivateKey") -> None:
        self.sign, self.verifier = private.sign, Verifier(private.public_key())


def load_signer(path: Path) -> Signer:
    """The private key in a PEM file, as ``openssl genpkey -algorithm ed25519`` writes it.

    Raises:
        LedgerError: the file cannot be read, or holds no such key.
    """
    return Signer(_key(path, private=True))


def load_verifier(path: Path) -> Verifier:
    """The public key in a PEM file, as ``openssl pkey -pubout`` writes it.

    Raises:
        LedgerError: the file cannot be read, or holds no such key.
    """
    return Verifier(_key(path, private=False))


def _key(path: Path, *, private: bool) -> Any:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization as pem
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    except ImportError as error:
        raise LedgerError("signing the ledger needs a package that is missing; install hearout[signed]") from error
    try:
        content = path.read_bytes()
        key = pem.load_pem_private_key(content, password=None) if private else pem.load_pem_public_key(content)
    except OSError as error:
        raise LedgerError(f"the key {path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if private:
            raise LedgerError(f"{path} holds no private key in PEM that needs no password") from error
        raise LedgerError(f"{path} holds no public key in PEM; make it: openssl pkey -pubout -in KEY") from error
    if not isinstance(key, Ed25519PrivateKey | Ed25519PublicKey):
        more = "; make one: openssl genpkey -algorithm ed25519" if private else ", so it signed nothing here"
        raise LedgerError(f"the key in {path} is not Ed25519{more}")
    return key
