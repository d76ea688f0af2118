"""The split of a catalogue without interactions."""

import numpy as np
import pytest

from kg.errors import DataError
from kg.sources.checkerboard import Checkerboard
from kg.sources.icecat import Icecat
from kg.split.catalogue import CatalogueSplit


def test_all_facts_stay_and_the_parts_share_no_item():
    tables = Icecat.example()
    split = CatalogueSplit(0.25, 0.17, seed=1)(tables)
    assert split.train.fingerprint() == tables.fingerprint() and split.cold.all()
    valid, test = (
        set(part.events["item"].to_pylist()) for part in (split.valid, split.test)
    )
    assert len(valid) == 3 and len(test) == 2 and not valid & test
    for part in (split.valid, split.test):
        assert (
            part.events["user"].null_count
            == part.events["bundle"].null_count
            == len(part)
        )
        assert np.isnan(part.events["time"].to_numpy()).all()


def test_the_draw_hangs_on_the_seed_and_not_on_the_order_of_rows():
    tables = Icecat.example()
    turned = tables.with_tables(
        {"product": tables.nodes["product"].take(list(range(12))[::-1])}, {}
    )
    drawn = [
        CatalogueSplit(0.25, 0.25, seed=s)(t).valid.events.to_pylist()
        for s in (0, 1)
        for t in (tables, turned)
    ]
    ids = [[row["item"] for row in part] for part in drawn]
    assert ids[0] == ids[1] and ids[2] == ids[3] and ids[0] != ids[2]


def test_what_it_is_not_for_is_refused():
    with pytest.raises(DataError, match="events of items taken"):
        CatalogueSplit()(Checkerboard.example())
    with pytest.raises(DataError, match="too few"):
        CatalogueSplit(0.01, 0.01)(Icecat.example())
    for valid, test in ((0.0, 0.1), (0.5, 0.5)):
        with pytest.raises(ValueError, match="fractions"):
            CatalogueSplit(valid, test)
