// Why an item is in an answer: its paths as a graph, what each carries, sentences and Cypher.
import { make, percent, signed } from "/explorer/api.js";

const WIDTH = 720, LANE = 92, EDGE = 90;

/** @param {string} text @param {number} most */
const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** @param {string} type @param {any} about */
function kind(type, about) {
  if (type === about.item_type) return "item";
  if (type === about.user_type) return "user";
  return type === about.bundle_type ? "bundle" : "other";
}

/** Paths from left to right, a lane each; equal nodes once, in the first of their lanes, and the item amid all. */
function picture(/** @type {any[]} */ paths, /** @type {any} */ about) {
  const most = Math.max(...paths.map((path) => Math.abs(path.support?.lost ?? 0)), 1e-9);
  const height = Math.max(1, paths.length) * LANE + 30;
  /** @type {Map<string, {x: number, ys: number[], node: any}>} */
  const places = new Map();
  paths.forEach((path, lane) =>
    path.nodes.forEach((/** @type {any} */ node, /** @type {number} */ step) => {
      const name = `${node.type} ${node.id}`;
      const x = EDGE + ((WIDTH - 2 * EDGE) * step) / (path.nodes.length - 1);
      const place = places.get(name) || { x, ys: [], node };
      place.ys.push(lane * LANE + LANE / 2 + 5);
      places.set(name, place);
    }),
  );
  const at = (/** @type {any} */ node) => {
    const place = /** @type {any} */ (places.get(`${node.type} ${node.id}`));
    return [place.x, place.x === WIDTH - EDGE ? place.ys.reduce((/** @type {number} */ a, /** @type {number} */ b) => a + b, 0) / place.ys.length : place.ys[0]];
  };
  const lines = [], labels = [];
  for (const path of paths) {
    const share = Math.abs(path.support?.lost ?? 0) / most;
    path.edges.forEach((/** @type {any} */ edge, /** @type {number} */ n) => {
      const [x, y] = at(path.nodes[n]), [u, v] = at(path.nodes[n + 1]);
      const mid = (x + u) / 2;
      const line = make("path", { class: share > 0.2 ? "edge strong" : "edge", d: `M${x} ${y}C${mid} ${y} ${mid} ${v} ${u} ${v}`, "stroke-width": 1.5 + 6 * share });
      line.append(make("title", {}, `${edge.relation}${edge.now ? ` (${edge.now})` : ""}`));
      lines.push(line);
      labels.push(make("text", { class: "label", x: mid, y: (y + v) / 2 - 6 }, (edge.back ? "← " : "") + short(edge.relation.replaceAll("_", " "), 16) + (edge.back ? "" : " →")));
    });
  }
  const dots = [...places.values()].map((place) => {
    const [x, y] = at(place.node);
    const dot = make("g", {}, make("title", {}, `${place.node.type} ${place.node.id}: ${place.node.title}`));
    dot.append(make("circle", { class: `kind-${kind(place.node.type, about)}`, cx: x, cy: y, r: 13 }));
    dot.append(make("text", { x, y: y + 30 }, short(place.node.title, 22)));
    return dot;
  });
  const told = `${paths.length} paths: ${paths.map((path) => path.sentence).join(" ")}`;
  const drawn = make("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": told });
  drawn.append(...lines, ...labels, ...dots);
  return make("div", { class: "picture", tabindex: 0, role: "group", "aria-label": "The paths as a graph; scroll sideways" }, drawn);
}

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
    ? `Without it the score changes by ${signed(-path.support.lost)} (counts ${signed(-path.support.counted)}, vectors ${signed(-path.support.vectors)})${path.support.rank ? `, ${path.support.rank > 0 ? "down" : "up"} ${Math.abs(path.support.rank)} places` : ""}.`
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
    dot.append(make("circle", { cx: 5, cy: 5, r: 5, class: `kind-${kind(type, about)}` }));
    return make("span", {}, dot, ` ${type}`);
  });
  const words = why.words.slice(0, 6).map((/** @type {any} */ word) => `${word.word} (${word.where}’s, ${signed(word.lost)})`);
  return [
    make("h3", {}, why.item.title),
    make("p", { class: "facts" }, make("span", {}, `place ${why.rank}`), make("span", {}, `score ${why.score === null ? "?" : why.score.toFixed(2)}`)),
    ...(parts.length ? [make("h3", {}, "What carries the score"), make("p", { class: "soft" }, "What it loses without each:"), make("table", {}, make("tbody", {}, ...parts.map(([name, lost]) => bar(name, lost, most))))] : []),
    ...why.notes.map((/** @type {string} */ note) => make("p", {}, note)),
    ...(why.paths.length ? [picture(why.paths, about), make("p", { class: "legend" }, ...legend), make("ol", {}, ...why.paths.map((/** @type {any} */ path, /** @type {number} */ n) => told(path, n + 1)))]
      : [make("p", { class: "empty" }, "No path in the graph leads from this ask to the item.")]),
    ...(words.length ? [make("p", { class: "soft" }, `Words: ${words.join(", ")}`)] : []),
    make("p", { class: "soft" }, `Its vector: ${percent(why.language)} from words, ${percent(1 - why.language)} from the graph.`),
  ];
}
