"use strict";

// Every text that a person reads, in one place.
const TEXT = {
  choose: "Choose photos",
  hint: "or drop them here, or paste one",
  privacy: "Photos are answered and forgotten, nothing is stored.",
  question: (name) => `${name}, or not?`,
  several: "What is it?",
  subtitle: (classes) => `This model tells apart: ${classes.join(", ")}`,
  busy: "Looking …",
  sure: (percent) => `${percent} sure`,
  spoken: (file, verdict, percent) => `${file}: ${verdict}, ${percent} sure`,
  failed: "No answer",
  offline: "The service can't be reached.",
  overloaded: "The service is busy. Please try again in a moment.",
  unnamed: "pasted photo",
};

const by = (id) => document.getElementById(id);
const percent = (share) => {
  if (share > 0.999) return "> 99.9 %"; // never sure without a doubt
  if (share < 0.001) return "< 0.1 %";
  return `${(100 * share).toFixed(share > 0.99 || share < 0.01 ? 1 : 0)} %`;
};
const human = (name) => {
  const words = name.replaceAll("_", " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
};

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

async function describeModel() {
  const card = await (await fetch("/v1/model")).json();
  const { names, positive } = card.labels;
  by("title").textContent = positive ? TEXT.question(human(positive)) : TEXT.several;
  const askedFirst = [...names].sort((a, b) => (b === positive) - (a === positive));
  by("subtitle").textContent = TEXT.subtitle(askedFirst.map(human));
  document.title = `${by("title").textContent} · pizzaiolo`;
  return positive;
}

function addCard(file) {
  const card = element("article", "answer");
  const picture = element("img");
  picture.src = URL.createObjectURL(file);
  picture.alt = file.name || TEXT.unnamed;
  picture.onload = () => URL.revokeObjectURL(picture.src);
  picture.onerror = () => picture.classList.add("broken");
  const body = element("div", "body");
  body.append(element("p", "verdict waiting", TEXT.busy));
  body.append(element("p", "soft name", file.name || TEXT.unnamed));
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

function showAnswer(body, answer, positive) {
  const verdict = body.querySelector(".verdict");
  const kind = answer.verdict === "Not sure" ? "unsure" : answer.label === positive ? "yes" : "no";
  verdict.className = `verdict ${kind}`;
  verdict.textContent = answer.verdict;
  const why = answer.reason ?? TEXT.sure(percent(answer.confidence));
  verdict.after(element("p", answer.reason ? "message" : "sure", why));
  const sorted = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]);
  body.append(...sorted.slice(0, 5).map(([name, p]) => bar(name, p, name === answer.label)));
}

function showError(body, file, message) {
  by("status").textContent = `${file.name || TEXT.unnamed}: ${message}`;
  const verdict = body.querySelector(".verdict");
  verdict.className = "verdict failed";
  verdict.textContent = TEXT.failed;
  verdict.after(element("p", "message", message));
}

async function ask(file, positive) {
  const body = addCard(file);
  const form = new FormData();
  form.append("file", file, file.name || "photo");
  try {
    const response = await fetch("/v1/predict", { method: "POST", body: form });
    const result = await response.json();
    if (!response.ok) {
      showError(body, file, response.status === 503 ? TEXT.overloaded : result.detail);
      return;
    }
    showAnswer(body, result, positive);
    const name = file.name || TEXT.unnamed;
    by("status").textContent = TEXT.spoken(name, result.verdict, percent(result.confidence));
  } catch {
    showError(body, file, TEXT.offline);
  }
}

async function start() {
  by("choose").textContent = TEXT.choose;
  by("hint").textContent = TEXT.hint;
  by("privacy").textContent = TEXT.privacy;
  const model = describeModel().catch(() => null);
  const askAll = async (files) => {
    const positive = await model;
    for (const file of files) await ask(file, positive); // one after the other: fair to others
  };
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

start();
