"""Rephrase: a path's sentence said anew by a local language model, where it keeps every name."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from encoders.text import pretrained
from fusion.explain.explanation import Explanation, GraphPath

_PROMPT = (
    "Rewrite this sentence in plain, friendly words. Keep every name and number exactly."
    "\n\n{}\n\nRewritten:"
)


class Rephraser:
    """Any causal language model of Hugging Face, greedy, so that it says the same each time.

    Args:
        model: A name or a folder; safetensors weights only, and no code of the model's own.
        longest: Most new tokens a sentence.
    """

    def __init__(
        self,
        model: str,
        longest: int = 96,
    ) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        with pretrained.quiet():
            self._tokenizer = AutoTokenizer.from_pretrained(
                model, trust_remote_code=False
            )
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                model, trust_remote_code=False, use_safetensors=True
            )
        self._model, self._longest = loaded.eval(), longest

    def __call__(self, explanation: Explanation) -> Explanation:
        """The explanation said anew; where a name or a number is missing, the template's stands."""
        return replace(
            explanation,
            paths=tuple(self._rephrased(path) for path in explanation.paths),
        )

    def _rephrased(self, path: GraphPath) -> GraphPath:
        given = self._tokenizer(_PROMPT.format(path.sentence), return_tensors="pt")
        padding = self._tokenizer.pad_token_id or self._tokenizer.eos_token_id or 0
        out = self._model.generate(
            **given,
            max_new_tokens=self._longest,
            do_sample=False,
            pad_token_id=padding,
        )
        new = out[0, given["input_ids"].shape[1] :]
        text = str(self._tokenizer.decode(new, skip_special_tokens=True))
        sentence = text.strip().partition("\n")[0].strip()
        return replace(path, sentence=sentence) if keeps(path, sentence) else path


def keeps(path: GraphPath, sentence: str) -> bool:
    """Whether a sentence has every title and number of the path's own, and is not much longer."""
    if not sentence or len(sentence) >= 3 * len(path.sentence) + 40:
        return False
    names = [node.title for node in path.nodes if node.title in path.sentence]
    numbers = re.findall(r"\d+(?:[.,]\d+)*", path.sentence)
    return all(name in sentence for name in names) and all(
        re.search(rf"(?<![\d.,]){re.escape(number)}(?!\d)", sentence)
        for number in numbers
    )
