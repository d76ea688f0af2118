"""What vectors add is kept as far as asks say that nothing was trained on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fusion.bundles.build import first_scores
from fusion.bundles.rank import full_score
from fusion.model.inputs import encode_words
from fusion.preparation import held_out
from fusion.query import Query
from fusion.query_batch import Ragged, join
from fusion.training.shrinkage import _best, fit_shrinkage, shares_kept

WORDS = ("", "thing of kind 3")


@pytest.fixture
def mixed(small):
    """A hybrid of noise, and queries by turns without words and with.

    Right is what its counts put first and fifth where there are words, and what is first in its
    whole score where there are none.
    """
    made = small(candidates_per_path=14, vector_candidates=14)
    for parameter in made.model.head.parameters():
        parameter.data.normal_(std=0.5)
    made.model.eval()
    queries = replace(
        made.queries, texts=tuple(WORDS[b % 2] for b in range(len(made.queries)))
    )
    with torch.no_grad():
        words = encode_words(made.model, queries, torch.device("cpu"))
        found = made.model.score(
            made.snapshot, queries, made.embeddings.items, made.embeddings.users, words
        )
        counted = made.model.head.of_counts(found.phi).masked_fill(
            found.rows < 0, -torch.inf
        )
    whole, alone = (
        torch.take_along_dim(found.rows, s.argsort(1, descending=True), 1)
        for s in (found.score, counted)
    )
    right = [
        alone[b, [0, 4]].tolist() if text else whole[b, [0]].tolist()
        for b, text in enumerate(queries.texts)
    ]
    return made, replace(
        queries,
        targets=Ragged.of([sorted(r for r in rows if r >= 0) for rows in right]),
    )


def ndcg(made, queries, kept):
    """(B,) NDCG@10 by Hybrid.score, in a loop."""
    made.model.eval()
    made.model.kept.copy_(torch.tensor(kept))
    found = []
    with torch.no_grad():
        words = encode_words(made.model, queries, torch.device("cpu"))
        scores = made.model.score(
            made.snapshot, queries, made.embeddings.items, made.embeddings.users, words
        )
    for b in range(len(queries)):
        order = scores.rows[b][scores.score[b].argsort(descending=True)][:10].tolist()
        dcg = sum(
            1 / np.log2(place + 2)
            for place, row in enumerate(order)
            if row in queries.targets[b]
        )
        found.append(
            dcg
            / sum(1 / np.log2(place + 2) for place in range(len(queries.targets[b])))
        )
    return np.array(found)


def test_it_is_the_best_share_for_each_kind_of_ask(mixed):
    made, queries = mixed
    spoken = np.array([bool(text) for text in queries.texts])
    fit_shrinkage(
        made.model, made.snapshot, made.embeddings, queries, batch=7, progress=False
    )
    silent, worded = made.model.kept.tolist()
    assert silent == 1  # nothing is better than all of it
    grid = np.linspace(0, 1, 11)
    table = np.array(
        [
            ndcg(made, queries.take(np.flatnonzero(spoken)), (share, share))
            for share in grid
        ]
    )
    assert worded == pytest.approx(grid[table.mean(1).argmax()]) and worded < 0.5
    assert table.mean(1).max() > table.mean(1)[-1] + 0.1


def test_what_may_be_chance_is_passed_over():
    """As far apart on average, told by queries that agree and by queries that do not."""
    better, worse = torch.zeros(11), torch.zeros(11)
    better[3], worse[3] = 0.2, -0.1
    agree, differ = (
        (better + worse).expand(40, -1),
        torch.stack([better, worse] * 3 + [better * 0] * 34),
    )
    assert _best(agree.numpy()) == pytest.approx(0.3)
    assert differ[:, 3].mean() > 0 and _best(differ.numpy()) == 1


def test_all_is_kept_where_nobody_says_otherwise(mixed):
    made, queries = mixed
    made.model.train()
    for few in (np.arange(0), np.arange(1)):
        made.model.kept.fill_(0.5)
        fit_shrinkage(
            made.model,
            made.snapshot,
            made.embeddings,
            queries.take(few),
            progress=False,
        )
        assert made.model.kept.tolist() == [1, 1] and made.model.training


def test_where_nothing_is_kept_the_counts_speak_alone(mixed):
    made, queries = mixed
    made.model.eval()
    made.model.kept.copy_(torch.tensor([0.0, 1.0]))
    with torch.no_grad():
        words = encode_words(made.model, queries, torch.device("cpu"))
        found = made.model.score(
            made.snapshot, queries, made.embeddings.items, made.embeddings.users, words
        )
        counted = made.model.head.of_counts(found.phi).masked_fill(
            found.rows < 0, -torch.inf
        )
    silent = torch.tensor([not text for text in queries.texts])
    assert torch.equal(found.score[silent], counted[silent])
    assert not torch.allclose(found.score[~silent], counted[~silent])


def test_a_training_ends_with_it(trainer_of, tmp_path):
    """Nothing else is changed, and it is said by validation queries alone."""
    made = {
        n: trainer_of(tmp_path / str(n), "training.epochs=1", f"training.shrinkage={n}")
        for n in (0, 500)
    }
    for one in made.values():
        one.trainer.fit(progress=False)
    plain, shrunk = (one.trainer.state.model.state_dict() for one in made.values())
    assert plain["kept"].tolist() == [1, 1]
    assert all(
        torch.equal(shrunk[name], value)
        for name, value in plain.items()
        if name != "kept"
    )
    one = made[500]
    queries = join(
        list(held_out(one.prepared, one.recipe, one.prepared.split.valid, 500).values())
    )
    model, trainer = made[0].trainer.state.model, made[0].trainer
    fit_shrinkage(
        model,
        trainer.state.serving,
        model.encode(trainer.state.serving, trainer.state.texts()),
        queries,
        progress=False,
    )
    assert torch.equal(model.kept, shrunk["kept"])


def test_made_up_queries_do_not_say_it(trainer_of, tmp_path):
    made = trainer_of(
        tmp_path, "tasks.typed.class=fusion.tasks.synthetic_queries:SyntheticQueries"
    )
    asked = held_out(made.prepared, made.recipe, made.prepared.split.valid, 10_000)
    typed = asked.pop("typed")
    assert (
        len(typed)
        and made.trainer.shrinkage.queries.texts == join(list(asked.values())).texts
    )


def test_single_scores_keep_as_much_as_answers_do(trained):
    recommender = trained.recommender
    model, old = recommender.model, recommender.snapshot.seen_items
    model.kept.copy_(torch.tensor([0.25, 0.75]))
    try:
        for query in (
            Query("u003", ("i001", "i005")),
            Query("u003", ("i001", "i005"), "black lamp"),
        ):
            scores = recommender.scores(recommender.queries([query]))
            known = (scores.rows[0] >= 0) & old[scores.rows[0]]
            rows, wanted = scores.rows[0][known].numpy(), scores.score[0][known].numpy()
            assert len(rows) > 20
            np.testing.assert_allclose(
                full_score(recommender, query, rows), wanted, atol=2e-4
            )
            np.testing.assert_allclose(
                first_scores(recommender, query)[rows], wanted, atol=2e-4
            )
    finally:
        model.kept.fill_(1.0)


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        (
            [1, 1],
            "of what vectors add, all for queries without text and all for queries with it",
        ),
        (
            [0.2, 0],
            "of what vectors add, 0.2 for queries without text and 0.0 for queries with it",
        ),
    ],
)
def test_what_is_kept_is_told(trained, kept, told):
    model = trained.recommender.model
    model.kept.copy_(torch.tensor(kept))
    try:
        assert shares_kept(model) == told
    finally:
        model.kept.fill_(1.0)


def test_nothing_is_told_where_there_is_nothing_to_weigh(trainer_of, tmp_path):
    made = trainer_of(tmp_path, "fusion.paths=false")
    assert (
        made.trainer.shrinkage.queries is None
        and shares_kept(made.trainer.state.model) == ""
    )
