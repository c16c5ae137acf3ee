"use strict";

const TEXT = {
  links: { "to-docs": "API", "to-model": "Model card", "to-status": "Status" },
  answers: "Answers",
  privacy: "Photos are answered and forgotten, nothing is stored.",
  offline: "The service can't be reached.",
  overloaded: "The service is busy. Please try again in a moment.",
  corrected: "Photos are answered and forgotten. Only those that you correct are kept.",
  problems: {}, // by code, in place of the service's own words: not_an_image: "Das ist kein Bild."
  wrong: "Wrong?",
  really: "What is it really? The photo is kept, for the next training.",
  thanks: (name) => `Thank you. Kept as: ${name}`,
  look: "What did it look at?",
  looking: "Hiding one part after the other …",
  looked: (name, place) => `The bright parts speak for “${name}”, most of all ${place}.`,
  nowhere: (name) => `No part alone speaks for “${name}”: whichever is hidden, the answer stays.`,
  places: [
    ["the upper left", "the top", "the upper right"],
    ["the left", "the middle", "the right"],
    ["the lower left", "the bottom", "the lower right"],
  ],
};

async function describeModel() {
  const card = await (await fetch("/v1/model")).json();
  describeLabels(card.labels);
  return card.labels.positive;
}

// The labels that a correction may have; none where the service keeps no corrections.
async function correctable() {
  return (await (await fetch("/v1/feedback")).json()).labels;
}

function offerCorrection(body, file, labels) {
  if (!labels.length) return;
  const wrong = element("details", "wrong");
  wrong.append(element("summary", "", TEXT.wrong), element("p", "soft", TEXT.really));
  for (const label of labels) {
    const button = element("button", "", human(label));
    button.type = "button";
    button.addEventListener("click", () => correct(wrong, file, label));
    wrong.append(button);
  }
  body.append(wrong);
}

async function correct(wrong, file, label) {
  const { result, problem } = await post("/v1/feedback", file, { label });
  const said = problem ?? TEXT.thanks(human(label));
  const message = element("p", "message", said);
  if (result) wrong.replaceWith(message);
  else wrong.append(message);
  by("status").textContent = said;
}

// What the service says to a photo: `result`, or the words for people why there is none.
async function post(path, file, fields = {}) {
  const form = new FormData();
  form.append("file", file, file.name || "photo");
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  try {
    const response = await fetch(path, { method: "POST", body: form });
    const result = await response.json();
    if (response.ok) return { result };
    const words = response.status === 503 ? TEXT.overloaded : result.detail;
    return { problem: TEXT.problems[result.code] ?? words };
  } catch {
    return { problem: TEXT.offline };
  }
}

function offerExplanation(body, file) {
  const look = element("details", "look");
  look.append(element("summary", "", TEXT.look));
  look.addEventListener("toggle", () => {
    if (look.open && !look.querySelector("figure")) explain(look, file);
  });
  body.append(look);
}

async function explain(look, file) {
  look.querySelector("p")?.remove();
  const message = element("p", "soft", TEXT.looking);
  look.append(message);
  const { result, problem } = await post("/v1/explain", file);
  const said = problem ?? seen(result);
  if (result) {
    const figure = element("figure");
    const picture = element("img");
    picture.src = result.picture;
    picture.alt = "";
    figure.append(picture, element("figcaption", "", said));
    message.replaceWith(figure);
  } else {
    message.className = "message";
    message.textContent = said;
  }
  by("status").textContent = said;
}

// The map in words: where it is strongest.
function seen({ answer, heat }) {
  const strongest = Math.max(...heat.flat());
  if (!strongest) return TEXT.nowhere(human(answer.label));
  const row = heat.findIndex((values) => values.includes(strongest));
  const third = (index) => Math.floor((3 * (index + 0.5)) / heat.length);
  const place = TEXT.places[third(row)][third(heat[row].indexOf(strongest))];
  return TEXT.looked(human(answer.label), place);
}

async function ask(file, positive, labels) {
  const body = addCard(file);
  const { result, problem } = await post("/v1/predict", file);
  if (!result) return showError(body, file, problem);
  showAnswer(body, file, result, positive);
  offerExplanation(body, file);
  offerCorrection(body, file, labels);
}

for (const [id, words] of Object.entries(TEXT.links)) by(id).textContent = words;
by("answers").setAttribute("aria-label", TEXT.answers);
by("privacy").textContent = TEXT.privacy;
const model = describeModel().catch(() => null);
const corrections = correctable().catch(() => []);
corrections.then((labels) => {
  if (labels.length) by("privacy").textContent = TEXT.corrected;
});
async function askAll(files) {
  const [positive, labels] = [await model, await corrections];
  for (const file of files) await ask(file, positive, labels); // one after the other: fair to others
}
takePhotos(askAll);
useCamera(askAll);
