// --- cards -------------------------------------------------------------------------------------

const cardsOf = (item) => [...document.querySelectorAll(`.card[data-item="${item.id}"]`)];
const itemOf = (card) => items[Number(card.dataset.item)];
const address = (file) => file.split("/").map(encodeURIComponent).join("/");

// Only the server can take a picture out of a shard; no other file's name holds a "#".
const reachable = (file) => file && (location.protocol !== "file:" || !file.includes("#"));

function picture(item) {
  const source = reachable(item.file) ? address(item.file) : item.thumb;
  if (!source) return element("span", "none", "no picture");
  const image = element("img");
  image.loading = "lazy";
  image.decoding = "async";
  image.alt = item.path;
  image.onerror = () => image.replaceWith(element("span", "none", "no picture"));
  image.src = source;
  return image;
}

function tag(kind, words, name, large) {
  const made = element("span", `tag ${kind}`);
  if (large) made.append(element("small", "", words));
  made.append(isolated(human(name)));
  if (!large) made.title = words;
  return made;
}

function labels(item, large) {
  const made = element("p", "labels", tag("given", item.kept ? "labelled" : "was labelled", item.now, large));
  if (item.suggested) {
    const sure = item.suspect === undefined ? "" : `, ${percent(item.suspect)}`;
    if (!large) made.append("→");
    made.append(tag("looks", `looks like${sure}`, item.suggested, large));
  }
  return made;
}

function choice(item, kind, text, key, label) {
  const button = element("button", kind, text);
  button.type = "button";
  button.dataset.kind = kind;
  if (label !== undefined) button.dataset.label = label;
  if (key) button.append(element("kbd", "", key));
  button.onclick = () => decide(item, kind, label);
  return button;
}

const digitOf = (name) => (CLASSES.indexOf(name) < DIGITS ? String(CLASSES.indexOf(name) + 1) : "");

function choices(item) {
  const made = element("div", "choices");
  if (item.can.includes("k")) made.append(choice(item, "keep", "Keep", "y"));
  if (item.can.includes("d")) made.append(choice(item, "drop", "Drop", "d"));
  if (item.can.includes("r")) {
    const others = CLASSES.filter((name) => name !== item.now);
    const offered = CLASSES.length <= FEW ? others : others.filter((name) => name === item.suggested);
    for (const name of offered) made.append(choice(item, "relabel", `→ ${human(name)}`, digitOf(name), name));
    if (CLASSES.length > FEW) made.append(chooser(item, others));
  }
  return made;
}

function chooser(item, names) {
  const made = element("select");
  made.setAttribute("aria-label", `relabel ${item.path} to`);
  made.append(new Option("→ another class", ""));
  for (const name of names) made.append(new Option(human(name), name));
  made.onchange = () => made.value && decide(item, "relabel", made.value);
  return made;
}

const factsOf = (item, leak) => [
  leak ? item.split : "",
  item.suspect !== undefined && !item.suggested ? `suspect, ${percent(item.suspect)}` : "",
  item.outlier !== undefined ? `unlike the others, ${percent(item.outlier)}` : "",
  item.reason === "conflict" ? "" : item.detail ?? "",
  item.of && !item.kept && item.reason !== "conflict" ? `copy of ${item.of}` : "",
  item.quality?.map((name) => human(name).toLowerCase()).join(", ") ?? "",
].filter(Boolean);

function card(id, { large = false, withChoices = true, leak = false } = {}) {
  const item = items[id];
  const made = element("article", item.can ? "card" : "card fixed");
  made.dataset.item = id;
  made.tabIndex = -1;
  const frame = element("button", "picture", picture(item), element("span", "stamp"));
  frame.type = "button";
  frame.setAttribute("aria-label", `look closer at ${item.path}`);
  frame.onclick = () => look(made, item);
  const facts = element("div", "facts", labels(item, large));
  const more = factsOf(item, leak);
  if (more.length) facts.append(element("p", "", isolated(more.join(" · "))));
  facts.append(element("p", "name", isolated(item.path)));
  if (withChoices && item.can) facts.append(choices(item));
  made.append(frame, facts);
  for (const control of made.querySelectorAll("button, select")) control.tabIndex = -1;
  showState(made, item);
  return made;
}

