"""Every weight scheme: one example worked on paper, the laws, the slow twins, and what is refused."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace
from math import cos, inf, nan, pi, sqrt

import networkx as nx
import numpy as np
import pytest

from node.errors import ConfigError
from node.graph.families.generators import GENERATORS
from node.graph.topology import Topology
from node.graph.weighting import optimal_weights
from node.graph.weighting.balancing import scaled
from node.graph.weighting.rows import dense
from node.graph.weighting.spectrum import contraction, rounds_to, stationary
from node.graph.weighting.weights import UNBALANCED, WEIGHTS, check_weights, matrix, push_sum_matrix, row_of, rows_of
from node.types import PeerId
from tests.graph.plain import Plain, exponential, hypercube, karate, path, plain, ring, star, torus
from tests.reference.weights_by_paper import fastest_by_solver, sinkhorn_by_turns

ONE_WAY = {"directed": True}
# a -> b -> c -> a and a -> c: two cycles through a and c
TWO_CYCLES = [(0, 1), (1, 2), (2, 0), (0, 2)]
SYMMETRIC = [name for name in WEIGHTS if name not in ("uniform", "data_size", "push_sum", "file")]


def close(w: np.ndarray, wanted: list[list[float]], within: float = 1e-12) -> None:
    np.testing.assert_allclose(w, wanted, rtol=0, atol=within)


def some_graphs(seeds: int = 6) -> list[Plain]:
    """Connected random graphs of 5 to 20 nodes: trees, sparse, dense, with hubs."""
    found = []
    for seed in range(seeds):
        n = 5 + 3 * seed
        kinds = [
            nx.from_prufer_sequence(np.random.default_rng(seed).integers(0, n, n - 2).tolist()),
            nx.connected_watts_strogatz_graph(n, 4, 0.3, seed=seed),
            nx.barabasi_albert_graph(n, 2, seed=seed),
        ]
        for graph in kinds:
            sizes = {p: float(1 + (7 * i + seed) % 5) for i, p in enumerate(plain(n, graph.edges).nodes)}
            found.append(plain(n, graph.edges, sizes=sizes))
    return found


def some_directed(seeds: int = 8) -> list[Plain]:
    """Strongly connected: a ring and some chords of one direction."""
    found = []
    for seed in range(seeds):
        n, draw = 4 + 2 * seed, np.random.default_rng(seed)
        chords = {(int(a), int(b)) for a, b in draw.integers(0, n, (n, 2)) if a != b}
        found.append(plain(n, {*ring(n), *chords}, directed=True))
    return found


# ---- by hand


def test_uniform_on_a_ring_of_four_by_hand():
    close(
        matrix(plain(4, ring(4), "uniform")), [[1 / 3 if (i - j) % 4 != 2 else 0 for j in range(4)] for i in range(4)]
    )


def test_uniform_on_a_directed_ring_of_three_by_hand():
    # Each hears the one before: half of its own, half of that.
    close(matrix(plain(3, ring(3), "uniform", **ONE_WAY)), [[1 / 2, 0, 1 / 2], [1 / 2, 1 / 2, 0], [0, 1 / 2, 1 / 2]])


def test_lazy_on_a_path_of_three_by_hand():
    # Metropolis is [[2/3, 1/3, 0], [1/3, 1/3, 1/3], [0, 1/3, 2/3]]; half of it, and a half more on the diagonal.
    close(matrix(plain(3, path(3), "lazy")), [[5 / 6, 1 / 6, 0], [1 / 6, 2 / 3, 1 / 6], [0, 1 / 6, 5 / 6]])


def test_max_degree_on_a_path_of_three_with_a_fork_by_hand():
    # b has three neighbours a, c, d, and d has e: 1/4 on every edge, d and e as well (Metropolis has 1/3 there).
    w = matrix(plain(5, [(0, 1), (1, 2), (1, 3), (3, 4)], "max_degree"))

    q = 1 / 4
    close(w, [[3 * q, q, 0, 0, 0], [q, q, q, q, 0], [0, q, 3 * q, 0, 0], [0, q, 0, 2 * q, q], [0, 0, 0, q, 3 * q]])


def test_best_constant_by_hand():
    # Path of three: L has 0, 1, 3; alpha = 2 / (3 + 1) = 1/2; contraction (3 - 1) / (3 + 1) = 1/2.
    on_path = matrix(plain(3, path(3), "best_constant"))
    # Star of four: 0, 1, 1, 4; alpha = 2/5; the middle keeps 1 - 6/5; contraction 3/5.
    on_star = matrix(plain(4, star(4), "best_constant"))

    close(on_path, [[1 / 2, 1 / 2, 0], [1 / 2, 0, 1 / 2], [0, 1 / 2, 1 / 2]])
    assert contraction(on_path) == pytest.approx(1 / 2)
    close(on_star, [[-0.2, 0.4, 0.4, 0.4], [0.4, 0.6, 0, 0], [0.4, 0, 0.6, 0], [0.4, 0, 0, 0.6]])
    assert contraction(on_star) == pytest.approx(3 / 5)


def test_fastest_chain_on_a_star_of_four_by_hand():
    # All edges alike, weight w: eigenvalues 1 - w (twice) and 1 - 4 w. The middle keeps 1 - 3 w >= 0, so w <= 1/3, and
    # there 1 - w = 2/3 is the larger.
    w = matrix(plain(4, star(4), "fmmc"))

    third = 1 / 3
    close(
        w,
        [[0, third, third, third]] + [[third if j == 0 else 2 * third * (i == j) for j in range(4)] for i in (1, 2, 3)],
        3e-6,
    )
    assert contraction(w) == pytest.approx(2 / 3, abs=3e-6)


def test_fastest_averaging_on_a_star_of_four_by_hand():
    # As above, but the middle may go below 0: 1 - w = 4 w - 1 at w = 2/5, both 3/5.
    w = matrix(plain(4, star(4), "fdla"))

    close(w, [[-0.2, 0.4, 0.4, 0.4], [0.4, 0.6, 0, 0], [0.4, 0, 0.6, 0], [0.4, 0, 0, 0.6]], 3e-6)


def test_sinkhorn_on_a_path_of_three_by_hand():
    # Ends p on the diagonal, edges q = 1 - p, the middle 1 - 2 q. W_ij^2 = W_ii W_jj as W = D (A + I) D, so
    # (1 - p)^2 = p (2 p - 1), p^2 + p = 1: the golden ratio.
    p = (sqrt(5) - 1) / 2

    close(matrix(plain(3, path(3), "sinkhorn")), [[p, 1 - p, 0], [1 - p, 2 * p - 1, 1 - p], [0, 1 - p, p]], 1e-8)


def test_sinkhorn_on_a_star_of_four_by_hand():
    # Leaves p, edges q = 1 - p, the middle 1 - 3 q = 3 p - 2: (1 - p)^2 = p (3 p - 2), p = 1 / sqrt 2.
    w = matrix(plain(4, star(4), "sinkhorn"))

    close(np.diag(w), [3 / sqrt(2) - 2, 1 / sqrt(2), 1 / sqrt(2), 1 / sqrt(2)], 1e-8)  # type: ignore[list-item]


def test_sinkhorn_on_two_directed_cycles_by_hand():
    # Let u go round a, b, c and v round a, c: W_ba = W_cb = u, W_ca = v, W_ac = u + v. Around a cycle the products of
    # edges and of diagonals are equal: (u + v) v = (1 - u - v)^2 and u u (u + v) = (1 - u - v)^2 (1 - u), which give
    # u^2 - 3 u + 1 = 0, v = u^2 / (1 - u).
    u = (3 - sqrt(5)) / 2
    v = u * u / (1 - u)

    w = matrix(plain(3, TWO_CYCLES, "sinkhorn", **ONE_WAY))

    close(w, [[1 - u - v, 0, u + v], [u, 1 - u, 0], [v, u, 1 - u - v]], 1e-8)


def test_data_sizes_on_a_path_of_three_by_hand():
    # Sizes 1, 2, 1; 1 / (1 + degree) is 1/2, 1/3, 1/2.
    # W_ab = min(1/2, 2/1 * 1/3) = 1/2, W_ba = min(1/3, 1/2 * 1/2) = 1/4.
    graph = plain(3, path(3), "data_size", sizes={"a": 1, "b": 2, "c": 1})

    w = matrix(graph)

    close(w, [[1 / 2, 1 / 2, 0], [1 / 4, 1 / 2, 1 / 4], [0, 1 / 2, 1 / 2]])
    close(stationary(w), [1 / 4, 1 / 2, 1 / 4])  # type: ignore[list-item]
    assert contraction(w) == pytest.approx(1 / 2)  # trace 3/2 = 1 + 1/2 + 0


def test_weights_of_the_file_by_hand():
    graph = plain(3, path(3), "file", edge_weights={("a", "b"): 0.3, ("b", "c"): 0.6})

    close(matrix(graph), [[0.7, 0.3, 0], [0.3, 0.1, 0.6], [0, 0.6, 0.4]])


def test_weights_of_a_directed_file_are_what_the_receiver_gives_the_sender():
    graph = plain(3, ring(3), "file", edge_weights={("a", "b"): 0.3, ("b", "c"): 0.3, ("c", "a"): 0.3}, **ONE_WAY)

    close(matrix(graph), [[0.7, 0, 0.3], [0.3, 0.7, 0], [0, 0.3, 0.7]])
    check_weights(graph, rows_of(graph))


def test_directed_pushes_by_hand():
    # a tells b and c: a third each; b tells c, c tells a: halves. Read by columns.
    p = push_sum_matrix(plain(3, TWO_CYCLES, **ONE_WAY))

    close(p, [[1 / 3, 0, 1 / 2], [1 / 3, 1 / 2, 0], [1 / 3, 1 / 2, 1 / 2]])


# ---- laws


@pytest.mark.parametrize("scheme", SYMMETRIC)
def test_w_is_symmetric_sums_to_one_and_contracts(scheme: str):
    for graph in some_graphs():
        graph = replace(graph, weights=scheme)
        rows = rows_of(graph)
        w = dense(graph, rows)

        check_weights(graph, rows)
        np.testing.assert_array_equal(w, w.T)
        np.testing.assert_allclose(w.sum(axis=0), 1.0, atol=1e-14)
        assert contraction(w) < 1
        assert scheme in ("fdla", "best_constant") or w.min() >= 0
        assert all(list(row) == sorted((peer, *graph.hears(peer))) for peer, row in rows.items())
        assert row_of(graph, graph.nodes[-1]) == rows[graph.nodes[-1]]


@pytest.mark.parametrize("scheme", ["sinkhorn", "push_sum"])
def test_on_directed_graphs_columns_sum_to_one_and_w_contracts(scheme: str):
    for graph in some_directed():
        graph = replace(graph, weights=scheme)
        rows = rows_of(graph)
        w = dense(graph, rows)

        check_weights(graph, rows)
        np.testing.assert_allclose(w.sum(axis=0), 1.0, atol=1e-13)
        assert scheme == "push_sum" or np.abs(w.sum(axis=1) - 1.0).max() < 1e-13
        assert contraction(w if scheme == "sinkhorn" else w.T) < 1
        assert (w > 0).sum() == len(graph.edges) + len(graph.nodes)


def test_the_fastest_are_no_slower_than_the_others():
    # fmmc is the best W >= 0, fdla the best W, best_constant the best of one constant: up to where they are rounded.
    for graph in some_graphs():
        rate = {scheme: contraction(matrix(replace(graph, weights=scheme))) for scheme in SYMMETRIC}

        assert all(rate["fmmc"] <= rate[other] + 1e-5 for other in ("metropolis", "lazy", "max_degree", "sinkhorn"))
        assert rate["fdla"] <= rate["fmmc"] + 1e-5
        assert rate["fdla"] <= rate["best_constant"] + 1e-5
        assert rate["best_constant"] <= rate["max_degree"] + 1e-9


def test_lazy_has_no_eigenvalue_below_0_and_twice_the_rounds():
    for graph in some_graphs():
        lazy = matrix(replace(graph, weights="lazy"))

        assert np.linalg.eigvalsh(lazy).min() > -1e-12
        assert rounds_to(lazy) >= rounds_to(matrix(graph))


def test_best_constant_contracts_as_the_two_eigenvalues_say():
    for graph in some_graphs():
        values = np.linalg.eigvalsh(nx.laplacian_matrix(nx.Graph(list(graph.edges))).toarray().astype(float))
        wanted = (values[-1] - values[1]) / (values[-1] + values[1])

        assert contraction(matrix(replace(graph, weights="best_constant"))) == pytest.approx(wanted, abs=1e-8)


def test_data_sizes_are_what_each_start_counts_in_the_end():
    for graph in some_graphs():
        graph = replace(graph, weights="data_size")
        w, sizes = matrix(graph), np.array([graph.sizes[peer] for peer in graph.nodes])

        check_weights(graph, rows_of(graph))
        np.testing.assert_allclose(w.sum(axis=1), 1.0, atol=1e-14)
        np.testing.assert_allclose(stationary(w), sizes / sizes.sum(), atol=1e-13)
        np.testing.assert_allclose(sizes[:, None] * w, (sizes[:, None] * w).T, atol=1e-14)
        np.testing.assert_allclose(
            np.linalg.matrix_power(w, 2 * rounds_to(w)), np.tile(sizes / sizes.sum(), (len(w), 1)), atol=1e-4
        )


def test_equal_sizes_and_equal_degrees_are_metropolis_bit_for_bit():
    for graph in some_graphs():
        equal = replace(graph, weights="data_size", sizes=dict.fromkeys(graph.nodes, 120.0))
        assert rows_of(equal) == rows_of(graph)
    assert rows_of(plain(16, torus(16), "uniform")) == rows_of(plain(16, torus(16)))


def test_sinkhorn_is_the_scaling_with_the_most_entropy():
    # Any other doubly stochastic W on the edges has less: go a little along each cycle of a ring with a chord.
    graph = plain(4, [*ring(4), (0, 2)], "sinkhorn")
    w = matrix(graph)
    entropy = lambda x: float(-(x[x > 0] * np.log(x[x > 0])).sum())  # noqa: E731

    for i, j in itertools.combinations(range(4), 2):
        if w[i, j] > 0:
            for step in (-1e-3, 1e-3):
                other = w + step * (np.eye(4)[[i, j]].T @ np.array([[-1, 1], [1, -1]]) @ np.eye(4)[[i, j]])
                assert entropy(other) < entropy(w)


@pytest.mark.parametrize("scheme", ["best_constant", "fmmc", "fdla", "sinkhorn"])
def test_the_order_of_the_file_does_not_change_a_weight(scheme: str):
    for graph in some_graphs(4):
        graph = replace(graph, weights=scheme)

        assert rows_of(replace(graph, nodes=graph.nodes[::-1], edges=graph.edges[::-1])) == rows_of(graph)


@pytest.mark.parametrize("scheme", ["fmmc", "fdla"])
def test_names_in_another_order_give_the_same_weights_where_the_best_are_not_unique(scheme: str):
    # On the karate graph two solvers differed in the fourth digit. The solver sees the ids in sorted order: reversed
    # names are another order of all sums, as on another build of numpy.
    graph = plain(34, karate(), scheme)
    other = {peer: PeerId(f"m{33 - i:04d}") for i, peer in enumerate(graph.nodes)}
    edges = tuple(sorted(tuple(sorted((other[a], other[b]))) for a, b in graph.edges))
    turned = Plain(tuple(other.values()), edges, scheme)  # type: ignore[arg-type]

    renamed = {other[p]: {other[q]: w for q, w in row.items()} for p, row in rows_of(graph).items()}
    assert rows_of(turned) == renamed


@pytest.mark.parametrize("family", GENERATORS)
def test_every_family_of_graphs_takes_every_scheme(family: str):
    n = {"karate": 34, "florentine": 15}.get(family, 16)
    generator = {"name": family} | ({"degree": 4} if family == "random_regular" else {})
    said = {"nodes": n, "generator": generator, "sizes": {f"n{i}": 1 + i % 4 for i in range(n)}}
    rate = {}
    for scheme in (*SYMMETRIC, "data_size"):
        kept = {key: value for key, value in said.items() if key != "sizes" or scheme == "data_size"}
        rate[scheme] = contraction(Topology.from_mapping({**kept, "weights": scheme}, "t.yaml").matrix())

    assert max(rate.values()) < 1
    assert rate["fdla"] - 1e-5 <= min(rate["fmmc"], rate["best_constant"])
    assert rate["fmmc"] - 1e-5 <= min(rate["metropolis"], rate["sinkhorn"], rate["max_degree"], rate["lazy"])


# ---- what papers know


@pytest.mark.parametrize("n", [3, 4, 7, 16])
def test_the_fastest_chain_on_a_path_is_one_half_everywhere(n: int):
    # Boyd, Diaconis, Sun, Xiao 2006, Fastest Mixing Markov Chain on a Path: contraction cos(pi / n).
    w = matrix(plain(n, path(n), "fmmc"))

    assert contraction(w) == pytest.approx(cos(pi / n), abs=3e-6)


@pytest.mark.parametrize(
    ("n", "pairs"),
    [
        (9, ring(9)),
        (16, ring(16)),
        (16, hypercube(16)),
        (7, star(7)),
        (6, [(i, j) for i in (0, 1) for j in (2, 3, 4, 5)]),
    ],
)
def test_where_all_edges_are_alike_one_constant_is_the_fastest(n: int, pairs: list[tuple[int, int]]):
    # Boyd, Diaconis, Parrilo, Xiao 2009, Fastest Mixing Markov Chain on Graphs with Symmetries: on an edge-transitive
    # graph min(1 / d_max, 2 / (lambda_1 + lambda_n-1)).
    graph = plain(n, pairs)
    best = row_of(replace(graph, weights="best_constant"), graph.edges[0][0])[graph.edges[0][1]]
    wanted = min(best, 1 / max(len(graph.hears(peer)) for peer in graph.nodes))

    for scheme, weight in (("fmmc", wanted), ("fdla", best)):
        w = matrix(replace(graph, weights=scheme))
        np.testing.assert_allclose(w[~np.eye(n, dtype=bool) & (w > 0)], weight, atol=1e-5)


# ---- slow twins


def test_sinkhorn_is_where_turns_of_rows_and_columns_end():
    for graph in [*some_graphs(4), *some_directed(6)]:
        support = np.sign(push_sum_matrix(graph))
        slow = sinkhorn_by_turns(support)

        np.testing.assert_allclose(scaled(support), slow, atol=1e-8)
        np.testing.assert_allclose(matrix(replace(graph, weights="sinkhorn")), slow, atol=1e-7)


@pytest.mark.parametrize("nonnegative", [True, False])
def test_no_solver_finds_anything_faster(nonnegative: bool):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the solver's own imports
        pytest.importorskip("cvxpy")
        for graph in [*some_graphs(3)[2:], plain(12, path(12)), plain(16, torus(16))]:
            place = {peer: i for i, peer in enumerate(graph.nodes)}
            best = fastest_by_solver(len(place), [(place[a], place[b]) for a, b in graph.edges], nonnegative)

            w = matrix(replace(graph, weights="fmmc" if nonnegative else "fdla"))

            assert contraction(w) == pytest.approx(best, abs=1e-5)


# ---- refused


@pytest.mark.parametrize("scheme", ["metropolis", "lazy", "max_degree", "best_constant", "fmmc", "fdla", "data_size"])
def test_schemes_of_undirected_graphs_say_what_a_directed_one_takes(scheme: str):
    with pytest.raises(
        ConfigError, match=f"^weights: {scheme} on a directed graph; wanted sinkhorn, push_sum, or uniform"
    ):
        rows_of(plain(4, ring(4), scheme, **ONE_WAY))


def test_uniform_is_refused_where_it_would_move_the_mean():
    # Column of the middle of a path of three: 1/2 + 1/3 + 1/2.
    with pytest.raises(ConfigError, match=r"column of 'a' sums to 0.833333.*metropolis, sinkhorn or push_sum"):
        rows_of(plain(3, path(3), "uniform"))
    with pytest.raises(ConfigError, match="wanted equal degrees, or sinkhorn or push_sum"):
        rows_of(plain(3, TWO_CYCLES, "uniform", **ONE_WAY))
    # All hear two others, but a is heard by three and d by one: the column of a sums to 4/3.
    uneven = [(1, 0), (2, 0), (0, 1), (3, 1), (0, 2), (1, 2), (0, 3), (1, 3)]
    with pytest.raises(ConfigError, match=r"column of 'a' sums to 1\.33333"):
        rows_of(plain(4, uneven, "uniform", **ONE_WAY))
    assert contraction(matrix(plain(10, exponential(10), "uniform", **ONE_WAY))) == pytest.approx(0.6)


@pytest.mark.parametrize("scheme", ["sinkhorn", "push_sum"])
def test_a_directed_edge_without_a_way_back_is_refused(scheme: str):
    graph = plain(4, [(0, 1), (1, 2), (2, 0), (2, 3)], scheme, **ONE_WAY)

    with pytest.raises(ConfigError, match=f"{scheme}: no way leads back over the edge from 'c' to 'd'"):
        check_weights(graph, rows_of(graph))


def test_an_edge_without_a_weight_is_named():
    with pytest.raises(ConfigError, match="the edge from 'b' to 'c' has no weight"):
        rows_of(plain(3, path(3), "file", edge_weights={("a", "b"): 0.3}))


@pytest.mark.parametrize("size", [None, 0, -1, nan, inf])
def test_a_node_without_a_size_is_named(size: float | None):
    sizes = {"a": 1.0, "c": 1.0} | ({} if size is None else {"b": size})

    with pytest.raises(ConfigError, match=r"data_size: sizes\.b: .*; wanted a number above 0"):
        rows_of(plain(3, path(3), "data_size", sizes=sizes))


@pytest.mark.parametrize("scheme", ["fmmc", "fdla"])
def test_a_graph_too_large_to_solve_at_every_start_is_refused(scheme: str):
    with pytest.raises(ConfigError, match=r"of 129 nodes and 129 edges; wanted 128 and 512 or fewer.*best_constant"):
        rows_of(plain(129, ring(129), scheme))


@pytest.mark.parametrize(
    ("edge_weights", "told"),
    [
        # eigenvalues of L: 1.6 +- sqrt(1.6^2 - 0.45), the larger 3.05
        ({("a", "b"): 1.5, ("b", "c"): 0.1}, "W: -0.6 from 'b' to itself, and a contraction of 2.05.*below 1"),
        ({("a", "b"): -0.1, ("b", "c"): 0.2}, "W: -0.1 from 'b' to 'a', and a contraction of 1.1.*below 1"),
        ({("a", "b"): 0.0, ("b", "c"): 0.2}, "W: 0 from 'b' to 'a', and a contraction of 1; wanted"),
        ({("a", "b"): nan, ("b", "c"): 0.2}, "W: nan from 'a' to 'a'|W: nan from 'b' to 'a'; wanted a finite number"),
        ({("a", "b"): inf, ("b", "c"): 0.2}, "W: -inf from 'a' to 'a'; wanted a finite number"),
    ],
)
def test_weights_of_a_file_that_never_agree_are_refused(edge_weights: dict, told: str):
    graph = plain(3, path(3), "file", edge_weights=edge_weights)

    with pytest.raises(ConfigError, match=told):
        check_weights(graph, rows_of(graph))


def test_weights_below_0_are_taken_where_w_contracts():
    graph = plain(4, star(4), "file", edge_weights=dict.fromkeys(plain(4, star(4)).edges, 0.4))

    check_weights(graph, rows_of(graph))


def test_two_nodes_that_swap_forever_are_refused():
    graph = plain(2, [(0, 1)], "file", edge_weights={("a", "b"): 1.0})

    with pytest.raises(ConfigError, match="0 from 'a' to itself, and a contraction of 1; wanted a contraction below 1"):
        check_weights(graph, rows_of(graph))


def test_directed_weights_that_do_not_keep_the_mean_are_refused():
    graph = plain(3, ring(3), "file", edge_weights={("a", "b"): 0.3, ("b", "c"): 0.3, ("c", "a"): 0.2}, **ONE_WAY)

    with pytest.raises(ConfigError, match=r"W: the column of 'a' sums to 1\.1; wanted 1"):
        check_weights(graph, rows_of(graph))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            {"a": {"a": 0.5, "b": 0.5}, "b": {"a": 0.4, "b": 0.6}},
            "0.5 from 'b' to 'a' but 0.4 back; wanted a symmetric W",
        ),
        ({"a": {"a": 0.5, "b": 0.4}, "b": {"a": 0.4, "b": 0.6}}, "row of 'a' sums to 0.9; wanted 1"),
        ({"a": {"a": 1.5, "b": -0.5}, "b": {"a": -0.5, "b": 1.5}}, "-0.5 from 'b' to 'a', and a contraction of 2"),
        ({"a": {"a": nan, "b": 0.5}, "b": {"a": 0.5, "b": 0.5}}, "nan from 'a' to 'a'; wanted a finite number"),
    ],
)
def test_a_w_that_breaks_the_promise_is_refused(rows: dict, told: str):
    with pytest.raises(ConfigError, match=told):
        check_weights(plain(2, [(0, 1)]), rows)


def test_schemes_that_do_not_keep_the_plain_mean_are_known():
    graph = plain(3, path(3), "data_size", sizes={"a": 1, "b": 2, "c": 1})

    assert UNBALANCED == ("data_size",)
    check_weights(graph, rows_of(graph))
    with pytest.raises(ConfigError, match="symmetric"):
        check_weights(replace(graph, weights="metropolis"), rows_of(graph))


def test_rounding_never_leaves_less_than_nothing_on_a_diagonal():
    for n in (7, 12, 24):  # 1 / (n - 1) on each edge of a star leaves the middle 0, give or take the rounding
        graph = plain(n, star(n), "fmmc")
        assert matrix(graph).min() >= 0
    assert optimal_weights.UNIT == 10**6
