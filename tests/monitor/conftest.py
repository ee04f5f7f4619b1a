from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.monitor.ring import Loop, Ring, histories


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def ring(loop: Loop) -> Iterator[Ring]:
    made = Ring(histories(), loop)
    yield made
    made.close()
