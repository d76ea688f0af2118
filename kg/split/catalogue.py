"""The split of a catalogue that nobody has interacted with.

Items are held out of what is asked about.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kg.errors import DataError, InputError
from kg.graph import build_graph
from kg.split.held import Held, Split
from kg.tables import Tables


@dataclass(frozen=True)
class CatalogueSplit:
    """A split for graphs without interactions.

    All facts are for training, and a random share of the items is held out.

    No training query may be about a held-out item; it stays in the catalogue, and can be found,
    with all that is known of it. `valid` and `test` hold an event of nobody, in no bundle and
    at no time, for each held-out item.

    Attributes:
        valid_fraction: Share of the items to choose on, 0..1.
        test_fraction: Share of the items to report, 0..1.
        seed: Of the draw.
    """

    valid_fraction: float = 0.1
    test_fraction: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if (
            min(self.valid_fraction, self.test_fraction) <= 0
            or self.valid_fraction + self.test_fraction >= 1
        ):
            raise InputError(
                f"{self}: the fractions must be above 0 and together below 1"
            )

    def __call__(self, tables: Tables) -> Split:
        """Split the tables.

        Raises:
            DataError: There are interactions, or too few items for every part to have one.
        """
        events = len(build_graph(tables).events)
        if events:
            raise DataError(
                f"{self}: the graph has {events} events of items taken; use TimeSplit, "
                "LeaveLast or GroupedSplit"
            )
        ids = tables.vocab(tables.schema.item.name).ids
        # Sorted, so that the draw does not depend on the order of rows.
        drawn = np.random.default_rng(self.seed).permutation(len(ids))
        test, valid = (
            round(share * len(ids))
            for share in (self.test_fraction, self.valid_fraction)
        )
        if min(test, valid, len(ids) - test - valid) < 1:
            raise DataError(f"{self}: {len(ids)} items are too few for three parts")
        ordered = ids.take(pc.sort_indices(ids))
        held = (
            ordered.take(pa.array(np.sort(part)))
            for part in (drawn[test : test + valid], drawn[:test])
        )
        valid_events, test_events = (Held(pseudo_events(part)) for part in held)
        return Split(tables, valid_events, test_events, np.ones(len(ids), bool))


def pseudo_events(items: pa.Array) -> pa.Table:
    """An event of nobody, at no time, for each item id.

    The columns are those of `kg.split.held.events_table`.
    """
    nobody = pa.nulls(len(items), pa.string())
    return pa.table(
        {
            "user": nobody,
            "bundle": nobody,
            "item": items,
            "time": pa.array(np.full(len(items), np.nan)),
        }
    )
