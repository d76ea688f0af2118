// Asks the API. Types are JSDoc, so that an editor checks them and nothing needs to be built.

/** What the API refused, in its own words. */
export class Refused extends Error {
  /** @param {number} status @param {{detail?: string, request_id?: string}} problem */
  constructor(status, problem) {
    super(problem.detail || `the server said ${status}`);
    this.status = status;
    this.id = problem.request_id || "";
  }
}

const KEY = "trousseau-key";
export const key = { get: () => sessionStorage.getItem(KEY) || "", set: (/** @type {string} */ value) => sessionStorage.setItem(KEY, value) };

/**
 * @param {string} path
 * @param {object} [body] asked by POST where there is one, by GET where not
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function ask(path, body, signal) {
  /** @type {Record<string, string>} */
  const headers = { "Content-Type": "application/json" };
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  let answer;
  try {
    answer = await fetch(`/v1/${path}`, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refused(0, { detail: "The server does not answer. Is it running?" });
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, found);
  return found;
}

/**
 * An element: make("li", {class: "card"}, "text", child). What starts with "on" listens.
 * @param {string} name
 * @param {Record<string, any>} [facts]
 * @param {...(Node | string | null | undefined)} inside
 * @returns {any}
 */
export function make(name, facts = {}, ...inside) {
  const svg = ["svg", "circle", "path", "text", "tspan", "rect", "g", "title"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [fact, value] of Object.entries(facts)) {
    if (fact.startsWith("on")) made.addEventListener(fact.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(fact, value === true ? "" : String(value));
  }
  made.append(...inside.filter((one) => one !== null && one !== undefined).map((one) => /** @type {Node | string} */ (one)));
  return made;
}

/** @param {number} share @returns {string} */
export const percent = (share) => `${Math.round(100 * share)}%`;

/** How likely beside the best answer, 0..1: scores are logits, so their difference is a ratio of odds. @param {number | null} score @param {number | null} best */
export const beside = (score, best) => (score === null || best === null ? 0 : Math.min(1, Math.exp(score - best)));

/** A node by name: its title, or its type and id where that is a mere number. @param {{type: string, id: string, title: string}} node */
export function named({ type, id, title }) {
  const bare = !title || (title === id && !/\p{L}/u.test(id));
  return bare ? `${type.replaceAll("_", " ")} ${id}` : title;
}

/** When an edge was: a date where its time can be days since 1970, else as sentences say it. @param {{when?: string, time?: number | null}} edge */
export function moment({ when, time }) {
  if (time === null || time === undefined) return "";
  if (time > 3650 && time < 73000) return new Date(time * 86_400_000).toISOString().slice(0, 10);
  return when ? when.replace(/^in /, "") : `time ${time}`;
}

/** @param {number | null | undefined} value @returns {string} */
export function signed(value) {
  if (value === null || value === undefined) return "?";
  const told = Math.abs(value).toFixed(2);
  return Number(told) ? `${value < 0 ? "−" : "+"}${told}` : told;
}
