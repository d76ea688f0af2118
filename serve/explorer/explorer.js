// The explorer: a query on the left, its answers, and why. All it knows comes from the API that everybody has.
import { ask, beside, key, make, named, percent, Refused } from "/explorer/api.js";
import { reasons } from "/explorer/why.js";

/** @param {string} id @returns {any} */
const by = (id) => document.getElementById(id);
const form = by("ask"), found = by("found"), status = by("status"), notes = by("notes");
/** @type {Map<string, string>} */
const basket = new Map();
/** @type {any} */
let about = null;
/** @type {AbortController | null} */
let asking = null;
/** @type {AbortController | null} */
let explaining = null;
/** @type {any} */
let asked = {};
let waiting = 0;

const mode = () => /** @type {string} */ (new FormData(form).get("mode"));
const money = (/** @type {number | null} */ value) => (value === null || value === undefined ? "price not known" : `Price ${value.toFixed(2)}`);
const titled = (/** @type {any} */ item) => named({ type: about.item_type, ...item });

function show() {
  for (const part of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-for]"))) {
    if (part.id !== "kind-row" || by("kind").options.length > 1) part.hidden = !part.dataset.for?.split(" ").includes(mode());
  }
  by("new-row").hidden = !by("user").value.trim();
  const whole = mode() === "build", budget = Number(by("budget").value);
  by("budget-told").value = budget ? `${budget} ${whole ? "in all" : "an item"}` : "no limit";
  by("count-told").value = by("count").value;
  by("diversity-told").value = Number(by("diversity").value) ? percent(Number(by("diversity").value)) : "as it comes";
  const left = [...basket].map(([id, title]) =>
    make("li", {}, title, make("button", { type: "button", "aria-label": `Take ${title} out of the basket`, onclick: () => put(id) }, "Remove")));
  by("basket").replaceChildren(...(left.length ? left : [make("li", { class: "soft" }, "Empty. Add items from an answer.")]));
}

/** Put an item in the basket, or take it out where there is no title. @param {string} id @param {string} [title] */
function put(id, title) {
  if (title === undefined) basket.delete(id);
  else basket.set(id, title);
  if (title !== undefined && mode() === "search") /** @type {any} */ (document.querySelector("[value=complete]")).checked = true;
  show();
  send();
}

/** The query as the API takes it, or a sentence on what is missing. */
function question() {
  const text = by("text").value.trim() || null, user = by("user").value.trim() || null, items = [...basket.keys()];
  const kind = by("kind").value, budget = Number(by("budget").value), count = Number(by("count").value), diversity = Number(by("diversity").value);
  const within = kind ? { [about.kind]: [kind] } : {};
  const where = { within, exclude_seen: by("new").checked, between: budget && mode() !== "build" ? { price: [null, budget] } : {} };
  if (mode() === "search") return text ? ["search", { text, user, k: count, where }] : "Type what you look for.";
  if (mode() === "recommend") return user ? ["recommend", { user, k: count, where }] : "Name a user, and see what may come next.";
  if (mode() === "complete") return items.length ? ["complete", { items, user, text, k: count, where, diversity }] : "The basket is empty. Search for something, and add it.";
  const slots = by("slots").value.split(",").map((/** @type {string} */ slot) => slot.trim()).filter(Boolean);
  if (!items.length && !user && !text) return "Put something in the basket, name a user, or say what it is for.";
  const size = slots.length ? null : [Math.max(count, items.length + 1), Math.max(count, items.length + 1)];
  return ["build", { items, user, text, plan: { size, slots, budget: budget || null, variety: diversity, where, alternatives: 3 } }];
}

/** @param {Error} error @param {() => void} again */
function problem(error, again) {
  if (error instanceof Refused && error.status === 401) by("key-box").showModal();
  const id = error instanceof Refused && error.id ? make("p", { class: "soft" }, `Request ${error.id}`) : null;
  return make("div", { class: "problem", role: "alert" }, make("p", {}, error.message), id, make("button", { type: "button", onclick: again }, "Try again"));
}

