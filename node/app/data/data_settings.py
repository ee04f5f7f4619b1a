"""What the node file says of data, in the words of `node.learn`. No torch: verbs that look at data start at once."""

from __future__ import annotations

from node.config import NodeConfig, labels_of, own_labels
from node.learn.dealing.partition import PartitionSettings
from node.learn.reading.data import DataSettings
from node.learn.reading.docstrings import NAME
from node.learn.reading.source import DatasetSettings
from node.types import PeerId


def data_settings(config: NodeConfig, peer: PeerId | None = None) -> DataSettings:
    """The data of `peer`; None: of any node, where all have the same labels."""
    return DataSettings(
        datasets=_datasets(config.datasets),
        tests=_datasets(config.test_datasets),
        labels=labels_of(config, peer),
        own_labels=own_labels(config),
        test_share=config.test_share,
        private_share=config.private_share,
    )


def partition_settings(config: NodeConfig) -> PartitionSettings:
    """How common data is dealt out."""
    given = config.partition.model_dump(exclude_none=True)  # alpha is None where it has no use
    return PartitionSettings(**given)


def is_dealt(config: NodeConfig) -> bool:
    """Whether all nodes read the same texts and a partition says who trains on which."""
    return config.partition.by != "none" or all(d.path == NAME for d in config.datasets)


def _datasets(given: tuple[object, ...]) -> tuple[DatasetSettings, ...]:
    return tuple(DatasetSettings(**d.model_dump()) for d in given)  # type: ignore[attr-defined]
