"""Plants faults in a copy of the code, one at a time: the test that is to catch it must fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
CODE = ("kg", "encoders", "fusion", "eval", "tests")


class Fault(NamedTuple):
    """What goes wrong, where, the text as it is and as planted, and the test that must notice."""

    name: str
    file: str
    text: str
    planted: str
    test: str


FAULTS = [
    Fault(
        "an upward import inside a function",
        "kg/stores/open.py",
        "    scheme = uri.partition",
        "    from fusion.query import Query as Query\n\n    scheme = uri.partition",
        "tests/test_architecture.py::test_every_file_keeps_to_the_rules[kg/stores/open.py]",
    ),
    Fault(
        "held-out bundles stay in the training tables",
        "kg/split/parts.py",
        "kept_nodes[bundle.name] = bundle_part == TRAIN",
        "kept_nodes[bundle.name] = bundle_part >= TRAIN",
        "tests/kg/split/test_parts.py::TestEverySplit::test_leaks_nothing",
    ),
    Fault(
        "a fold's graph holds what is asked about",
        "fusion/tasks/folds.py",
        "Fold(graph.until(early), ",
        "Fold(graph, ",
        "tests/fusion/tasks/test_folds.py::test_windows_are_the_last_of_the_time_and_each_looks_at_what_was_before",
    ),
    Fault(
        "an ask's own basket is in its counts",
        "fusion/preparation.py",
        "counts = count_paths(fold.graph, recipe.paths)",
        "counts = count_paths(graph, recipe.paths)",
        "tests/fusion/test_preparation.py::test_preparing_is_the_same_by_seed",
    ),
    Fault(
        "reverse edges are not flipped",
        "kg/graph.py",
        "] = edge.flipped()",
        "] = edge",
        "tests/kg/test_graph.py::test_typed_edges_are_flipped_in_reverse_and_reach_through_bundles",
    ),
    Fault(
        "a text's vector depends on its batch",
        "encoders/text/encoder.py",
        "weight = mask.unsqueeze(-1).to(states.dtype)",
        "weight = torch.ones_like(mask).unsqueeze(-1).to(states.dtype)",
        "tests/encoders/text/test_encoder.py::test_a_vector_does_not_depend_on_the_batch[bert]",
    ),
    Fault(
        "the GNN depends on the order of edges",
        "encoders/graph/layers.py",
        "order = torch.argsort(\n",
        "order = torch.arange(len(target)) if len(target) else torch.argsort(\n",
        "tests/encoders/graph/test_layers.py::test_the_order_of_edges_does_not_matter",
    ),
    Fault(
        "gradients are not cleared",
        "fusion/training/joint.py",
        "        self.optimizer.zero_grad()\n",
        "",
        "tests/fusion/training/test_joint.py::test_a_step_starts_from_no_gradient",
    ),
    Fault(
        "the optimiser starts anew when a run is resumed",
        "fusion/training/joint.py",
        '        self.optimizer.load_state_dict(state["optimizer"])\n',
        "",
        "tests/fusion/training/test_trainer.py::test_a_resumed_training_ends_as_an_uninterrupted_one",
    ),
    Fault(
        "the loss has the wrong sign",
        "fusion/model/losses.py",
        "candidates = -torch.where",
        "candidates = torch.where",
        "tests/fusion/model/test_losses.py::test_both_losses_by_hand",
    ),
    Fault(
        "the protocol ranks what is at hand",
        "eval/measure/protocol.py",
        "ranks(scores, some.targets, some.excluded)",
        "ranks(scores, some.targets, some.context.take(np.zeros(len(some), int)))",
        "tests/eval/measure/test_protocol.py::test_the_items_at_hand_are_masked",
    ),
    Fault(
        "the protocol ranks what an ask masks",
        "eval/measure/protocol.py",
        "ranks(scores, some.targets, some.excluded)",
        "ranks(scores, some.targets, some.context)",
        "tests/eval/measure/test_protocol.py::test_what_an_ask_masks_is_not_ranked_beside_the_items_at_hand",
    ),
    Fault(
        "what is masked takes the places of candidates",
        "fusion/model/retrieval.py",
        "            scores[owners, items] = 0\n",
        "            scores[batch.owners, batch.context] = 0\n",
        "tests/fusion/model/test_retrieval.py::test_excluded_items_take_no_candidates_place[1]",
    ),
    Fault(
        "what is at hand takes the places of candidates",
        "fusion/model/retrieval.py",
        "            scores[owners, items] = 0\n",
        "            if len(batch.excluded) > len(batch.context):\n"
        "                scores[owners, items] = 0\n",
        "tests/fusion/model/test_retrieval.py::test_excluded_items_take_no_candidates_place[2]",
    ),
    Fault(
        "an answer may hold what is at hand",
        "fusion/ranking/ranker.py",
        "        scores[queries.excluded[0]] = -np.inf\n",
        "",
        "tests/fusion/ranking/test_ranker.py::test_context_items_are_never_returned",
    ),
    Fault(
        "a typo in a recipe is accepted",
        "kg/config.py",
        "if key not in known:",
        "if False:",
        "tests/fusion/test_experiment.py::test_a_mistake_is_named_by_its_key",
    ),
]


# Answers each line of tests with pytest's exit code. What takes seconds to import is imported
# once, and each line is run in a fork, which reads the code under test anew.
SERVER = """
import importlib, os, signal, sys
import pytest
for name in ("lightning.fabric", "torch_geometric.nn", "torch.utils.tensorboard",
             "pyarrow.parquet", "duckdb", "hypothesis", "sklearn.ensemble",
             "transformers.models.auto.modeling_auto",
             "transformers.models.bert.modeling_bert"):
    importlib.import_module(name)
for line in sys.stdin:
    child = os.fork()
    if not child:
        signal.alarm(120)
        with open("output", "w") as file:
            os.dup2(file.fileno(), 1), os.dup2(file.fileno(), 2)
        early = "ignore::pytest.PytestAssertRewriteWarning"  # plugins that are imported above
        flags = ["-x", "-q", "-p", "no:cacheprovider", "-W", early]
        code = pytest.main([*flags, *line.split("|")[1:-1]])
        sys.stdout.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the code, and run(*tests): pytest's exit code and output there."""
    tree = tmp_path_factory.mktemp("faults") / "tree"
    for folder in CODE:
        shutil.copytree(
            ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    for file in ("train.py", "trousseau.py", "pyproject.toml"):
        shutil.copy(ROOT / file, tree / file)
    around = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
        "PYTHONDONTWRITEBYTECODE": "1"
    }
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVER],
        cwd=tree,
        env=around,
        text=True,
        stdin=-1,
        stdout=-1,
    ) as server:

        def run(*tests):
            assert server.stdin and server.stdout
            print("", *tests, "", sep="|", file=server.stdin, flush=True)
            return int(server.stdout.readline()), (tree / "output").read_text()[-3000:]

        code, output = run(*(fault.test for fault in FAULTS))
        assert code == 0, output  # without a fault, all of them pass
        yield tree, run


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught(copy, fault):
    tree, run = copy
    file = tree / fault.file
    sound = file.read_text(encoding="utf-8")
    assert sound.count(fault.text) == 1, (
        f"{fault.file} no longer holds {fault.text!r} once: plant the fault elsewhere"
    )
    file.write_text(sound.replace(fault.text, fault.planted), encoding="utf-8")
    try:
        code, output = run(fault.test)
    finally:
        file.write_text(sound, encoding="utf-8")
    assert code == 1, output  # 1: tests failed; others: they could not run
