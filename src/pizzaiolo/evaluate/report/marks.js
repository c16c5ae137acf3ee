const data = JSON.parse(by("data").textContent);
const FEW = 3, DIGITS = 9; // up to FEW classes each has a button, more are in a list

// --- marks: lines of decisions.csv -------------------------------------------------------------

const STORE = `pizzaiolo report ${data.fingerprint}`;
const items = data.items.map((item, id) => ({ ...item, id, key: keyOf(item.path, item.label) }));
const byKey = new Map(items.map((item) => [item.key, item]));
const carried = []; // what the data set was made with, about other pictures: kept as it is
for (const line of data.lines) {
  const item = byKey.get(keyOf(line[0], line[1]));
  if (item && (!line[2] || line[2] === item.sha256)) base.set(item.key, line);
  else carried.push(line);
}
const may = () => true;
const allLines = () => [...carried, ...items.map(lineOf).filter(Boolean)];

function changed(item) {
  show(item);
  showCount();
  by("spoken").textContent = `${item.path}: ${describe(item) || "no mark"}`;
}

const back = (item) => focus(item.card);

// --- what is shown -----------------------------------------------------------------------------

function describe(item) {
  const target = targetOf(item);
  if (stateOf(item) === "drop") return "dropped";
  if (target === null) return item.now === item.label ? "" : `back to ${human(item.label)}`;
  return target === item.now ? "label is right" : `now ${human(target)}`;
}

function button(item, kind, text, key, label) {
  const made = element("button", kind, text);
  made.type = "button";
  made.dataset.kind = kind;
  made.dataset.label = label ?? "";
  if (key) made.append(element("kbd", "", key));
  made.title = { keep: "the label is right", drop: "the picture does not belong here", relabel: "the label is wrong" }[kind];
  made.onclick = () => decide(item, kind, label);
  return made;
}

const digitOf = (name) => (data.classes.indexOf(name) < DIGITS ? String(data.classes.indexOf(name) + 1) : "");

function choices(item) {
  const others = data.classes.filter((name) => name !== item.now);
  const offered = data.classes.length <= FEW ? others : others.filter((name) => name === item.predicted);
  const made = element("div", "choices", button(item, "keep", "Keep", "y"));
  for (const name of offered) made.append(button(item, "relabel", `→ ${human(name)}`, digitOf(name), name));
  if (data.classes.length > FEW) {
    const list = element("select", "", new Option("→ another class", ""));
    list.setAttribute("aria-label", `relabel ${item.path} to`);
    for (const name of others) list.append(new Option(human(name), name));
    list.onchange = () => list.value && decide(item, "relabel", list.value);
    made.append(list);
  }
  made.append(button(item, "drop", "Drop", "d"));
  return made;
}

function show(item) {
  const state = stateOf(item), target = targetOf(item), words = describe(item);
  const kind = target === null ? state : target === item.now ? "keep" : "relabel";
  item.card.dataset.state = kind;
  item.card.querySelector(".stamp").replaceChildren(...(words ? [isolated(words)] : []));
  for (const made of item.card.querySelectorAll("[data-kind]")) {
    const on = made.dataset.kind === kind && (kind !== "relabel" || made.dataset.label === target);
    made.setAttribute("aria-pressed", String(on));
  }
  const list = item.card.querySelector("select");
  if (list) list.value = kind === "relabel" ? target : "";
}

const seen = new Set(); // galleries in view
const showBar = () => { by("bar").hidden = !seen.size && !edits.size && by("message").hidden; };

function showCount() {
  const marked = items.filter(lineOf).length, lines = allLines().length;
  const earlier = lines - marked ? `, with ${many(lines - marked, "earlier decision")}` : "";
  by("count").textContent = marked ? `${many(marked, "picture")} marked${earlier}` : "Wrong labels? Mark them here.";
  by("undo").disabled = !history.length;
  const fresh = csv() !== savedText;
  by("save").classList.toggle("primary", fresh);
  by("save").disabled = !lines && !fresh;
  by("save").textContent = fresh || !lines ? "Save decisions.csv" : "Saved";
  showBar();
}

function save() {
  const text = csv(), link = element("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = "decisions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  savedText = text;
  const close = element("button", "", "Close");
  close.type = "button";
  close.onclick = () => { by("message").hidden = true; };
  by("message").replaceChildren(
    element("p", "", `${many(allLines().length, "decision")} saved as decisions.csv, where your browser puts downloads. To apply them:`),
    element("code", "", `${data.command} --decisions decisions.csv`), close);
  by("message").hidden = false;
  showCount();
}

// --- keys --------------------------------------------------------------------------------------

const focused = () => items[document.activeElement?.closest(".card[data-item]")?.dataset.item];
function focus(card) {
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
}
function step(sign) {
  const from = focused();
  const next = from ? items[from.id + sign] : items.find((item) => item.card.getBoundingClientRect().bottom > 0);
  if (next) focus(next.card);
}
function quick(kind, label) {
  const item = focused();
  if (!item || (kind === "relabel" && !data.classes.includes(label))) return;
  if (decide(item, kind, label)) step(1);
}
const KEYS = [
  ["→ j n", "next mistake"], ["← k p", "mistake before"], ["y", "keep: the label is right"], ["d", "drop the picture"],
  ...data.classes.slice(0, DIGITS).map((name, i) => [String(i + 1), `relabel to ${human(name)}`]),
  ["r", "relabel to the model's answer"], ["u", "undo"], ["s", "save decisions.csv"], ["?", "these keys"],
];
const [next, before] = [() => step(1), () => step(-1)];
const ACTIONS = {
  ArrowRight: next, j: next, n: next, ArrowLeft: before, k: before, p: before, u: undo, s: save,
  y: () => quick("keep"), d: () => quick("drop"), r: () => quick("relabel", focused()?.predicted),
  "?": () => by("keys").showModal(),
};
document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || by("keys").open || target.matches("select, summary")) return;
  const digit = /^[1-9]$/.test(key) ? () => quick("relabel", data.classes[key - 1]) : null;
  const action = digit ?? ACTIONS[key.length === 1 ? key.toLowerCase() : key];
  if (!action) return;
  if (!focused() && !"jnkp?".includes(key)) return; // elsewhere keys scroll, as everywhere
  event.preventDefault();
  action();
});

for (const item of items) {
  item.card = by(`m${item.id}`);
  item.card.querySelector(".said").append(choices(item));
}
by("keys").querySelector("dl").append(...KEYS.flatMap(([keys, meaning]) => {
  const term = element("dt");
  for (const key of keys.split(" ")) term.append(element("kbd", "", key), " ");
  return [term, element("dd", "", meaning)];
}));
by("undo").onclick = undo;
by("save").onclick = save;
by("help").onclick = () => by("keys").showModal();
window.addEventListener("beforeunload", (event) => { if (!storable && csv() !== savedText) event.preventDefault(); });
savedText = csv();
restore();
items.forEach(show);
showCount();
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) seen[isIntersecting ? "add" : "delete"](target);
  showBar();
}, { rootMargin: "0px 0px -20% 0px" });
document.querySelectorAll("#mistakes .cards").forEach((cards) => watcher.observe(cards));
