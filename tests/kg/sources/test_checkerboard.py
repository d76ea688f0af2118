"""The checkerboard has the right answer that it says."""

import pytest

from kg.errors import DataError
from kg.sources.checkerboard import Checkerboard
from kg.split.held import events_table


class TestCheckerboard:
    def test_the_withheld_item_is_the_only_one_of_the_colour_that_the_user_never_takes(
        self,
    ):
        config = Checkerboard(users=14, items=12, baskets=5, cold=3, seed=2)
        tables = config.load()
        colour = dict(
            zip(*tables.edges["has_colour"].to_pydict().values(), strict=True)
        )
        events = events_table(tables).to_pylist()
        pretrain_head = {e["item"] for e in events}
        assert len(pretrain_head) == 12 and len(tables.nodes["item"]) == 15
        early = {(e["user"], e["item"]) for e in events if e["time"] < 3}
        assert early == {(e["user"], e["item"]) for e in events}
        for user, withheld in config.withheld.items():
            taken = {item for who, item in early if who == user}
            assert {
                item for item in pretrain_head if colour[item] == colour[withheld]
            } - taken == {withheld}
            assert {colour[item] for item in taken} == {colour[withheld]}

    def test_words_name_the_colour(self):
        tables = Checkerboard.example()
        colour = dict(
            zip(*tables.edges["has_colour"].to_pydict().values(), strict=True)
        )
        titles = zip(
            tables.nodes["item"]["id"].to_pylist(), tables.texts("item"), strict=True
        )
        assert all(text.startswith(colour[item]) for item, text in titles)

    def test_seeds_differ_and_bad_sizes_are_refused(self):
        assert (
            Checkerboard(seed=0).load().fingerprint()
            != Checkerboard(seed=1).load().fingerprint()
        )
        with pytest.raises(DataError, match="items >= 4 and even"):
            Checkerboard(items=5)
