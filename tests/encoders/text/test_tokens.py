import numpy as np
import torch

from encoders.text.tokens import TokenTable


class Letters:
    """One token a letter, between 1 and 2."""

    pad_token_id = 9

    def __init__(self):
        self.seen = []

    def __call__(self, text, *, truncation, max_length):
        self.seen += text
        return {"input_ids": [[1, *map(ord, t[: max_length - 2]), 2] for t in text]}


def test_each_distinct_text_is_tokenised_once_and_blanks_have_none():
    tokenizer = Letters()
    table = TokenTable.build(["ab", "", "c", " ab ", "  "], tokenizer, 8)
    assert tokenizer.seen == ["ab", "c"]
    assert table.index.tolist() == [0, -1, 1, 0, -1]
    assert table.ids.tolist() == [1, 97, 98, 2, 1, 99, 2]
    assert table.offsets.tolist() == [0, 4, 7]
    assert [a.dtype.name for a in (table.ids, table.offsets, table.index)] == [
        "int32",
        "int64",
        "int64",
    ]
    assert len(table) == 2


def test_batches_are_padded_to_their_longest():
    table = TokenTable.build(["abc", "d", "efghij"], Letters(), 6)
    ids, mask = table.batch(torch.tensor([1, 0, 1]))
    assert ids.tolist() == [[1, 100, 2, 9, 9], [1, 97, 98, 99, 2], [1, 100, 2, 9, 9]]
    assert mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert ids.dtype == mask.dtype == torch.int64
    assert table.lengths.tolist() == [5, 3, 6], "cut to max_tokens"


def test_buckets_hold_every_text_once_within_the_budget_and_like_lengths_together():
    rng = np.random.default_rng(0)
    table = TokenTable.build(
        ["x" * n + str(i) for i, n in enumerate(rng.integers(1, 40, 300))],
        Letters(),
        48,
    )
    wanted = rng.permutation(300)[:200]
    batches = list(table.buckets(wanted, 128))
    assert sorted(np.concatenate(batches)) == sorted(wanted)
    assert max(len(b) * table.lengths[b].max() for b in batches) <= 128
    padded = sum(len(b) * int(table.lengths[b].max()) for b in batches)
    assert padded < 1.1 * table.lengths[wanted].sum()


def test_a_text_longer_than_the_budget_is_a_batch_of_its_own():
    table = TokenTable.build(["abcdef", "gh"], Letters(), 20)
    assert [b.tolist() for b in table.buckets(np.arange(2), 4)] == [[0], [1]]


def test_an_empty_table_gives_empty_batches():
    table = TokenTable.build(["", " "], Letters(), 8)
    assert len(table) == 0
    assert list(table.buckets(np.arange(0), 8)) == []
    assert table.batch(np.arange(0))[0].shape == (0, 0)


def test_more_texts_than_one_tokeniser_call_takes():
    texts = [str(i) for i in range(5000)]
    table = TokenTable.build(texts, Letters(), 8)
    assert table.batch(np.array([4999]))[0].tolist() == [[1, *map(ord, "4999"), 2]]
