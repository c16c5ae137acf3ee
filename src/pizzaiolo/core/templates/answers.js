"use strict";

// What the pages share that answer photos: how these come in, and what an answer looks like.

const WORDS = {
  choose: "Choose photos",
  hint: "or drop them here, or paste one",
  question: (name) => `${name}, or not?`,
  several: "What is it?",
  subtitle: (classes) => `This model tells apart: ${classes.join(", ")}`,
  busy: "Looking …",
  sure: (percent) => `${percent} sure`,
  spoken: (file, verdict, percent) => `${file}: ${verdict}, ${percent} sure`,
  failed: "No answer",
  unnamed: "pasted photo",
  said: {}, // what the model and the service say, in another language: "Not sure": "Unsicher"
};

const by = (id) => document.getElementById(id);
const percent = (share) => {
  if (share > 0.999) return "> 99.9 %"; // never sure without a doubt
  if (share < 0.001) return "< 0.1 %";
  return `${(100 * share).toFixed(share > 0.99 || share < 0.01 ? 1 : 0)} %`;
};
const translated = (text) => WORDS.said[text] ?? text;
const human = (name) => {
  const words = name.replaceAll("_", " ").trim();
  return translated(words.charAt(0).toUpperCase() + words.slice(1));
};

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// The heading of the page, from the labels in the model's card.
function describeLabels({ names, positive }) {
  by("title").textContent = positive ? WORDS.question(human(positive)) : WORDS.several;
  const askedFirst = [...names].sort((a, b) => (b === positive) - (a === positive));
  by("subtitle").textContent = WORDS.subtitle(askedFirst.map(human));
  document.title = `${by("title").textContent} · pizzaiolo`;
}

function addCard(file) {
  const card = element("article", "answer");
  const picture = element("img");
  picture.src = URL.createObjectURL(file);
  picture.alt = file.name || WORDS.unnamed;
  picture.onload = () => URL.revokeObjectURL(picture.src);
  picture.onerror = () => picture.classList.add("broken");
  const body = element("div", "body");
  body.append(element("p", "verdict waiting", WORDS.busy));
  body.append(element("p", "soft name", file.name || WORDS.unnamed));
  card.append(picture, body);
  by("answers").prepend(card);
  return body;
}

function bar(name, share, chosen) {
  const row = element("div", chosen ? "row chosen" : "row");
  const meter = element("meter");
  meter.min = 0;
  meter.max = 1;
  meter.value = share;
  meter.setAttribute("aria-label", human(name));
  row.append(element("span", "", human(name)), meter, element("span", "number", percent(share)));
  return row;
}

function showAnswer(body, file, answer, positive) {
  const verdict = body.querySelector(".verdict");
  const kind = answer.verdict === "Not sure" ? "unsure" : answer.label === positive ? "yes" : "no";
  verdict.className = `verdict ${kind}`;
  verdict.textContent = translated(answer.verdict);
  const why = translated(answer.reason) ?? WORDS.sure(percent(answer.confidence));
  verdict.after(element("p", answer.reason ? "message" : "sure", why));
  const sorted = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]);
  body.append(...sorted.slice(0, 5).map(([name, p]) => bar(name, p, name === answer.label)));
  const name = file.name || WORDS.unnamed;
  by("status").textContent = WORDS.spoken(name, translated(answer.verdict), percent(answer.confidence));
}

function showError(body, file, message) {
  by("status").textContent = `${file.name || WORDS.unnamed}: ${message}`;
  const verdict = body.querySelector(".verdict");
  verdict.className = "verdict failed";
  verdict.textContent = WORDS.failed;
  verdict.after(element("p", "message", message));
}

// Photos that are chosen, dropped or pasted go to `askAll`.
function takePhotos(askAll) {
  by("choose").textContent = WORDS.choose;
  by("hint").textContent = WORDS.hint;
  by("files").addEventListener("change", (event) => {
    const chosen = [...event.target.files];
    event.target.value = "";
    askAll(chosen);
  });
  const drop = by("drop");
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    askAll([...event.dataTransfer.files]);
  });
  document.addEventListener("paste", (event) => askAll([...event.clipboardData.files]));
}
