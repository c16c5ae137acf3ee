"use strict";

const TEXT = {
  privacy: "Photos are answered and forgotten, nothing is stored.",
  offline: "The service can't be reached.",
  overloaded: "The service is busy. Please try again in a moment.",
  corrected: "Photos are answered and forgotten. Only those that you correct are kept.",
  wrong: "Wrong?",
  really: "What is it really? The photo is kept, for the next training.",
  thanks: (name) => `Thank you. Kept as: ${name}`,
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
  const form = new FormData();
  form.append("file", file, file.name || "photo");
  form.append("label", label);
  let said = TEXT.offline;
  try {
    const response = await fetch("/v1/feedback", { method: "POST", body: form });
    said = response.ok ? TEXT.thanks(human(label)) : (await response.json()).detail;
    if (response.ok) wrong.replaceWith(element("p", "message", said));
    else wrong.append(element("p", "message", said));
  } catch {
    wrong.append(element("p", "message", said));
  }
  by("status").textContent = said;
}

async function ask(file, positive, labels) {
  const body = addCard(file);
  const form = new FormData();
  form.append("file", file, file.name || "photo");
  try {
    const response = await fetch("/v1/predict", { method: "POST", body: form });
    const result = await response.json();
    if (response.ok) {
      showAnswer(body, file, result, positive);
      offerCorrection(body, file, labels);
    } else showError(body, file, response.status === 503 ? TEXT.overloaded : result.detail);
  } catch {
    showError(body, file, TEXT.offline);
  }
}

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
