"""The tree over a book's rows, as Certificate Transparency has it (RFC 6962): roots, and proofs between them.

A book's row hashes are the tree's leaves. One root stands for all rows up to it, so that one row can be shown to be in
the book without the others, and an older root to be of the same book's beginning. Numbers of rows begin at 0 here.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

EMPTY = hashlib.sha256(b"").digest()
"""The root of no rows."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a row, told apart from that of a node by its first byte."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """A tree that grows by one row at a time. It keeps one hash for each power of two in its size.

    Args:
        size: rows in it.
        peaks: the hashes of its complete subtrees, the largest first, as another tree of that size has them.

    Raises:
        ValueError: a tree of that size has another number of peaks.
    """

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size, self.peaks = size, list(peaks)
        if size < 0 or len(self.peaks) != size.bit_count() or any(len(peak) != len(EMPTY) for peak in self.peaks):
            raise ValueError("these are not the peaks of a tree of that size")

    def append(self, leaf: bytes) -> None:
        size = self.size
        while size & 1:
            leaf = node_hash(self.peaks.pop(), leaf)
            size >>= 1
        self.peaks.append(leaf)
        self.size += 1

    @property
    def root(self) -> bytes:
        if not self.peaks:
            return EMPTY
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


class Forest:
    """All rows of a tree: what proofs are made of."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels = [list(leaves)]
        while len(below := self._levels[-1]) > 1:
            pairs = zip(below[::2], below[1::2], strict=False)
            self._levels.append([node_hash(left, right) for left, right in pairs])

    def inclusion(self, row: int) -> list[bytes]:
        """The proof that a row is in the tree (RFC 6962, 2.1.1): the hashes beside the way from the row to the root."""
        return list(self._inclusion(row, 0, len(self._levels[0])))

    def consistency(self, size: int) -> list[bytes]:
        """The proof that the tree of the first `size` rows is the beginning of this one (RFC 6962, 2.1.2)."""
        return list(self._consistency(size, 0, len(self._levels[0]), known=True)) if size else []

    def _inclusion(self, row: int, begin: int, end: int) -> Iterator[bytes]:
        if end - begin <= 1:
            return
        middle = begin + _half(end - begin)
        if row < middle:
            yield from self._inclusion(row, begin, middle)
            yield self._root(middle, end)
        else:
            yield from self._inclusion(row, middle, end)
            yield self._root(begin, middle)

    def _consistency(self, size: int, begin: int, end: int, *, known: bool) -> Iterator[bytes]:
        if size == end:
            if not known:
                yield self._root(begin, end)
            return
        middle = begin + _half(end - begin)
        if size <= middle:
            yield from self._consistency(size, begin, middle, known=known)
            yield self._root(middle, end)
        else:
            yield from self._consistency(size, middle, end, known=False)
            yield self._root(begin, middle)

    def _root(self, begin: int, end: int) -> bytes:
        level = (end - begin - 1).bit_length()
        if end - begin == 1 << level:  # complete, and it begins at a multiple of its size
            return self._levels[level][begin >> level]
        middle = begin + _half(end - begin)
        return node_hash(self._root(begin, middle), self._root(middle, end))


def _half(size: int) -> int:
    """The largest power of two that is less."""
    return 1 << ((size - 1).bit_length() - 1)


def is_included(leaf: bytes, row: int, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the row of this hash is in the tree of that size and root (RFC 9162, 2.1.3.2)."""
    return 0 <= row < size and _climbed(leaf, row, size - 1, proof)[1] == root


def is_beginning(size: int, root: bytes, later_size: int, later_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that one tree is the beginning of a later one (RFC 9162, 2.1.4.2)."""
    if size == later_size or size == 0:
        return not proof and root == (later_root if size == later_size else EMPTY)
    path = list(proof) if size & (size - 1) else [root, *proof]
    if not 0 < size < later_size or not path:
        return False
    here, last = size - 1, later_size - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    return _climbed(path[0], here, last, path[1:]) == (root, later_root)


def _climbed(start: bytes, here: int, last: int, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The roots that lie above a node: of the tree that ends with the node, and of the whole one; empty where the proof
    is too short or too long.

    Args:
        here, last: the numbers of the node, and of the last one beside it.
    """
    old = new = start
    for beside in proof:
        if last == 0:
            return b"", b""
        if here & 1 or here == last:
            old, new = node_hash(beside, old), node_hash(beside, new)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            new = node_hash(new, beside)
        here, last = here >> 1, last >> 1
    return (old, new) if last == 0 else (b"", b"")