/** What is told of an answer goes with it. */
function unexplain() {
  explaining?.abort();
  by("why").hidden = true;
  by("reasons").replaceChildren();
  document.querySelector("main")?.classList.remove("explains");
}

async function send() {
  asking?.abort();
  unexplain();
  const mine = (asking = new AbortController());
  const made = about ? question() : "Loading …";
  notes.replaceChildren();
  if (typeof made === "string") {
    status.textContent = "";
    found.replaceChildren(make("p", { class: "empty" }, made));
    return;
  }
  const [path, body] = /** @type {[string, any]} */ (made);
  status.textContent = "Asking …";
  found.setAttribute("aria-busy", "true");
  try {
    const began = performance.now(), answer = await ask(path, body, mine.signal);
    const session = path === "build" ? [] : answer.session;
    asked = { user: body.user, text: body.text, items: [...new Set([...session, ...(body.items || [])])], where: (body.plan || body).where };
    const many = (answer.items || answer.combinations).length;
    status.textContent = `${many} ${path === "build" ? "outfits" : "items"} in ${Math.round(performance.now() - began)} ms${session.length ? `; ${session.length} of the user’s latest items were considered` : ""}`;
    const shown = path === "build" ? answer.combinations.map(outfit) : answer.items.map((/** @type {any} */ item, /** @type {number} */ n) => card(item, "li", { rank: n + 1, best: answer.items[0].score }));
    notes.replaceChildren(...answer.notes.map((/** @type {string} */ note) => make("p", {}, note)));
    found.replaceChildren(many ? make("ol", {}, ...shown) : make("p", { class: "empty" }, "Nothing fits. Loosen the kind, the budget, the slots or what is new."));
  } catch (error) {
    if (error instanceof DOMException) return;
    status.textContent = "";
    found.replaceChildren(problem(/** @type {Error} */ (error), send));
  } finally {
    if (mine === asking) found.setAttribute("aria-busy", "false");
  }
}

/** Its rank, and how likely it is beside the best answer. @param {any} item @param {number} rank @param {number | null} best */
function standing(item, rank, best) {
  const bar = make("svg", { class: "standing", viewBox: "0 0 100 6", preserveAspectRatio: "none", role: "img", "aria-label": "how near it comes to the best answer" });
  bar.append(make("title", {}, item.score === null ? "no score" : `score ${item.score.toFixed(2)}`));
  bar.append(make("rect", { class: "all", width: 100, height: 6 }), make("rect", { width: Math.max(2, 100 * beside(item.score, best)), height: 6 }));
  return make("span", {}, `#${rank} `, bar);
}

/** @param {any} item @param {string} name @param {{rank?: number, best?: number | null, weakest?: string, rest?: string[]}} [among] */
function card(item, name, { rank = 0, best = null, weakest = "", rest } = {}) {
  const inside = basket.has(item.id), title = titled(item);
  const facts = make("p", { class: "facts" }, rank ? standing(item, rank, best) : null, item.slot ? make("span", {}, item.slot) : null, item.price === null ? null : make("span", {}, money(item.price)),
    title === item.title ? make("span", {}, `${about.item_type.replaceAll("_", " ")} ${item.id}`) : null,
    weakest === item.id ? make("span", { class: "weak" }, "goes least well") : null, item.kept ? make("span", {}, "from the basket") : null);
  const row = make("div", { class: "row" });
  if (!item.kept) row.append(make("button", { type: "button", "aria-label": `Why ${title}`, onclick: () => explain(item, made, rest) }, "Why?"));
  if (!inside) row.append(make("button", { type: "button", "aria-label": `Add ${title} to the basket`, onclick: () => put(item.id, title) }, "Add"));
  if (asked.user && !item.kept) row.append(make("button", { type: "button", "aria-label": `${asked.user} bought ${title}`, onclick: () => bought(item) }, "Bought it"));
  const made = make(name, { class: "card" }, make("div", { class: "line" }, make("h3", {}, title), row), facts);
  return made;
}

