// Why an item is in an answer: its paths as a graph, what each carries, sentences and Cypher.
import { make, named, percent, signed } from "/explorer/api.js";
import { colour, picture } from "/explorer/picture.js";

/** @param {string} name @param {number | null} lost @param {number} most */
function bar(name, lost, most) {
  const share = Math.min(1, Math.abs(lost ?? 0) / most);
  const drawn = make("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" });
  drawn.append(make("rect", { width: 100 * share, height: 6, class: (lost ?? 0) < 0 ? "less" : null }));
  return make("tr", {}, make("th", { scope: "row" }, name), make("td", { class: "bar" }, drawn), make("td", { class: "number" }, signed(lost)));
}

/** @param {any} path @param {number} number */
function told(path, number) {
  const carries = path.support
    ? `Without it the score changes by ${signed(-path.support.lost)} (counts ${signed(-path.support.counted)}, vectors ${signed(-path.support.vectors)})${path.support.rank ? `, ${path.support.rank > 0 ? "down" : "up"} ${Math.abs(path.support.rank)} ${Math.abs(path.support.rank) > 1 ? "places" : "place"}` : ""}.`
    : "";
  const copied = make("span", { role: "status", class: "soft" });
  const copy = async () => {
    await navigator.clipboard.writeText(path.cypher).then(() => (copied.textContent = "copied"), () => (copied.textContent = "select it and copy"));
  };
  return make("li", { class: "path" },
    make("p", {}, `${number}. ${path.sentence}`),
    carries ? make("p", { class: "soft" }, carries) : null,
    make("details", {}, make("summary", {}, `Cypher of path ${number}`), make("pre", { tabindex: 0 }, path.cypher),
      make("div", { class: "row" }, make("button", { type: "button", onclick: copy }, "Copy"), copied)));
}

/** @param {any} why an answer of /v1/explain @param {any} about @returns {Node[]} */
export function reasons(why, about) {
  const parts = Object.entries(why.parts).sort((a, b) => b[1] - a[1]);
  const most = Math.max(...parts.map(([, lost]) => Math.abs(lost)), 1e-9);
  const kinds = [...new Set(why.paths.flatMap((/** @type {any} */ path) => path.nodes.map((/** @type {any} */ node) => node.type)))];
  const legend = kinds.map((type) => {
    const dot = make("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" });
    dot.append(make("circle", { cx: 5, cy: 5, r: 5, class: colour(type, about) }));
    return make("span", {}, dot, ` ${type}`);
  });
  const words = why.words.slice(0, 6).map((/** @type {any} */ word) => `${word.word} (${word.where}’s, ${signed(word.lost)})`);
  return [
    make("h3", {}, named(why.item)),
    make("p", { class: "facts" }, make("span", { title: why.score === null ? "no score" : `score ${why.score.toFixed(2)}` }, `Rank ${why.rank}`)),
    ...(parts.length ? [make("h3", {}, "What carries the score"), make("p", { class: "soft" }, "What it loses without each:"), make("table", {}, make("tbody", {}, ...parts.map(([name, lost]) => bar(name, lost, most))))] : []),
    ...why.notes.map((/** @type {string} */ note) => make("p", {}, note)),
    ...(why.paths.length ? [picture(why.paths, about), make("p", { class: "legend" }, ...legend), make("ol", {}, ...why.paths.map((/** @type {any} */ path, /** @type {number} */ n) => told(path, n + 1)))]
      : [make("p", { class: "empty" }, "No path in the graph leads from this query to the item.")]),
    ...(words.length ? [make("p", { class: "soft" }, `Words: ${words.join(", ")}`)] : []),
    make("p", { class: "soft" }, `Its vector: ${percent(why.text_weight)} from words, ${percent(1 - why.text_weight)} from the graph.`),
  ];
}
