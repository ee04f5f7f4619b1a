"""Messages of every kind within the limits, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from node.core.messages import (
    Ack,
    Bye,
    Channel,
    Held,
    Hello,
    Join,
    Members,
    Pair,
    Ping,
    Rumour,
    Settlement,
    Snapshot,
    SnapshotRequest,
    State,
    StateRequest,
    Update,
)
from node.core.rumours import STATES
from node.wire.limits import ADDRESS, CHANNELS, CODECS, DIGEST, DIGESTS, ID, NAME, PAIRS, REASON, Limits

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
weights = st.floats(0, 1, exclude_min=True)
settlements = st.none() | st.builds(
    Settlement,
    st.lists(st.builds(Pair, numbers, numbers, weights), max_size=PAIRS).map(tuple),
    numbers,
    st.lists(numbers, max_size=PAIRS).map(tuple),
)
snapshots = st.builds(Snapshot, numbers, numbers, numbers, small, channels, checks, settlements)
updates = st.builds(Update, numbers, numbers, numbers, numbers, small, channels, checks, settlements)
states = st.builds(State, numbers, channels, checks)
rumours = st.builds(Rumour, texts(ID, 1), st.sampled_from(STATES), numbers, numbers)
news = st.one_of(
    st.builds(Ping, numbers),
    st.builds(Ack, numbers),
    st.builds(Members, st.lists(rumours, max_size=20).map(tuple)),
    st.builds(StateRequest, numbers),
    st.builds(Join, texts(ID, 1), texts(ADDRESS), st.lists(texts(ID, 1), max_size=20).map(tuple), numbers),
)
requests = st.builds(SnapshotRequest, numbers, numbers, texts(REASON))
byes = st.builds(Bye, numbers, texts(REASON), st.booleans())
messages = st.one_of(hellos, snapshots, updates, requests, byes, states, news)
