from dataclasses import replace

import torch
import transformers

from encoders.text import pretrained
from fusion.explain.rephrase import Rephraser, keeps
from fusion.query import Query


def test_a_model_that_loses_the_names_is_not_heard(trained, tmp_path):
    torch.manual_seed(0)
    with pretrained.quiet():
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            pretrained.model_folder("default")
        )
        config = transformers.GPT2Config(
            vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=1
        )
        transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
    query = Query("u003")
    made = trained.recommender.explain(
        query, trained.recommender.answer(query)[0].id, support=False
    )
    assert made.paths
    assert Rephraser(str(tmp_path), 8)(made) == made


def test_names_and_numbers_must_stay(trained):
    query = Query("u003")
    path = trained.recommender.explain(
        query, trained.recommender.answer(query)[0].id, support=False
    ).paths[0]
    path = replace(path, sentence=f"Household 12 took {path.nodes[-1].title} 3 times.")
    assert keeps(path, f"3 times did household 12 take {path.nodes[-1].title}.")
    assert not keeps(path, f"Household 123 took {path.nodes[-1].title} 3 times.")
    assert not keeps(path, "Household 12 took something 3 times.")
    assert not keeps(path, "")
