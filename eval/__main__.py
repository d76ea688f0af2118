"""python -m eval: look for leaks in a graph, run the benchmarks, and write their tables."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from eval.bench.datasets import BENCHMARKS, Benchmark
from eval.bench.explanation_tables import PROTOCOL
from eval.bench.run import ABLATIONS, ablate, missing, recipe_of, run, write
from eval.bench.tables import RESULTS, update
from eval.contenders import BASELINES
from eval.leakage import audit, usual
from eval.parts import load_recipe
from eval.studies import all_bundles as whole
from eval.studies.explanations import held_asks, measure, warmed
from fusion.recommender import Recommender
from fusion.runs.folder import environment, open_run
from kg.errors import InputError, TrousseauError
from kg.graph import build_graph
from kg.schema import GraphSchema
from kg.stores.base import read_tables
from kg.stores.open import open_store


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 where all is well, 1 where a leak is found or a benchmark fails, 2 on bad input."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        return int(options.run(options))
    except (TrousseauError, OSError) as error:
        if os.environ.get("TROUSSEAU_DEBUG"):
            raise
        print(
            f"eval {options.command}: {' '.join(str(error).split())}", file=sys.stderr
        )
        return 2


def leaks(options: argparse.Namespace) -> int:
    """Measure whether an edge type of a graph gives the held-out items away."""
    recipe = load_recipe(options.recipe, options.set) if options.recipe else None
    with open_store(options.graph) as store:
        tables = read_tables(
            store,
            GraphSchema.from_toml(recipe.schema) if recipe and recipe.schema else None,
        )
    splitter, tasks = (recipe.split, recipe.tasks) if recipe else usual(tables)
    split = splitter(tables)
    found = audit(split, build_graph(split.train), tasks, recipe.seed if recipe else 0)
    print(f"split {splitter}")
    for path in found.paths[:10]:
        words = f"{path.task}: {' + '.join(path.path)} from the {path.start}"
        print(
            f"{words:60} recall@10 {path.recall:.3f}, reaches {path.reached:.0%} of the targets"
        )
    for note in found.notes:
        print(note)
    for leak in found.leaks:
        print(f"LEAK: {leak}")
    print("" if found.leaks else "no edge gives the held-out items away")
    return int(bool(found.leaks))


def benchmark(options: argparse.Namespace) -> int:
    """Train and measure on public data sets: the hybrid, its parts, the baselines."""
    wanted, data = _chosen(options.only), Path(options.data)
    ready = []
    for chosen in wanted:
        if why := missing(chosen, data):
            print(f"skipped: {chosen.name}: {why}")
        else:
            ready.append(chosen)
    if len(ready) > 1:
        return _each_alone(ready, options)
    for chosen in ready:
        recipe = recipe_of(chosen, data, options.set, options.quick)
        found = run(
            chosen,
            recipe,
            options.quick,
            options.device,
            not options.quiet,
            options.baselines,
        )
        _save(chosen.name + "-quick" * options.quick, found, options)
    return 0


def ablation(options: argparse.Namespace) -> int:
    """Train variants of a benchmark's recipe by one seed, and measure what each piece is worth."""
    (chosen,), data = _chosen([options.name]), Path(options.data)
    if why := missing(chosen, data):
        raise InputError(f"{chosen.name}: {why}")
    if unknown := set(options.only or ()) - set(ABLATIONS):
        raise InputError(
            f"there is no variant {min(unknown)!r}; there are {', '.join(ABLATIONS)}"
        )
    names = dict.fromkeys(["whole", *(options.only or ABLATIONS)])
    variants = {
        n: recipe_of(chosen, data, [*options.set, *ABLATIONS[n]], options.quick)
        for n in names
    }
    for found in ablate(
        chosen, variants, options.quick, options.device, not options.quiet
    ):
        _save(
            f"{chosen.name}-ablation" + "-quick" * options.quick, found, options
        )  # what is measured stays
    return 0


def explanations(options: argparse.Namespace) -> int:
    """Measure runs' explanations: validity, coverage, what taking paths out costs, quality, and time."""
    file = Path(options.out) / "explanations.json"
    for folder in map(open_run, options.runs):
        recommender = Recommender.load(folder)
        every = held_asks(recommender, folder, options.on)
        explainer, ready = warmed(recommender)
        found = {
            task: measure(
                explainer,
                queries,
                options.queries,
                options.sufficient,
                options.seed,
                not options.quiet,
            )
            for task, queries in every.items()
        }
        before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        flags = [
            "--queries",
            str(options.queries),
            "--sufficient",
            str(options.sufficient),
            "--seed",
            str(options.seed),
        ]
        flags += ["--on", options.on] if options.on != "test" else []
        words = ["python", "-m", "eval", "explanations", f"runs/{folder.name}", *flags]
        name = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))["name"]
        made = environment()
        machine = {
            "platform": made["platform"],
            "cpus": made["cpu_count"],
            "python": made["python"],
            "commit": made["git_commit"],
            "threads": torch.get_num_threads(),
        }
        facts = {
            "command": shlex.join(words),
            "protocol": PROTOCOL,
            "machine": machine,
            "seconds until ready": ready,
        }
        name += f", {options.on}" if options.on != "test" else ""
        write({**before, name: {**facts, "tasks": found}}, file)
        print(json.dumps(found, indent=2))
        print(f"saved    {file}")
    return 0


def tables(options: argparse.Namespace) -> int:
    """Write the tables of docs/benchmarks/ and README.md anew from benchmarks/results."""
    for file in update():
        print(f"written: {file}")
    return 0


