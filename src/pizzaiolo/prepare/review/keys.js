// --- moving ------------------------------------------------------------------------------------

let current = null, looking = null;

const shownCards = () => [...document.querySelectorAll("#sections .card")].filter((c) => c.offsetParent);
const focused = () => (by("loupe").open ? looking : document.activeElement?.closest("#sections .card"));

function focus(target) {
  target.focus({ preventScroll: true });
  target.scrollIntoView({ block: "nearest" });
}

document.addEventListener("focusin", ({ target }) => {
  const found = target.closest("#sections .card");
  if (!found || found === current) return;
  for (const [one, index] of [[current, -1], [found, 0]]) {
    if (!one) continue;
    one.tabIndex = index;
    for (const control of one.querySelectorAll("button, select")) control.tabIndex = index;
  }
  current = found;
});

/** Near the end of what a section shows, more of it is made. */
function growAfter(from) {
  const box = from.closest(".groups") ?? from.closest(".cards");
  const entry = [...box.children].findIndex((child) => child.contains(from));
  if (box.nextElementSibling?.matches(".more") && entry >= box.childElementCount - 12) box.nextElementSibling.click();
}

function step(from, sign) {
  if (!from?.isConnected) {
    return current?.isConnected ? current : shownCards().find((c) => c.getBoundingClientRect().top >= 0) ?? shownCards()[0];
  }
  if (sign > 0) growAfter(from);
  const all = shownCards();
  return all[all.indexOf(from) + sign];
}

/** The card of the next row (or the one before) that is nearest in the other direction. */
function row(from, sign) {
  if (!from?.isConnected) return step(from, sign);
  if (sign > 0) growAfter(from);
  const all = shownCards();
  const here = from.getBoundingClientRect(), middle = here.left + here.width / 2;
  let best = null, edge = null, distance = Infinity;
  for (let i = all.indexOf(from) + sign; all[i]; i += sign) {
    const there = all[i].getBoundingClientRect();
    if (sign * (there.top - here.top) < 8) continue;
    edge ??= there.top;
    if (Math.abs(there.top - edge) > 8) break;
    const away = Math.abs(there.left + there.width / 2 - middle);
    if (away < distance) [best, distance] = [all[i], away];
  }
  return best;
}

function move(target) {
  if (!target) return;
  if (by("loupe").open) look(target, itemOf(target));
  else focus(target);
}

// --- looking closer ----------------------------------------------------------------------------

function look(from, item) {
  looking = from;
  const made = card(item.id, { large: true });
  made.removeAttribute("tabindex");
  const facts = made.querySelector(".facts");
  for (const line of [item.split && `in ${item.split}`, ...(item.more ?? [])].filter(Boolean)) facts.append(element("p", "soft", isolated(line)));
  const walk = element("div", "walk");
  for (const [text, label, sign] of [["←", "previous picture", -1], ["→", "next picture", 1]]) {
    const button = element("button", "", text);
    button.type = "button";
    button.setAttribute("aria-label", label);
    button.onclick = () => move(step(looking, sign));
    walk.append(button);
  }
  const close = element("button", "primary", "Close");
  close.type = "button";
  close.onclick = () => by("loupe").close();
  walk.append(close);
  facts.append(made.querySelector(".choices") ?? "", walk);
  for (const control of made.querySelectorAll("button, select")) control.tabIndex = 0;
  const frame = made.querySelector(".picture");
  const plain = element("div", "picture", ...frame.childNodes);
  frame.replaceWith(plain);
  by("loupe").querySelector(".loupe").replaceChildren(made);
  if (!by("loupe").open) by("loupe").showModal();
  close.focus({ preventScroll: true });
}

by("loupe").addEventListener("close", () => looking?.isConnected && focus(looking));
by("loupe").addEventListener("click", (event) => event.target === by("loupe") && by("loupe").close());

// --- saving ------------------------------------------------------------------------------------

function message(failed, text, command) {
  const box = by("message");
  box.className = failed ? "failed" : "";
  box.replaceChildren(element("p", "", isolated(text)));
  const close = element("button", "", "Close");
  close.type = "button";
  close.onclick = () => { box.hidden = true; };
  if (command) {
    const copy = element("button", "", "Copy the command");
    copy.type = "button";
    copy.onclick = async () => { await navigator.clipboard.writeText(command); copy.textContent = "Copied"; };
    box.append("To apply them:", element("code", "", command), copy, " ");
  }
  box.append(close);
  box.hidden = false;
}

const saved = (lines) => `${many(lines, "decision")} saved`;

