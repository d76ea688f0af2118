"""The generated documents: no figure is typed by hand.

Between their markers README.md, docs/benchmarks/index.md, bundles.md and explanations.md; wholly
the page of each data set.
"""

from __future__ import annotations

import json
from pathlib import Path

from eval.bench.bundle_tables import bundles
from eval.bench.dataset_pages import dataset_page
from eval.bench.datasets import BENCHMARKS
from eval.bench.explanation_tables import explained
from eval.bench.markdown import Result
from eval.bench.overview import overview, representative
from kg.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = "docs/benchmarks/"
BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
_ABLATION = "-ablation"


def read_results(folder: Path) -> tuple[list[Result], list[Result]]:
    """The benchmarks' and the ablations' results, in the benchmarks' order, without quick runs."""
    found = {
        f.stem: json.loads(f.read_text(encoding="utf-8"))
        for f in sorted(folder.glob("*.json"))
    }
    order = {name: place for place, name in enumerate(BENCHMARKS)}
    names = sorted(
        (n for n in found if not found[n].get("quick", True)),
        key=lambda n: order.get(found[n]["name"], len(order)),
    )
    results = [found[n] for n in names if not n.endswith(_ABLATION)]
    return results, [found[n] for n in names if n.endswith(_ABLATION)]


def sections(folder: Path) -> dict[str, str]:
    """What stands between the markers of each document, by its path."""
    results, _ = read_results(folder)
    return {
        "README.md": representative(results, PAGES),
        f"{PAGES}index.md": overview(results),
        f"{PAGES}bundles.md": bundles(folder),
        f"{PAGES}explanations.md": explained(folder),
    }


def pages(folder: Path) -> dict[str, str]:
    """The whole pages of the data sets, by their paths."""
    results, ablations = read_results(folder)
    measured = {result["name"]: result for result in results}
    ablated = {result["name"]: result for result in ablations}
    written = {}
    for name in measured | ablated:
        result, ablation = measured.get(name), ablated.get(name)
        title = (measured | ablated)[name]["title"]
        written[f"{PAGES}{name}.md"] = dataset_page(title, result, ablation)
    return written


def update(folder: Path = RESULTS, root: Path = ROOT) -> list[Path]:
    """Write the sections and the pages.

    Returns:
        The documents that changed.

    Raises:
        InputError: A document has no markers.
    """
    written = pages(folder)
    for name, text in sections(folder).items():
        before = (root / name).read_text(encoding="utf-8")
        written[name] = between(before, text, name)
    changed = []
    for name, text in written.items():
        file = root / name
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            changed.append(file)
    return changed


def between(document: str, text: str, name: str) -> str:
    """The document with the text between its markers.

    Raises:
        InputError: It does not have each marker once, in order.
    """
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in tail or END in tail:
        raise InputError(f"{name}: wanted {BEGIN} and {END}, once each")
    return f"{head}{BEGIN}\n\n{text.strip()}\n\n{END}{tail}"
