"""Answers: what the API gives back."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from serve.api.fields import Number, Out


class FieldOut(Out):
    """What is wrong with a field."""

    field: str
    message: str


class ProblemOut(Out):
    """An error (RFC 9457); `errors` names the fields where there are some to blame."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldOut] = Field(default_factory=list)
    request_id: str


Notes = Annotated[
    list[str],
    Field(
        description="Sentences: what of the query is not known, and how it is answered so."
    ),
]


class Answer(Out):
    """What every answer says."""

    run: str
    request_id: str


class NodeOut(Out):
    """A node of a path."""

    type: str
    id: str
    title: str


class EdgeOut(Out):
    """An edge of a path; `lost` is what the score loses without it, `when` its time in words.

    `now` is what the live store says of it.
    """

    relation: str
    back: bool
    time: Number
    lost: Number = None
    now: str = ""
    when: str = ""


class SupportOut(Out):
    """What a path carries: the score with it, less the score without."""

    lost: Number
    rank: int
    counted: Number
    vectors: Number
    alone: Number
    estimate: Number


class PathOut(Out):
    """A path from the query to the item."""

    nodes: list[NodeOut]
    edges: list[EdgeOut]
    times: int
    sentence: str
    cypher: str
    support: SupportOut | None


class ItemOut(Out):
    """An item of an answer; `text_weight` is the text's share of its vector, else the graph's."""

    id: str
    title: str
    score: Number
    text_weight: float
    price: Number = None
    paths: list[PathOut] | None = None


class ItemsAnswer(Answer):
    """Items, best first; `session` are the user's latest items among the context items."""

    items: list[ItemOut]
    text_weight: Number
    session: list[str] = Field(default_factory=list)
    notes: Notes = Field(default_factory=list)


class PieceOut(Out):
    """An item of a combination."""

    id: str
    title: str
    score: Number
    price: Number
    slot: str
    kept: bool
    text_weight: Number = None


class CombinationOut(Out):
    """Items that go together."""

    items: list[PieceOut]
    score: Number
    price: Number
    weakest: str


class BuildAnswer(Answer):
    """Combinations, best first; fewer than queried where so few differ enough."""

    combinations: list[CombinationOut]
    text_weight: Number
    notes: Notes = Field(default_factory=list)


class SwapOut(Out):
    """An exchange that makes the whole better."""

    out: str
    item: PieceOut
    score: Number
    gain: Number


class CompatibilityAnswer(Answer):
    """How well items go together."""

    combination: CombinationOut
    swap: SwapOut | None
    text_weight: Number


class BundleOut(Out):
    """A bundle."""

    id: str
    title: str
    score: Number
    items: list[str]


class BundlesAnswer(Answer):
    """Bundles, best first."""

    bundles: list[BundleOut]
    text_weight: Number


class WordOut(Out):
    """A word, and what the score loses without it."""

    word: str
    where: str
    lost: Number


class ExplainAnswer(Answer):
    """Why an item is where it is."""

    item: NodeOut
    score: Number
    rank: int
    text_weight: float
    paths: list[PathOut]
    words: list[WordOut]
    parts: dict[str, Number]
    notes: list[str]


class ItemAnswer(Answer):
    """An item and what is known of it."""

    id: str
    title: str
    text_weight: float
    properties: dict[str, Any]
    attributes: dict[str, list[str]]


class EventsAnswer(Answer):
    """How many events are on the disk; `again` of them had been sent before."""

    accepted: int
    again: int


class AboutAnswer(Answer):
    """What is served: enough to fill forms.

    `prices` are the 5, 50 and 95 % quantiles, `types` those of all nodes.
    """

    item_type: str
    items: int
    user_type: str | None
    users: int
    kind: str
    kinds: list[str]
    names: list[str]
    prices: list[float] | None
    bundle_type: str | None
    types: list[str]
    example_users: list[str]


class ReloadAnswer(Answer):
    """Which run is served now."""

    before: str


class Health(Out):
    """What works; `queue` counts the events that wait for the graph store or were refused."""

    status: str
    run: str | None = None
    parts: dict[str, str] = Field(default_factory=dict)
    queue: dict[str, int] = Field(default_factory=dict)
