// What a person decides about pictures, as lines of decisions.csv; until it is saved the browser
// keeps it. The page gives `data`, `STORE` (the name it is kept by), `byKey` (its pictures),
// `may(item, kind)`, `allLines()`, `changed(item)`, and `back(item)`, which goes to what was undone.

const by = (id) => document.getElementById(id);
const element = (tag, className, ...content) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content.filter((part) => part !== undefined && part !== null));
  return made;
};
/** Text in which a name's direction marks turn nothing around it; long paths may break. */
const isolated = (text) => {
  const made = element("bdi");
  made.dir = "auto";
  for (const part of text.split(/(?<=[/_-])/)) made.append(part, element("wbr"));
  return made;
};
const human = (name) => {
  const words = name.replaceAll("_", " ").trim();
  return words ? words[0].toUpperCase() + words.slice(1) : name;
};
const many = (n, one, several = one + "s") => `${n.toLocaleString("en")} ${n === 1 ? one : several}`;

const keyOf = (path, label) => JSON.stringify([path, label]);
const base = new Map(); // lines that are saved already, by the pictures' keys
const edits = new Map(); // what was decided since; null takes a saved line back
const history = [];
let savedText = "", storable = true;

const lineOf = (item) => (edits.has(item.key) ? edits.get(item.key) : base.get(item.key)) ?? null;
const stateOf = (item) => lineOf(item)?.[3] ?? "";
const targetOf = (item) => {
  const line = lineOf(item);
  return line === null ? null : { keep: item.label, relabel: line[4] }[line[3]] ?? null;
};

const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const csv = () => [data.columns, ...allLines()].map((line) => line.map(cell).join(",") + "\r\n").join("");

/** Decide about a picture; the decision that it has already is taken back. */
function decide(item, kind, label) {
  if (kind === "keep" && item.now !== item.label) [kind, label] = ["relabel", item.now];
  if (kind === "relabel" && label === item.label) kind = "keep";
  if (!may(item, kind)) return false;
  const line = [item.path, item.label, item.sha256 ?? "", kind, kind === "relabel" ? label : ""];
  const now = lineOf(item);
  const same = now !== null && now[3] === line[3] && now[4] === line[4];
  history.push([item, edits.get(item.key)]);
  settle(item, same ? null : line);
  return !same;
}

function settle(item, line) {
  if (JSON.stringify(line) === JSON.stringify(base.get(item.key) ?? null)) edits.delete(item.key);
  else edits.set(item.key, line);
  store();
  changed(item);
}

function undo() {
  const last = history.pop();
  if (!last) return;
  const [item, before] = last;
  settle(item, before === undefined ? base.get(item.key) ?? null : before);
  back(item);
}

function store() {
  try {
    if (edits.size) localStorage.setItem(STORE, JSON.stringify([...edits]));
    else localStorage.removeItem(STORE);
  } catch {
    storable = false;
  }
}

function restore() {
  try {
    for (const [key, line] of JSON.parse(localStorage.getItem(STORE) ?? "[]")) {
      const item = byKey.get(key);
      if (item && may(item) && (line === null || line[2] === (item.sha256 ?? ""))) edits.set(key, line);
    }
  } catch {
    storable = false;
  }
}
