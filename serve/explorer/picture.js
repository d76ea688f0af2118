// The paths of an explanation as a graph, from top to bottom, so that all of it fits a phone.
import { make, moment, named } from "/explorer/api.js";

const LANE = 120, ROW = 112, TOP = 20, LETTER = 7, LINE = 13, COLOURS = 5;
/** Where a label may stand on its edge, as a share of the way. */
const STEPS = Array.from({ length: 39 }, (_, n) => 0.12 + 0.02 * n);

/** How wide a text is, in letters; Chinese ones count twice. @param {string} text */
const wide = (text) => [...text].reduce((sum, letter) => sum + (letter > "⺀" ? 2 : 1), 0);

/** @param {string} text @param {number} most */
function short(text, most) {
  const letters = [...text];
  if (wide(text) <= most) return text;
  while (letters.length && wide(letters.join("")) >= most) letters.pop();
  return `${letters.join("").trimEnd()}…`;
}

/** A text in at most two lines. @param {string} text @param {number} most */
function folded(text, most) {
  const words = text.split(" ");
  let first = words.shift() || "";
  if (wide(first) > most) return [short(text, most)];
  while (words.length && wide(`${first} ${words[0]}`) <= most) first += ` ${words.shift()}`;
  return words.length ? [first, short(words.join(" "), most)] : [first];
}

/** A rectangle in the picture. @typedef {{left: number, right: number, top: number, bottom: number}} Box */

/** Where lines of text would stand, the first on a base line. @param {number} x @param {number} y @param {string[]} lines @returns {Box} */
function box(x, y, lines) {
  const half = (LETTER * Math.max(...lines.map(wide))) / 2;
  return { left: x - half, right: x + half, top: y - 10, bottom: y + 4 + LINE * (lines.length - 1) };
}

/** The area that two boxes share. @param {Box} a @param {Box} b */
function shared(a, b) {
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left), height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  return width > 0 && height > 0 ? width * height : 0;
}

/** A point of the curve of an edge, which leaves and arrives downwards. @param {number[]} from @param {number[]} to @param {number} bend @param {number} t */
function along([x, y], [u, v], bend, t) {
  const a = (1 - t) ** 3 + 3 * t * (1 - t) ** 2, middle = 3 * t * (1 - t);
  return [a * x + (1 - a) * u, (1 - t) ** 3 * y + middle * bend + t ** 3 * v];
}

/** The class of a node type's dots, the same in every picture of a graph. @param {string} type @param {any} about */
export function colour(type, about) {
  const roles = new Map([[about.item_type, "item"], [about.user_type, "user"], [about.bundle_type, "bundle"]]);
  if (roles.has(type)) return `kind-${roles.get(type)}`;
  const place = about.types.filter((/** @type {string} */ one) => !roles.has(one)).indexOf(type);
  return `kind-${place % COLOURS}${place < COLOURS ? "" : " ringed"}`;
}

/** A lane each, equal nodes once: in the first of their lanes, or amid all where all paths are there at once. */
export function picture(/** @type {any[]} */ paths, /** @type {any} */ about) {
  const most = Math.max(...paths.map((path) => Math.abs(path.support?.lost ?? 0)), 1e-9);
  const depth = Math.max(...paths.map((path) => path.nodes.length)) - 1;
  const width = LANE * Math.max(3, paths.length), lane = width / paths.length, height = TOP + ROW * depth + 50;
  const name = (/** @type {any} */ node) => `${node.type} ${node.id}`;
  /** @type {Map<string, {node: any, lanes: number[], rows: number[]}>} */
  const places = new Map();
  paths.forEach((path, n) =>
    path.nodes.forEach((/** @type {any} */ node, /** @type {number} */ step) => {
      const place = places.get(name(node)) || { node, lanes: [], rows: [] };
      place.lanes.push(n);
      place.rows.push(step ? depth - (path.nodes.length - 1 - step) : 0);
      places.set(name(node), place);
    }),
  );
  const at = (/** @type {any} */ node) => {
    const { lanes, rows } = /** @type {any} */ (places.get(name(node)));
    const amid = lanes.length === paths.length && new Set(rows).size === 1;
    return [amid ? width / 2 : lane * (lanes[0] + 0.5), TOP + ROW * rows[0]];
  };
  /** @type {Map<string, {edge: any, from: any, to: any, n: number, share: number}>} */
  const edges = new Map();
  paths.forEach((path, n) => {
    const share = Math.abs(path.support?.lost ?? 0) / most;
    path.edges.forEach((/** @type {any} */ edge, /** @type {number} */ step) => {
      const [from, to] = [path.nodes[step], path.nodes[step + 1]], key = `${edge.relation} ${name(from)} ${name(to)}`;
      const known = edges.get(key) || { edge, from, to, n, share };
      edges.set(key, { ...known, share: Math.max(known.share, share) });
    });
  });
  const captions = new Map([...places].map(([key, { node }]) => [key, folded(named(node), Math.floor((lane - 4) / LETTER))]));
  /** @type {Box[]} what no label may lie on */
  const taken = [...places].flatMap(([key, { node }]) => {
    const [x, y] = at(node);
    return [{ left: x - 15, right: x + 15, top: y - 15, bottom: y + 15 }, box(x, y + 27, captions.get(key) || [])];
  });
  const lines = [], labels = [];
  for (const { edge, from, to, n, share } of edges.values()) {
    const start = at(from), end = at(to), [x, y] = start, [u, v] = end, own = lane * (n + 0.5);
    const bend = y + (u === own ? 0.1 : 0.9) * (v - y), ideal = u === own ? 0.82 : 0.32; // it keeps to its own lane
    const line = make("path", { class: share > 0.2 ? "edge strong" : "edge", d: `M${x} ${y}C${x} ${bend} ${u} ${bend} ${u} ${v}`, "stroke-width": 1.5 + 5 * share });
    const when = moment(edge);
    line.append(make("title", {}, `${edge.relation}${when ? ` ${when}` : ""}${edge.now ? ` (${edge.now})` : ""}`));
    lines.push(line);
    const text = [(edge.back ? "↑ " : "") + short(edge.relation.replaceAll("_", " "), 14) + (edge.back ? "" : " ↓"), ...(when ? [short(when, 16)] : [])];
    const spots = STEPS.map((t) => {
      const [left, top] = along(start, end, bend, t), place = { x: left, y: top + 4 - (LINE / 2) * (text.length - 1) };
      const own = box(place.x, place.y, text);
      return { place, own, cost: taken.reduce((sum, other) => sum + shared(own, other), 0) + Math.abs(t - ideal) };
    });
    const { place, own: covered } = spots.reduce((best, spot) => (spot.cost < best.cost ? spot : best));
    taken.push(covered);
    const label = make("text", { class: "label" });
    text.forEach((part, row) => label.append(make("tspan", { class: row ? "when" : null, x: place.x, y: place.y + LINE * row }, part)));
    labels.push(label);
  }
  const dots = [...places].map(([key, { node }]) => {
    const [x, y] = at(node);
    const dot = make("g", {}, make("title", {}, `${node.type} ${node.id}: ${node.title}`));
    dot.append(make("circle", { class: colour(node.type, about), cx: x, cy: y, r: 13 }));
    captions.get(key)?.forEach((text, n) => dot.append(make("text", { x, y: y + 27 + LINE * n }, text)));
    return dot;
  });
  const told = `${paths.length} paths: ${paths.map((path) => path.sentence).join(" ")}`;
  const drawn = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": told });
  drawn.append(...lines, ...labels, ...dots);
  return make("div", { class: "picture" }, drawn);
}
