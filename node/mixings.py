"""The mixing rules that a node file can name: their settings, limits, and where each may be used.

    mixing: dpsgd
    mixing: {name: chebyshev, hops: 5}
    mixing: my_rules:eager                        (a function of the user's own: `node.app.rules.code`)

Decides names and limits; what stands behind a name is imported when a node is made. Layer 5, beside `node.settings`; no
torch here: factories are lazy strings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    model_serializer,
    model_validator,
)

from node.graph.checks import seen
from node.graph.reading import did_you_mean


class Rule(BaseModel):
    """A rule and its settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """What the factory takes."""
        return {key: getattr(self, key) for key in type(self).model_fields if key != "name"}

    @model_serializer
    def _written(self) -> str | dict[str, Any]:
        """As a node file says it: the name alone where nothing else was said."""
        changed = {key: getattr(self, key) for key in sorted(self.model_fields_set - {"name"})}
        return {"name": self.name, **changed} if changed else self.name

    def __str__(self) -> str:
        """`dpsgd`, `choco(step_size=0.8)`: all settings, for the hello and for people."""
        said = ", ".join(f"{key}={value}" for key, value in self.settings.items())
        return f"{self.name}({said})" if said else self.name


class Exact(Rule):
    after_damage: Literal["mix", "carry_on"] = Field(
        default="mix", description="what a node with a hop that went without a neighbour takes: its first mix, or all"
    )


class Chebyshev(Rule):
    hops: int | None = Field(
        default=None, ge=1, le=10_000, description="exchanges a round; null: as many as shrink any spread 10 times"
    )
    after_damage: Literal["mix", "carry_on"] = Field(default="mix", description="as for exact")


class Choco(Rule):
    step_size: float = Field(
        default=1.0, gt=0, le=1, description="gamma: 1 suits every gossip.codec; less for one that drops entries"
    )


class ExactDiffusion(Rule):
    lazy: bool = Field(default=True, description="mix by (I + W) / 2; false is D2, for W without eigenvalues near -1")


class QuasiGlobal(Rule):
    beta: float = Field(default=0.9, ge=0, lt=1, description="share of the momentum added to each round's update")
    mu: float | None = Field(default=None, ge=0, lt=1, description="how much old momentum stays; null: as beta")


class NoLoCo(Rule):
    alpha: float = Field(default=0.5, ge=0, lt=1, description="outer momentum")
    beta: float = Field(default=0.7, gt=0, le=10, description="outer learning rate")
    gamma: float = Field(default=0.7, gt=0, le=2, description="how much of the distance to neighbours is taken back")

    @model_validator(mode="after")
    def _is_stable(self) -> NoLoCo:
        most = (1 + self.alpha) * min(1.0, 2 - 2 * self.alpha)
        if self.gamma > most:
            raise ValueError(f"gamma {self.gamma} is not stable with alpha {self.alpha}; wanted {most:.3g} or less")
        return self


class AdPsgd(Rule):
    rate: float = Field(default=0.5, gt=0, le=2, description="chance a step to meet somebody, by the weight of all")


class DesLoc(Rule):
    theta: int = Field(default=1, ge=1, le=10**6, description="rounds between two mixes of the parameters")
    m: int = Field(default=3, ge=1, le=10**6, description="rounds between two mixes of the first moments")
    s: int = Field(default=6, ge=1, le=10**6, description="rounds between two mixes of the second moments")


class OwnCode(Rule):
    """A rule of the user's own, `module:function`, with whatever settings it takes; run by --allow-code only."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, bool | int | float | str]

    @property
    def settings(self) -> dict[str, Any]:
        return dict(sorted((self.model_extra or {}).items()))


class Traits(NamedTuple):
    """Where a rule may be used."""

    factory: str  # module:function, given the settings
    settings: type[Rule] = Rule
    asynchronous: bool = False  # does not need every neighbour's word of this round
    directed: bool = False  # who hears a node need not tell it anything
    schedules: bool = True  # W may change from round to round
    joins: bool = False  # the graph may grow while it runs
    lossless: bool = False  # what it tells must arrive bit by bit: gossip.codec must be float32
    settles: bool = False  # it hangs on settlement: gossip.settle must be on


AUTO = "auto"
MIXINGS: Mapping[str, Traits] = {
    "dpsgd": Traits("node.gossip.dpsgd:dpsgd", asynchronous=True, directed=True, joins=True),
    "exact": Traits("node.gossip.exact:exact", Exact),
    "push-sum": Traits("node.gossip.push_sum:push_sum", asynchronous=True, directed=True, joins=True, lossless=True),
    "choco": Traits("node.gossip.choco:choco", Choco, asynchronous=True, joins=True),
    "ad-psgd": Traits("node.gossip.ad_psgd:ad_psgd", AdPsgd, asynchronous=True, settles=True),
    "gradient-tracking": Traits("node.gossip.gradient_tracking:gradient_tracking", asynchronous=True, directed=True),
    "exact-diffusion": Traits(
        "node.gossip.exact_diffusion:exact_diffusion", ExactDiffusion, schedules=False, settles=True
    ),
    "quasi-global": Traits("node.gossip.quasi_global:quasi_global", QuasiGlobal, asynchronous=True, directed=True),
    "chebyshev": Traits("node.gossip.chebyshev:chebyshev", Chebyshev, schedules=False),
    "noloco": Traits("node.gossip.noloco:noloco", NoLoCo),
    "des-loc": Traits("node.gossip.periods:des_loc", DesLoc),
    AUTO: Traits("", asynchronous=True, directed=True, joins=True),  # becomes one of the others: node.app.rules.fit
}


CODE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
OWN = Traits("", OwnCode, asynchronous=True, directed=True, joins=True)  # whether it makes sense there is its author's


def traits_of(rule: Rule) -> Traits:
    """Where a rule may be used."""
    return OWN if isinstance(rule, OwnCode) else MIXINGS[rule.name]


def _rule(value: Any) -> Rule:
    """A name, or a mapping with a name and settings."""
    if isinstance(value, Rule):
        return value
    given = dict(value) if isinstance(value, Mapping) else {"name": value}
    name = given.get("name")
    if isinstance(name, str) and CODE.fullmatch(name):
        return _checked(OwnCode, given)
    if not isinstance(name, str) or name not in MIXINGS:
        shown = (
            f"{'no name' if name is None else seen(name)}; " if isinstance(value, Mapping) else ""
        )  # else it is shown
        raise ValueError(f"{shown}wanted one of {', '.join(MIXINGS)}{did_you_mean(name, MIXINGS)}")
    settings = MIXINGS[name].settings
    for key in given:
        if key not in settings.model_fields:
            takes = ", ".join(k for k in settings.model_fields if k != "name") or "no settings"
            raise ValueError(f"{seen(key)} is unknown; {name} takes {takes}{did_you_mean(key, settings.model_fields)}")
    return _checked(settings, given)


def _checked(settings: type[Rule], given: Mapping[str, Any]) -> Rule:
    try:
        return settings.model_validate(given)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        wanted = detail["msg"].removeprefix("Value error, ")
        if not detail["loc"]:  # of several settings together
            raise ValueError(f"{given['name']}: {wanted}") from None
        key = ".".join(map(str, detail["loc"]))
        raise ValueError(f"{given['name']}.{key}: {seen(detail['input'])}; {wanted}") from None


MixingRule: TypeAlias = Annotated[SerializeAsAny[Rule], BeforeValidator(_rule)]