function showState(made, item) {
  const words = describe(item), target = targetOf(item);
  made.dataset.state = stateOf(item);
  const stamp = made.querySelector(".stamp");
  stamp.replaceChildren(...(words ? [isolated(words)] : []));
  const looks = item.suggested ? `, looks like ${human(item.suggested)}` : "";
  made.setAttribute("aria-label", `${item.path}, labelled ${human(item.now)}${looks}${words ? `: ${words}` : ""}`);
  for (const button of made.querySelectorAll("[data-kind]")) {
    const { kind, label } = button.dataset;
    const on = kind === "drop" ? stateOf(item) === "drop" : target !== null && target === (label ?? item.now);
    button.setAttribute("aria-pressed", String(on));
  }
  const list = made.querySelector("select");
  if (list) list.value = [...list.options].some((o) => o.value === target) ? target : "";
}

// --- sections ----------------------------------------------------------------------------------

let onlyOpen = false;

/** Parts are made when their end comes near from below, never above what a person jumped to. */
const watcher = new IntersectionObserver((seen) => {
  for (const { isIntersecting, target } of seen) if (isIntersecting) target.click();
}, { rootMargin: "-180px 0px 600px 0px" });

/** Fill a box with what `make` makes of the entries, a part at a time. */
function fill(box, entries, make, chunk, rest) {
  let done = 0;
  const button = element("button", "more", "Show more");
  button.type = "button";
  const grow = () => {
    const next = entries.slice(done, done + chunk);
    done += next.length;
    button.remove();
    box.append(...next.map(make));
    if (done < entries.length) {
      box.after(button);
      watcher.observe(button);
    } else if (rest) box.after(element("p", "soft", rest));
  };
  button.onclick = () => { watcher.unobserve(button); grow(); };
  if (entries.length) grow();
  else box.after(element("p", "soft", onlyOpen ? "Nothing left to decide here." : "None."));
}

function section(id, title, count, text) {
  const made = element("section");
  made.id = id;
  const heading = element("h2", "", title, " ", element("span", "n", count.toLocaleString("en")));
  heading.id = `${id}-title`;
  made.setAttribute("aria-labelledby", heading.id);
  made.append(heading);
  if (text) made.append(element("p", "soft", text));
  by("sections").append(made);
  return made;
}

const wanted = (ids) => (onlyOpen ? ids.filter((id) => isOpen(items[id])) : ids);
const restOf = (part) => (part.more ? `and ${part.more.toLocaleString("en")} more: manifest.parquet has them all` : "");

function cardSection(id, title, text, large) {
  const part = data.sections[id];
  const box = element("div", large ? "cards large" : "cards");
  section(id, title, part.items.length + part.more, text).append(box);
  fill(box, wanted(part.items), (i) => card(i, { large, withChoices: id !== "all" }), CHUNK.cards, restOf(part));
}

function groupSection(id, title, text) {
  const part = data.sections[id];
  const groups = onlyOpen ? part.groups.filter((g) => g.items.some((i) => isOpen(items[i]))) : part.groups;
  const box = element("div", "groups");
  section(id, title, part.groups.length + part.more, text).append(box);
  fill(box, groups, group, CHUNK.groups, restOf(part));
}

function group(found) {
  const wide = found.items.length > 4 ? " wide" : "";
  const made = element("div", `group${found.leak ? " alarm" : ""}${wide}`);
  const words = element("p");
  if (found.leak) words.append(element("b", "bad", "Leak: "), "in two splits of the source. ");
  if (found.labels > 1 && !found.conflict) words.append(element("b", "warn", "Two labels. "));
  words.append(many(found.items.length + found.more, "picture"));
  if (found.splits?.length) words.append(` in ${found.splits.join(" and ")}`);
  if (found.more) words.append(`, ${found.more} of them not shown`);
  const box = element("div", "cards");
  box.append(...found.items.map((i) => card(i, { leak: found.leak })));
  made.append(words, box);
  return made;
}

