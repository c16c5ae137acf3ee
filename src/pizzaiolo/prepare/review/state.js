const read = (id) => JSON.parse(by(id).textContent);
const data = read("data"), served = read("served");
const CLASSES = data.classes.map((c) => c.name);
const FEW = 3; // up to so many classes each has its own button, more are in a list
const DIGITS = 9;
const CHUNK = { groups: 12, cards: 60 };
const percent = (share) => `${Math.round(100 * share)} %`;

// --- decisions ---------------------------------------------------------------------------------

const STORE = `pizzaiolo review ${data.fingerprint}`;
const items = data.items.map((item, id) => ({ ...item, id, key: keyOf(item.path, item.label) }));
const byKey = new Map([...items].reverse().map((item) => [item.key, item]));
const carried = new Map(); // lines about pictures that are not on this page: kept as they are
const may = (item, kind = "") => Boolean(item.can && item.can.includes(kind.slice(0, 1)));

function takeLines(lines) {
  base.clear();
  carried.clear();
  for (const line of lines) {
    const [path, label, sha256] = line;
    const item = byKey.get(keyOf(path, label));
    const ours = item?.can && (!sha256 || sha256 === (item.sha256 ?? ""));
    (ours ? base : carried).set(keyOf(path, label), line);
  }
}

/** All decisions as lines of decisions.csv: what is not on this page first, then as in the manifest. */
function allLines() {
  const keys = new Set([...base.keys(), ...edits.keys()].filter((key) => lineOf({ key })));
  const own = [...keys].sort((a, b) => byKey.get(a).row - byKey.get(b).row).map((key) => lineOf({ key }));
  const others = [...carried].filter(([key]) => !keys.has(key)).map(([, line]) => line);
  return [...others, ...own];
}

function changed(item) {
  for (const card of cardsOf(item)) showState(card, item);
  for (const mate of mates.get(item.id) ?? []) for (const card of cardsOf(mate)) showState(card, mate);
  say(`${item.path}: ${describe(item) || "no decision"}`);
  showCounts();
}

function back(item) {
  const shown = cardsOf(item).find((c) => !c.closest("dialog"));
  if (by("loupe").open) look(shown ?? looking, item);
  else if (shown) focus(shown);
}

function describe(item) {
  const target = targetOf(item);
  if (stateOf(item) === "drop") return "dropped";
  if (stateOf(item) === "keep") return item.kept && target === item.now ? "kept" : `kept as ${human(target)}`;
  if (stateOf(item) === "relabel") return `now ${human(target)}`;
  if (settledBy(item)) return "stays out";
  if (item.reason === "dropped" && item.can) return "comes back";
  return item.kept && item.now !== item.label ? `back to ${human(item.label)}` : "";
}

// --- what still has to be looked at ------------------------------------------------------------

const mates = new Map(); // of a conflict: when one is right, the others are settled
for (const group of data.sections.conflicts.groups) {
  for (const id of group.items) mates.set(id, group.items.filter((i) => i !== id).map((i) => items[i]));
}
const settledBy = (item) => (mates.get(item.id) ?? []).some((mate) => targetOf(mate) !== null);
const isOpen = (item) => Boolean(item.can) && !stateOf(item) && !settledBy(item);
const flaggedIn = { // groups of pictures that are one thing to decide
  conflicts: data.sections.conflicts.groups.map((g) => g.items),
  suspects: data.sections.suspects.items.map((id) => [id]),
  outliers: data.sections.outliers.items.map((id) => [id]),
};
const flagged = [...new Set(Object.values(flaggedIn).flat(2))].map((id) => items[id]);
const openIn = (parts) => parts.filter((ids) => ids.some((id) => isOpen(items[id]))).length;

function showCounts() {
  const lines = allLines();
  const counts = { keep: 0, drop: 0, relabel: 0 };
  for (const line of lines) counts[line[3]] += 1;
  const kinds = Object.entries(counts).filter(([, n]) => n).map(([kind, n]) => `${n} ${kind}`);
  const left = flagged.filter(isOpen).length;
  const decided = lines.length ? `${many(lines.length, "decision")}: ${kinds.join(", ")}` : "No decisions yet";
  by("count").textContent = flagged.length
    ? `${decided} · ${left ? `${left} of ${flagged.length} flagged pictures left` : "all flagged pictures decided"}`
    : decided;
  by("done").max = flagged.length || 1;
  by("done").value = flagged.length ? flagged.length - left : 1;
  by("undo").disabled = !history.length;
  const fresh = csv() !== savedText;
  by("save").classList.toggle("primary", fresh);
  by("save").textContent = fresh || !lines.length ? "Save" : "Saved";
  for (const [id, parts] of Object.entries(flaggedIn)) {
    const open = openIn(parts), chip = document.querySelector(`#chips [href="#${id}"] .left`);
    if (chip) chip.textContent = open && open < parts.length ? ` · ${open} left` : open || !parts.length ? "" : " ✓";
  }
  showBalance();
}

const say = (text) => { by("said").textContent = text; };
