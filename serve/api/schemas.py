"""Schemas: what the API takes, typed, limited, with examples."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from fusion.bundles.plan import Plan, Slot
from fusion.query import Query
from serve.api.fields import (
    Count,
    Id,
    Ids,
    In,
    Money,
    Name,
    Named,
    Text,
    User,
    Where,
    pairs_of,
)


class Asking(In):
    """What every query for items has."""

    k: Count = 10
    where: Where = Where()
    paths: int = Field(
        default=0,
        ge=0,
        le=3,
        description="Most paths that say why, for each of the first ten items.",
    )


class RecommendIn(Asking):
    """What a user may want next."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user": "1", "k": 5}]})
    user: User
    session: bool = Field(
        default=True, description="Whether the user's latest events enter the query."
    )


class CompleteIn(Asking):
    """What goes with items."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": ["1082185", "995242"],
                    "user": "1",
                    "text": "breakfast",
                    "k": 5,
                }
            ]
        }
    )
    items: Annotated[
        Ids,
        Field(min_length=1, description="Context items; unknown ones are passed over."),
    ]
    user: User | None = None
    text: Text | None = None
    one_per: Annotated[str, Field(max_length=100)] = Field(
        default="", description="One item a value of this name."
    )
    diversity: float = Field(default=0.0, ge=0, le=1)
    complements: float = Field(default=0.0, ge=0, le=10)
    season: int | None = Field(default=None, ge=1, le=12, description="A month.")
    session: bool = Field(
        default=True, description="Whether the user's latest events enter the query."
    )


class SearchIn(Asking):
    """What words mean."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "something for a taco night", "k": 5}]}
    )
    text: Annotated[Text, Field(min_length=1)]
    user: User | None = None


class SimilarIn(In):
    """What is alike."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"item": "1082185", "k": 5}]}
    )
    item: Id
    k: Count = 10
    where: Where = Where()


class SlotIn(In):
    """A place in a combination."""

    name: Name
    within: Named = Field(default={})
    least: int = Field(default=1, ge=0, le=50)
    most: int = Field(default=1, ge=1, le=50)


class PlanIn(In):
    """The conditions of a combination."""

    size: Annotated[list[int], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="Least and most."
    )
    budget: Money | None = None
    item_budget: Money | None = None
    price: Name = "price"
    where: Where = Where()
    require: Named = Field(default={})
    slots: Annotated[list[SlotIn | Name], Field(max_length=20)] = Field(
        default=[],
        description='Slots, or their short form: "shoes", "2 socks", "1-3 tops", "bag?", '
        '"top = group: Shirts".',
    )
    different: Annotated[str, Field(max_length=100)] = ""
    season: int | None = Field(default=None, ge=1, le=12)
    complements: float = Field(default=0.0, ge=0, le=10)
    variety: float = Field(default=0.0, ge=0, le=1)
    alternatives: int = Field(default=3, ge=1, le=10)
    overlap: float = Field(default=0.5, ge=0, le=1)

    def plan(self) -> Plan:
        """As the recommender takes it."""
        slots = tuple(
            Slot.parse(s)
            if isinstance(s, str)
            else Slot(s.name, pairs_of(s.within), s.least, s.most)
            for s in self.slots
        )
        size = None if self.size is None else (self.size[0], self.size[1])
        return Plan(
            size,
            self.budget,
            self.item_budget,
            self.price,
            self.where.constraints(),
            pairs_of(self.require),
            slots,
            self.different,
            self.season,
            self.complements,
            self.variety,
            self.alternatives,
            self.overlap,
        )


Few = Annotated[list[Id], Field(max_length=50)]


class BuildIn(In):
    """Whole combinations."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "text": "pasta dinner",
                    "plan": {"slots": ["pasta", "cheese"], "budget": 20},
                }
            ]
        }
    )
    plan: PlanIn = PlanIn()
    items: Few = Field(default=[])
    user: User | None = None
    text: Text | None = None


class CompatibilityIn(In):
    """How well items go together."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": ["1082185", "995242"]}]}
    )
    items: Annotated[Few, Field(min_length=2)]
    user: User | None = None
    text: Text | None = None
    category: Annotated[str, Field(max_length=100)] | None = Field(
        default=None,
        description='What says which items may stand in for which; "" for any for any.',
    )
    budget: Money | None = None
    item_budget: Money | None = None
    where: Where = Where()


class BundlesIn(In):
    """Bundles, best first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"bundles": {"b1": ["1082185", "995242"]}, "user": "1"}]
        }
    )
    bundles: Annotated[dict[Id, Ids], Field(min_length=1, max_length=1000)] | None = (
        Field(
            default=None,
            description="By id, their items; the graph's own where left out.",
        )
    )
    user: User | None = None
    text: Text | None = None
    items: Ids = Field(default=[])
    k: Count = 10


class ExplainIn(In):
    """Why an item is where it is in an answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"item": "995242", "items": ["1082185"], "user": "1"}]
        }
    )
    item: Id
    user: User | None = None
    items: Ids = Field(default=[])
    text: Text | None = None
    paths: int = Field(default=3, ge=1, le=10, description="Most paths.")
    support: bool = Field(
        default=True, description="Measure what each path carries; slower."
    )
    verify: bool = Field(
        default=False, description="Look every edge up in the live graph store."
    )
    language: Literal["en", "zh"] = "en"
    where: Where = Where()
    session: bool = Field(
        default=False, description="Whether the user's latest events were in the query."
    )

    def query(self, session: tuple[str, ...] = ()) -> Query:
        """What is explained."""
        items = tuple(dict.fromkeys((*session, *self.items)))
        return Query(self.user, items, self.text, 10, self.where.constraints())


class EventIn(In):
    """Something that a user did with an item."""

    user: Id
    item: Id
    kind: Literal["view", "like", "dislike", "cart", "purchase"]
    time: float | None = Field(
        default=None,
        ge=0,
        le=1e11,
        description="Seconds since 1970; now where left out or still to come.",
    )
    id: Id | None = Field(
        default=None,
        description="Yours alone; one that your key sent before is taken once.",
    )


class EventsIn(In):
    """What happened."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"events": [{"user": "1", "item": "1082185", "kind": "purchase"}]}
            ]
        }
    )
    events: Annotated[list[EventIn], Field(min_length=1, max_length=500)]


class ReloadIn(In):
    """Which run to serve from now on."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"run": "20261122-101500-demo"}]}
    )
    run: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$",
        description="Its id: a folder beside this one.",
    )
