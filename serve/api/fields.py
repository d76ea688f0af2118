"""Fields: the types, limits and constraints that the API's requests and answers share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from fusion.query import Constraints


def _finite(value: Any) -> Any:
    return (
        None
        if isinstance(value, float) and (value != value or abs(value) == float("inf"))
        else value
    )


Id = Annotated[str, Field(min_length=1, max_length=200)]
Name = Annotated[str, Field(min_length=1, max_length=100)]
Ids = Annotated[list[Id], Field(max_length=200)]
Text = Annotated[
    str,
    Field(max_length=1000, description="Words: a query, or what the items are for."),
]
Values = Annotated[
    list[Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=200)
]
Named = Annotated[dict[Name, Values], Field(max_length=20)]
Count = Annotated[int, Field(ge=1, le=100, description="How many.")]
Number = Annotated[float | None, BeforeValidator(_finite)]
Money = Annotated[float, Field(ge=0, le=1e12)]
User = Annotated[
    Id,
    Field(description="A user's id; an unknown one is answered as an anonymous user."),
]


class In(BaseModel):
    """What is taken: nothing unknown, nothing converted, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def whole(cls, value: Any) -> Any:
        """4.0 is an integer, as JSON Schema has it."""
        return int(value) if isinstance(value, float) and value.is_integer() else value


class Out(BaseModel):
    """What is given, read off our own objects."""

    model_config = ConfigDict(from_attributes=True)


def pairs_of(named: dict[str, list[str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Names and their values, as the recommender takes them."""
    return tuple((name, tuple(values)) for name, values in named.items())


class Where(In):
    """What an answer must keep to."""

    exclude: Annotated[list[Id], Field(max_length=10_000)] = []
    within: Named = Field(
        default={}, description="Of each property or relation, one of these values."
    )
    without: Named = Field(
        default={}, description="Of each property or relation, none of these values."
    )
    between: Annotated[
        dict[Name, Annotated[list[float | None], Field(min_length=2, max_length=2)]],
        Field(max_length=20),
    ] = Field(
        default={},
        description="Of each numeric property, the least and the most; null where open.",
    )
    only: Annotated[list[Id], Field(max_length=10_000)] | None = Field(
        default=None, description="What is in stock."
    )
    exclude_seen: bool = Field(
        default=False, description="Leave out what the user has interacted with."
    )

    def constraints(self) -> Constraints:
        """As the recommender takes it."""
        between = tuple(
            (name, (least, most)) for name, (least, most) in self.between.items()
        )
        only = None if self.only is None else tuple(self.only)
        return Constraints(
            tuple(self.exclude),
            pairs_of(self.within),
            pairs_of(self.without),
            between,
            only,
            self.exclude_seen,
        )