async function save() {
  const text = csv(), lines = allLines();
  if (!served) {
    const link = element("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = "decisions.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    message(false, `${saved(lines.length)} as decisions.csv, where your browser puts downloads.`,
      `${data.command} --decisions decisions.csv`);
  } else {
    try {
      const answer = await fetch("decisions.csv", { method: "POST", headers: { "Content-Type": "text/csv" }, body: text });
      const reply = await answer.json();
      if (!answer.ok) return message(true, `Not saved: ${reply.message}`);
      takeLines(lines);
      edits.clear();
      history.length = 0;
      store();
      message(false, `${saved(lines.length)} to ${reply.file}.`, reply.command);
    } catch {
      return message(true, "Not saved: the sheet's server does not answer. Your decisions stay in this browser; start it again.");
    }
  }
  savedText = text;
  showCounts();
}

// --- keys --------------------------------------------------------------------------------------

const KEYS = [
  ["→ j n", "next picture"], ["← k p", "picture before"], ["↓ ↑", "the row below, above"],
  ["y", "keep: it is right as it is"], ["d", "drop"],
  ...CLASSES.slice(0, DIGITS).map((name, i) => [String(i + 1), `relabel to ${human(name)}`]),
  ["r", "relabel to what it looks like"],
  ...(CLASSES.length > FEW ? [["l", "choose from the list of classes"]] : []),
  ["u", "undo"], ["Enter z", "look closer"], ["f", "show what is undecided only"], ["s", "save"], ["?", "these keys"],
];
by("keys").querySelector("dl").append(...KEYS.flatMap(([keys, meaning]) => {
  const term = element("dt");
  for (const key of keys.split(" ")) term.append(element("kbd", "", key), " ");
  return [term, element("dd", "", meaning)];
}));

function toggleFilter() {
  const before = focused();
  onlyOpen = !onlyOpen;
  by("filter").setAttribute("aria-pressed", String(onlyOpen));
  render();
  const again = before && cardsOf(itemOf(before))[0];
  if (again) focus(again);
  say(onlyOpen ? "showing what is undecided" : "showing all");
}

/** Decide by key and go on to the next picture. */
function quick(kind, label) {
  const from = focused();
  if (!from) return say("choose a picture first, with the arrow keys");
  const item = itemOf(from);
  const next = step(from, 1);
  if (kind === "relabel" && !CLASSES.includes(label)) return;
  if (!item.can.includes((kind === "relabel" && label === item.label ? "keep" : kind)[0])) return say("nothing to decide here");
  if (decide(item, kind, label)) move(next);
}

const ACTIONS = {
  ArrowRight: () => move(step(focused(), 1)), j: () => move(step(focused(), 1)), n: () => move(step(focused(), 1)),
  ArrowLeft: () => move(step(focused(), -1)), k: () => move(step(focused(), -1)), p: () => move(step(focused(), -1)),
  ArrowDown: () => move(row(focused(), 1)), ArrowUp: () => move(row(focused(), -1)),
  y: () => quick("keep"), d: () => quick("drop"), u: undo, s: save, f: toggleFilter,
  r: () => focused() && quick("relabel", itemOf(focused()).suggested),
  l: () => (by("loupe").open ? by("loupe") : focused())?.querySelector("select")?.focus(),
  z: () => focused() && look(focused(), itemOf(focused())), Enter: () => focused() && look(focused(), itemOf(focused())),
  "?": () => by("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if ((event.ctrlKey || event.metaKey) && key === "z") return event.preventDefault(), undo();
  if (event.ctrlKey || event.metaKey || event.altKey || by("keys").open) return;
  if (target.matches("select, input, summary") && key !== "Escape") return;
  if (key === "Enter" && target.matches("button, a")) return;
  const digit = /^[1-9]$/.test(key) ? () => quick("relabel", CLASSES[key - 1]) : null;
  const action = digit ?? ACTIONS[key.length === 1 ? key.toLowerCase() : key];
  if (!action) return;
  event.preventDefault();
  action();
});

by("filter").onclick = toggleFilter;
by("undo").onclick = undo;
by("save").onclick = save;
by("help").onclick = () => by("keys").showModal();
new ResizeObserver(() => document.body.style.setProperty("--bar-height", `${by("bar").offsetHeight}px`)).observe(by("bar"));
window.addEventListener("beforeunload", (event) => {
  if (!storable && csv() !== savedText) event.preventDefault();
});

takeLines(served?.decisions ?? data.decisions);
savedText = csv();
restore();
render();
if (served?.fault) message(true, `${served.fault}. Saving replaces the file.`);