/** @param {any} one @param {number} n */
function outfit(one, n) {
  const take = () => {
    for (const item of one.items) basket.set(item.id, titled(item));
    show();
    status.textContent = "All of it is in the basket.";
  };
  return make("li", { class: "card outfit" },
    make("header", {}, make("h3", {}, `Outfit ${n + 1}`), make("p", {}, one.price === null ? "" : `${money(one.price)} in all`), make("button", { type: "button", onclick: take, "aria-label": `Take outfit ${n + 1}` }, "Take it")),
    ...one.items.map((/** @type {any} */ item) => card(item, "div", { weakest: one.items.length > 1 ? one.weakest : "", rest: one.items.filter((/** @type {any} */ other) => other !== item).map((/** @type {any} */ other) => other.id) })));
}

/** @param {any} item @param {HTMLElement} place @param {string[]} [rest] the other items of its outfit */
async function explain(item, place, rest) {
  explaining?.abort();
  const mine = (explaining = new AbortController());
  document.querySelectorAll(".chosen").forEach((one) => one.classList.remove("chosen"));
  place.classList.add("chosen");
  document.querySelector("main")?.classList.add("explains");
  const why = by("why"), body = by("reasons");
  why.hidden = false;
  body.replaceChildren(make("p", { role: "status" }, `Looking for why ${titled(item)} …`));
  why.focus();
  if (matchMedia("(max-width: 999px)").matches) why.scrollIntoView();
  const items = (rest || asked.items).filter((/** @type {string} */ id) => id !== item.id);
  try {
    const wanted = { item: item.id, user: asked.user, text: asked.text, items, where: asked.where };
    const paths = await ask("explain", { ...wanted, support: false }, mine.signal);
    body.replaceChildren(make("p", { role: "status", class: "soft" }, "Measuring what each path carries …"), ...reasons(paths, about));
    body.replaceChildren(...reasons(await ask("explain", wanted, mine.signal), about));
  } catch (error) {
    if (!(error instanceof DOMException)) body.replaceChildren(problem(/** @type {Error} */ (error), () => explain(item, place, rest)));
  }
}

/** @param {any} item */
async function bought(item) {
  try {
    await ask("events", { events: [{ user: asked.user, item: item.id, kind: "purchase" }] });
    await send();
  } catch (error) {
    status.replaceChildren(problem(/** @type {Error} */ (error), () => bought(item)));
  }
}

async function start() {
  try {
    about = await ask("about");
  } catch (error) {
    found.replaceChildren(problem(/** @type {Error} */ (error), start));
    return;
  }
  by("run").textContent = `${about.items.toLocaleString("en")} items, ${about.users.toLocaleString("en")} users; run ${about.run}`;
  by("users").replaceChildren(...about.example_users.map((/** @type {string} */ user) => make("option", { value: user })));
  by("user").placeholder = about.example_users.length ? `such as ${about.example_users[0]}` : "an anonymous user";
  by("kind-label").textContent = about.kind.charAt(0).toUpperCase() + about.kind.slice(1).replaceAll("_", " ");
  by("kind").append(...about.kinds.map((/** @type {string} */ name) => make("option", { value: name }, name)));
  by("kind-row").hidden = !about.kinds.length;
  by("kinds").replaceChildren(...about.kinds.map((/** @type {string} */ name) => make("option", { value: name })));
  by("budget-row").hidden = !about.prices;
  if (about.prices) by("budget").max = Math.max(10, Math.ceil(about.prices[1] * 8));
  show();
  send();
}

const later = () => {
  clearTimeout(waiting);
  waiting = window.setTimeout(send, 350);
};
form.addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  send();
});
form.addEventListener("input", (/** @type {Event} */ event) => {
  show();
  if (event.target !== by("text")) later();
});
by("key-open").addEventListener("click", () => by("key-box").showModal());
by("key-box").addEventListener("close", () => {
  if (by("key-box").returnValue === "use") {
    key.set(by("key").value.trim());
    start();
  }
  by("key").value = "";
});
start();