function detailSection(id, title, text, parts) {
  const made = section(id, title, parts.reduce((sum, p) => sum + p.items.length + p.more, 0), text);
  const shown = parts.filter((p) => !onlyOpen || wanted(p.items).length);
  for (const part of shown) {
    const details = element("details"), box = element("div", "cards");
    const count = (part.items.length + part.more).toLocaleString("en");
    details.append(element("summary", "", element("b", "", human(part.name)), ` ${count}`,
      element("span", "soft", part.meaning ? ` · ${part.meaning}` : "")));
    details.append(box);
    details.addEventListener("toggle", () => {
      if (details.open && !box.childElementCount) fill(box, wanted(part.items), (i) => card(i), CHUNK.cards, restOf(part));
    });
    made.append(details);
  }
  if (!shown.length) made.append(element("p", "soft", onlyOpen ? "Nothing left to decide here." : "None."));
}

const whereNow = (item) => (item.kept ? item.now : null);
function whereThen(item) {
  if (stateOf(item)) return targetOf(item);
  return item.kept || (item.reason === "dropped" && item.can) ? item.label : null;
}

function showBalance() {
  const body = by("balance-body");
  if (!body) return;
  const after = new Map(data.classes.map((c) => [c.name, c.kept]));
  for (const item of byKey.values()) {
    const [now, then] = [whereNow(item), whereThen(item)];
    if (now === then) continue;
    if (now !== null) after.set(now, after.get(now) - 1);
    if (then !== null) after.set(then, (after.get(then) ?? 0) + 1);
  }
  const most = Math.max(1, ...data.classes.map((c) => c.kept), ...after.values());
  body.replaceChildren(...data.classes.map((c) => {
    const bars = element("div", "pair", element("i"), element("i"));
    [c.kept, after.get(c.name)].forEach((n, i) => { bars.children[i].style.width = `${(100 * n) / most}%`; });
    const change = after.get(c.name) - c.kept;
    const row = element("tr", "", element("td", "", isolated(human(c.name))), number(c.found), number(c.kept),
      number(after.get(c.name)), element("td", "n soft", change ? (change > 0 ? `+${change}` : `−${-change}`) : ""),
      element("td", "bars", bars));
    return row;
  }));
}
const number = (n) => element("td", "n", n.toLocaleString("en"));

function balanceSection() {
  const made = section("balance", "Classes", CLASSES.length, "What your decisions make of the classes, before copies are looked for anew.");
  const head = element("tr");
  for (const [name, kind] of [["class", ""], ["found", "n"], ["kept", "n"], ["with your decisions", "n"], ["", "n"], ["kept, and with your decisions", "bars"]]) {
    head.append(element(name ? "th" : "td", kind, name));
  }
  const body = element("tbody");
  body.id = "balance-body";
  made.append(element("div", "scroll", element("table", "", element("thead", "", head), body)));
}

function render() {
  watcher.disconnect();
  by("sections").replaceChildren();
  groupSection("conflicts", "The same photo under two labels", "Nobody knows which label is right, so all the copies are out. Keep the one whose label is right: it comes back, the others stay out.");
  cardSection("suspects", "Labels that look wrong", "The surest first. Keep what is right, relabel what is wrong.", true);
  cardSection("outliers", "Unlike all others", "Pictures that may not belong here at all. Drop what does not.", true);
  groupSection("groups", "Look-alikes", "Near-copies stay in one split, so they do no harm, except where their labels differ.");
  detailSection("quality", "Quality", "They are kept: a recogniser meets such pictures, too. Drop what shows nothing.", data.sections.quality);
  detailSection("rejected", "Rejected files", "", data.sections.rejected);
  balanceSection();
  cardSection("all", "All pictures that are kept", "Look at one closer, or move with the arrow keys, to relabel or drop it.", false);
  by("chips").replaceChildren(...[...document.querySelectorAll("#sections section")].map((s) => {
    const [title, count] = [s.querySelector("h2").firstChild.data, s.querySelector("h2 .n").textContent];
    const link = element("a", count === "0" ? "empty" : "", `${SHORT[s.id] ?? title} `, element("b", "", count), element("span", "left"));
    link.href = `#${s.id}`;
    return link;
  }));
  showCounts();
}
const SHORT = { conflicts: "Conflicts", suspects: "Labels", outliers: "Outliers", rejected: "Rejected", all: "All" };
