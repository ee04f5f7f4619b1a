"""gossip.codec: a word, or a word a channel; what is wrong with it in one line."""

from __future__ import annotations

import pytest

from node.app.settings import agreed_digests, learn_settings, peer_config
from node.config import check_config, config_text, set_values
from node.errors import ConfigError
from node.graph.topology import Topology
from node.settings import CODECS, NodeConfig
from node.types import PeerId
from node.yaml_files import parse_yaml


def said(codec: object) -> NodeConfig:
    return check_config({"gossip": {"codec": codec}}, "node.yaml")


@pytest.mark.parametrize(
    ("codec", "channels"),
    [
        ("int8", {"theta": "int8", "m": "int8", "s": "int8"}),
        ({"theta": "int4"}, {"theta": "int4", "m": "int4", "s": "int4"}),
        ({"theta": "int4", "s": "int8"}, {"theta": "int4", "m": "int4", "s": "int8"}),
        ({"m": "bf16"}, {"theta": "float32", "m": "bf16", "s": "float32"}),
    ],
)
def test_what_is_not_said_of_the_moments_is_what_is_said_of_theta(codec, channels):
    config = said(codec)
    assert config.gossip.codec.by_channel == channels
    assert check_config(parse_yaml(config_text(config, comments=True), "again"), "again") == config


def test_the_default_is_float32_and_is_written_as_a_word():
    assert said("float32") == check_config({}, "node.yaml")
    assert "\n  codec: float32\n" in config_text(check_config({}, "node.yaml"))
    assert set_values(said("int8"), {"gossip.codec": "{m: int4}"}).gossip.codec.m == "int4"


@pytest.mark.parametrize(
    ("codec", "told"),
    [
        ("int9", "gossip.codec: 'int9'; wanted float32 | bf16 | int8 | int4: did you mean 'int8'?"),
        ({"tehta": "int4"}, "gossip.codec: 'tehta' is no channel; wanted theta, m, s: did you mean 'theta'?"),
        ({"s": 8}, "gossip.codec: s is 8; wanted float32 | bf16 | int8 | int4"),
        (["int8"], "wanted float32 | bf16 | int8 | int4"),
        (None, "gossip.codec: None; wanted float32 | bf16 | int8 | int4"),
    ],
)
def test_a_codec_that_is_none_is_told_in_one_line(codec, told):
    with pytest.raises(ConfigError) as caught:
        said(codec)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", CODECS)
def test_peers_send_what_the_file_says_and_need_not_agree_on_it(name):
    ring = Topology.from_mapping({"nodes": 3, "generator": "ring"}, "t.yaml")
    config = said({"theta": name, "m": "int8", "s": "float32"})
    peer = peer_config(config, ring, PeerId("n0"), {}, epoch=0, start_round=0)
    assert {channel: peer.codec_for(channel).name for channel in ("theta", "m", "s", "tracker")} == {
        "theta": name,
        "m": "int8",
        "s": "float32",
        "tracker": name,
    }
    assert agreed_digests(config, ring, {}) == agreed_digests(said("float32"), ring, {})


def test_adams_ratio_is_bounded_where_moments_lose_bits_and_nowhere_else():
    assert learn_settings(said("int4")).train.floored
    assert not learn_settings(said("float32")).train.floored
    alone = check_config({"gossip": {"codec": "int4", "moments": False}}, "node.yaml")
    assert not learn_settings(alone).train.floored
