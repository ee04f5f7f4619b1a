"""Weight schemes that a node could work out from its neighbourhood: degrees, data sizes, or what the file says.

Closed formulas only; what needs the whole graph's eigenvalues is in `optimal_weights`, what must be iterated in
`balancing`.
"""

from __future__ import annotations

from math import fsum

from node.errors import ConfigError
from node.graph.weighting.rows import Graph, Rows, edge_of, rows_by, undirected, with_rest
from node.types import PeerId, Weights

TOLERANCE = 1e-12  # on sums of rows and columns; n = 1024 entries of float64 give 1e-13


def metropolis(graph: Graph) -> Rows:
    """W_ij = 1 / (1 + max(degree_i, degree_j)), the rest on the diagonal.

    Symmetric and doubly stochastic on any undirected graph, with a diagonal above 0, so that it always contracts on a
    connected one; a row needs the degrees of its neighbours only.

    Raises:
        ConfigError: a directed graph.

    References:
        Xiao, Boyd, Lall 2005, A Scheme for Robust Distributed Sensor Fusion Based on Average Consensus, eq. 8.
    """
    undirected(graph, "metropolis")
    return {peer: metropolis_row(graph, peer) for peer in graph.nodes}


def metropolis_row(graph: Graph, peer: PeerId) -> Weights:
    """One row of `metropolis`, without the others: nodes join graphs of a thousand while they run."""
    own = len(graph.hears(peer))
    return with_rest(peer, {other: 1.0 / (1 + max(own, len(graph.hears(other)))) for other in graph.hears(peer)})


def uniform(graph: Graph) -> Rows:
    """The plain mean of oneself and all that one hears: W_ij = 1 / (1 + in-degree_i).

    Doubly stochastic where all degrees are equal (on a directed graph: in- and out-degrees); it is Metropolis then, bit
    for bit, on an undirected one.

    Raises:
        ConfigError: columns that do not sum to 1: the mean would drift towards the nodes that many hear.
    """
    share = {peer: 1.0 / (1 + len(graph.hears(peer))) for peer in graph.nodes}
    for peer in graph.nodes:
        column = fsum(share[other] for other in (peer, *graph.tells(peer)))
        if abs(column - 1.0) > TOLERANCE:
            better = "sinkhorn or push_sum" if graph.directed else "metropolis, sinkhorn or push_sum"
            raise ConfigError(
                f"weights: uniform moves the mean here (the column of '{peer}' sums to {column:.6g}); wanted equal "
                f"degrees, or {better}"
            )
    return rows_by(graph, lambda receiver, sender: share[receiver])


def lazy(graph: Graph) -> Rows:
    """(I + W) / 2 of Metropolis: no eigenvalue below 0, at up to twice the rounds.

    What analyses of exact diffusion and gradient tracking often ask for. Halves are exact in float64, so W_ij == W_ji.

    References:
        Nedic, Olshevsky, Rabbat 2018, Network Topology and Communication-Computation Tradeoffs in Decentralized
        Optimization (lazy Metropolis weights). Difference: theirs has max(degree_i, degree_j) where our
        Metropolis, and so its half here, has 1 + max.
    """
    undirected(graph, "lazy")
    rows = metropolis(graph)
    return rows_by(graph, lambda receiver, sender: rows[receiver][sender] / 2)


def max_degree(graph: Graph) -> Rows:
    """W_ij = 1 / (1 + largest degree) on every edge: I - L / (1 + d_max).

    Nodes must agree on one number, and the sparse parts of an uneven graph are slow.

    References:
        Xiao, Boyd 2004, Fast Linear Iterations for Distributed Averaging (maximum-degree weights): 1 / d_max.
        Difference: 1 + d_max, which leaves each diagonal above 0 and so also contracts on bipartite graphs of equal
        degrees. Xiao, Boyd, Lall 2005 use the same name for 1 / n.
    """
    undirected(graph, "max_degree")
    share = 1.0 / (1 + max(len(graph.hears(peer)) for peer in graph.nodes))
    return rows_by(graph, lambda receiver, sender: share)


def data_size(graph: Graph) -> Rows:
    """All agree on the mean weighted by data sizes, not on the plain one: W_ij = min(1/(1+d_i), (s_j/s_i) / (1+d_j)).

    Metropolis-Hastings with the sizes as target: s_i W_ij = s_j W_ji (detailed balance), so the weighted sum of the x_i
    never changes. Rows sum to 1, columns do not. Equal sizes give Metropolis, bit for bit.

    Raises:
        ConfigError: a directed graph, or a node without a size above 0.

    References:
        Hastings 1970, Monte Carlo Sampling Methods Using Markov Chains and Their Applications; Boyd, Diaconis, Xiao
        2004, Fastest Mixing Markov Chain on a Graph (Metropolis-Hastings chain). Difference: the proposal is the
        lazy walk that stays with probability 1 / (1 + d_i), so that it is aperiodic.
    """
    undirected(graph, "data_size")
    for peer in graph.nodes:
        size = graph.sizes.get(peer)
        if size is None or not 0.0 < size < float("inf"):
            raise ConfigError(f"weights: data_size: sizes.{peer}: {size}; wanted a number above 0 for each node")
    stays = {peer: 1.0 / (1 + len(graph.hears(peer))) for peer in graph.nodes}
    sizes = graph.sizes
    return rows_by(graph, lambda i, j: min(stays[i], sizes[j] / sizes[i] * stays[j]))


def file(graph: Graph) -> Rows:
    """The weights that the edges of the file carry: [[n0, n1, 0.3]]; on a directed graph what the receiver gives the
    sender. Each diagonal takes the rest.

    Raises:
        ConfigError: naming the first edge without a weight.
    """
    for a, b in graph.edges:
        if (a, b) not in graph.edge_weights:
            raise ConfigError(f"weights: file: the edge from '{a}' to '{b}' has no weight; wanted [{a}, {b}, 0.3]")
    return rows_by(graph, lambda receiver, sender: graph.edge_weights[edge_of(graph, sender, receiver)])


def push_sum(graph: Graph) -> Rows:
    """Rows of P: the sender j keeps 1 / (1 + out-degree_j) and gives each that hears it as much.

    Columns sum to 1; rows only where all degrees are equal: no row rule, but what mixing push-sum does. x <- P x keeps
    the sum of x; what each ends with (on an undirected graph (1 + degree_i) / sum of (1 + degree)) is made up for by a
    weight that is pushed alike.

    References:
        Kempe, Dobra, Gehrke 2003, Gossip-based computation of aggregate information. Difference: a share for each
        neighbour in every round, not for one that is drawn. Directed: Nedic, Olshevsky 2015,
        Distributed Optimization over Time-Varying Directed Graphs (subgradient-push).
    """
    share = {peer: 1.0 / (1 + len(graph.tells(peer))) for peer in graph.nodes}
    return {p: dict(sorted((q, share[q]) for q in (p, *graph.hears(p)))) for p in graph.nodes}
