"""Messages of every kind within the limits, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from node.core.messages import Bye, Channel, Held, Hello, Snapshot, SnapshotRequest, Update
from node.wire.limits import CHANNELS, CODECS, DIGEST, DIGESTS, ID, NAME, REASON, Limits

WITHIN = Limits(entries=1 << 20, payload=3 << 20)

numbers = st.integers(0, 2**64 - 1)
small = st.integers(0, 2**32 - 1)
checks = st.binary(min_size=16, max_size=16)


def texts(longest: int, shortest: int = 0) -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=("C", "Z")), min_size=shortest, max_size=longest)


channels = st.lists(
    st.builds(Channel, texts(NAME), texts(NAME), st.integers(0, WITHIN.entries), st.binary(max_size=200)),
    max_size=CHANNELS,
).map(tuple)
hellos = st.builds(
    Hello,
    st.tuples(small, small),
    texts(ID, 1),
    numbers,
    numbers,
    st.dictionaries(texts(NAME), texts(DIGEST), max_size=DIGESTS),
    st.lists(texts(NAME), max_size=CODECS).map(tuple),
    st.none() | st.builds(Held, numbers, numbers, checks),
)
snapshots = st.builds(Snapshot, numbers, numbers, numbers, small, channels, checks)
updates = st.builds(Update, numbers, numbers, numbers, numbers, small, channels, checks)
requests = st.builds(SnapshotRequest, numbers, numbers, texts(REASON))
byes = st.builds(Bye, numbers, texts(REASON), st.booleans())
messages = st.one_of(hellos, snapshots, updates, requests, byes)
