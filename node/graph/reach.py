"""Who dials an edge: the one rule, which both ends work out from the same topology file without a word between them.

The end with the smaller id dials, unless the other end has no address (it sits behind a NAT or a firewall and can only
dial out): then that end dials. Decides nothing of when or how often; knows no sockets.
"""

from __future__ import annotations

from collections.abc import Mapping

from node.types import PeerId

NOWHERE = ""  # the address of a node that nobody can dial


def dialler(a: PeerId, b: PeerId, addresses: Mapping[PeerId, str]) -> PeerId | None:
    """The end of the edge between `a` and `b` that dials; None: neither end can.

    Args:
        addresses: host:port, or NOWHERE. An id that is not listed can be dialled by somebody who knows where it is.
    """
    low, high = sorted((a, b))
    if addresses.get(high) != NOWHERE:
        return low
    return high if addresses.get(low) != NOWHERE else None
