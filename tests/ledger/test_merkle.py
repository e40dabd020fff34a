"""The tree over a book's rows is the one of RFC 6962, and a proof shows no other statement than its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearout.ledger._merkle import EMPTY, Forest, Tree, is_beginning, is_included, leaf_hash

ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The vectors that Certificate Transparency's own logs are tested with."""

LEAVES = [leaf_hash(bytes.fromhex(entry)) for entry in ENTRIES]


def tree(leaves: list[bytes]) -> Tree:
    one = Tree()
    for leaf in leaves:
        one.append(leaf)
    return one


def test_the_roots_are_those_of_the_published_vectors() -> None:
    assert tree([]).root == EMPTY
    assert [tree(LEAVES[: size + 1]).root.hex() for size in range(8)] == ROOTS


def test_the_proofs_are_those_of_the_published_vectors() -> None:
    assert [one.hex() for one in Forest(LEAVES).inclusion(0)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [one.hex() for one in Forest(LEAVES).consistency(6)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 31, 64, 65])
def test_every_row_is_shown_to_be_in_the_tree_and_no_other_row_is(size: int) -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    root, forest = tree(leaves).root, Forest(leaves)
    for row, leaf in enumerate(leaves):
        proof = forest.inclusion(row)
        assert is_included(leaf, row, size, root, proof)
        assert not is_included(leaf_hash(b"another"), row, size, root, proof)
        assert not is_included(leaf, row, size, leaf_hash(b"another"), proof)
        assert not is_included(leaf, row, size, root, [*proof, EMPTY])
        assert not proof or not is_included(leaf, row, size, root, proof[:-1])
        assert not is_included(leaf, size, size, root, proof)


@given(st.integers(0, 70), st.integers(0, 70), st.integers(0, 70))
def test_a_beginning_is_shown_and_a_changed_one_never_is(one: int, other: int, changed: int) -> None:
    size, later = sorted((one, other))
    leaves = [leaf_hash(bytes([number])) for number in range(later)]
    proof = Forest(leaves).consistency(size)
    root, later_root = tree(leaves[:size]).root, tree(leaves).root
    assert is_beginning(size, root, later, later_root, proof)
    assert not is_beginning(size, root, later, later_root, [*proof, EMPTY])
    if changed < size:
        forged = [*leaves[:changed], leaf_hash(b"forged"), *leaves[changed + 1 :]]
        assert not is_beginning(size, tree(forged[:size]).root, later, later_root, proof)
        assert not is_beginning(size, root, later, tree(forged).root, Forest(forged).consistency(size))


@given(st.integers(0, 70), st.integers(0, 70))
def test_a_tree_goes_on_from_its_peaks(first: int, more: int) -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(first + more)]
    before = tree(leaves[:first])
    after = Tree(before.size, before.peaks)
    for leaf in leaves[first:]:
        after.append(leaf)
    assert (after.size, after.root) == (len(leaves), tree(leaves).root)


@pytest.mark.parametrize(("size", "peaks"), [(1, []), (0, [EMPTY]), (2, [EMPTY, EMPTY]), (-1, [EMPTY]), (1, [b"x"])])
def test_peaks_of_another_size_are_refused(size: int, peaks: list[bytes]) -> None:
    with pytest.raises(ValueError, match="not the peaks"):
        Tree(size, peaks)