def _chosen(names: Sequence[str] | None) -> list[Benchmark]:
    if unknown := set(names or ()) - set(BENCHMARKS):
        raise InputError(
            f"there is no benchmark {min(unknown)!r}; there are {', '.join(BENCHMARKS)}"
        )
    return [BENCHMARKS[name] for name in names or BENCHMARKS]


def _each_alone(chosen: Sequence[Benchmark], options: argparse.Namespace) -> int:
    """A process each, so that the peak memory is a benchmark's own."""
    failed = []
    for one in chosen:
        command = [
            sys.executable,
            "-m",
            "eval",
            "benchmark",
            "--only",
            one.name,
            "--data",
            options.data,
            "--out",
            options.out,
            "--device",
            options.device,
            *_flags(options),
        ]
        if subprocess.run(command, check=False).returncode:
            failed.append(one.name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def _flags(options: argparse.Namespace) -> list[str]:
    flags = [part for change in options.set for part in ("--set", change)]
    if options.command == "benchmark" and list(options.baselines) != list(BASELINES):
        flags += ["--baselines", *options.baselines]
    return flags + ["--quick"] * options.quick + ["--quiet"] * options.quiet


def _save(name: str, found: dict[str, Any], options: argparse.Namespace) -> None:
    which = (
        ["--only", found["name"]] if options.command == "benchmark" else [found["name"]]
    )
    if options.command == "ablate":
        which += [
            "--only",
            *found["seconds"],
            *found["equal"],
        ]  # what was measured so far
    words = [
        "python",
        "-m",
        "eval",
        options.command,
        *which,
        *[f for f in _flags(options) if f != "--quiet"],
    ]
    file = Path(options.out) / f"{name}.json"
    write({"command": shlex.join(words), **found}, file)
    for task, report in found["tasks"].items():
        for row in report["blocks"][0]["rows"]:
            values = "  ".join(
                f"{m} {row['values'][m]['mean']:.4f}" for m in report["metrics"]
            )
            print(f"{found['name']} {task:10} {row['name']:24} {values}")
    print(f"saved    {file}")
    # Tables are of the project's own results; another folder is somebody's try.
    if file.resolve().parent == RESULTS:
        update()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eval", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "audit",
        help="look for edges that give held-out items away",
        description=leaks.__doc__,
    )
    command.add_argument(
        "graph",
        metavar="GRAPH",
        help="a path, or the address of a Neo4j (neo4j://, bolt://)",
    )
    command.add_argument(
        "--recipe",
        help="a recipe file or a shipped one's name, for its split and tasks (default: "
        "the last of each user where all is timed, else bundles at random)",
    )
    command.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change a value of the recipe",
    )
    command.set_defaults(run=leaks)
    command = commands.add_parser(
        "benchmark",
        help="train and measure on public data sets",
        description=benchmark.__doc__,
    )
    command.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help=f"which of {', '.join(BENCHMARKS)} (default: all)",
    )
    command.add_argument(
        "--baselines",
        nargs="*",
        metavar="NAME",
        default=BASELINES,
        help="which of " + ", ".join(BASELINES) + " (default: all)",
    )
    command.set_defaults(run=benchmark)
    _common(command)
    command = commands.add_parser(
        "ablate",
        help="what each piece of a recipe is worth",
        description=ablation.__doc__,
    )
    command.add_argument("name", metavar="NAME", help="a benchmark")
    command.add_argument(
        "--only",
        nargs="+",
        metavar="VARIANT",
        help=f"which of {', '.join(ABLATIONS)} (default: all)",
    )
    command.set_defaults(run=ablation)
    _common(command)
    command = commands.add_parser(
        "combinations",
        help="build, judge and rank held-out bundles",
        description=whole.combinations.__doc__,
    )
    whole.arguments(command)
    command = commands.add_parser(
        "explanations",
        help="measure a run's explanations",
        description=explanations.__doc__,
    )
    command.add_argument(
        "runs", nargs="+", metavar="RUN", help="run folders, as train.py writes them"
    )
    command.add_argument(
        "--queries",
        type=int,
        default=100,
        help="held-out queries a task (default: 100)",
    )
    command.add_argument(
        "--sufficient",
        type=int,
        default=10,
        help="of how many to measure sufficiency (default: 10)",
    )
    command.add_argument(
        "--seed", type=int, default=0, help="of the draws (default: 0)"
    )
    command.add_argument(
        "--on",
        choices=("test", "valid"),
        default="test",
        help="which held-out events are asked about (default: test); choose by valid",
    )
    command.add_argument(
        "--out",
        default=str(RESULTS),
        metavar="DIR",
        help="where explanations.json goes",
    )
    command.add_argument("--quiet", action="store_true", help="no progress bars")
    command.set_defaults(run=explanations)
    command = commands.add_parser(
        "tables", help="write the documents' tables anew", description=tables.__doc__
    )
    command.set_defaults(run=tables)
    return parser


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data",
        default=os.environ.get("TROUSSEAU_DATA", "data"),
        metavar="DIR",
        help="where the data sets' folders lie (default: TROUSSEAU_DATA, or data)",
    )
    command.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change a value of the recipe",
    )
    command.add_argument(
        "--out",
        default=str(RESULTS),
        metavar="DIR",
        help="where results go (default: the "
        "project's benchmarks/results; the documents' tables are then written, too)",
    )
    command.add_argument(
        "--device", default="auto", help="auto, cpu, cuda or mps (default: auto)"
    )
    command.add_argument(
        "--quick",
        action="store_true",
        help="one epoch, a few hundred queries, one fold: does it run?",
    )
    command.add_argument("--quiet", action="store_true", help="no progress bars")


if __name__ == "__main__":
    sys.exit(main())
