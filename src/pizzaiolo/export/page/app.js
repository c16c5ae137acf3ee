"use strict";

const TEXT = {
  clear: "Clear all",
  loading: (here, all) => `Loading the model: ${here} of ${all} MB`,
  starting: "Starting the model …",
  ready: "Ready. This page needs no network any more.",
  answering: (number, all) => `Answering photo ${number} of ${all} …`,
  done: (milliseconds) => `Ready. The last photo took ${milliseconds} ms.`,
  privacy: "Photos never leave this device: the model runs in this page.",
  broken: (why) => `The model can't be loaded: ${why}`,
  old: "this browser is too old; one of 2023 or later will do",
  altered: "This browser changes what a page reads of pictures, as a protection against " +
    "tracking. Answers may be wrong until you allow this page to read canvas data.",
  manyBytes: "The file has over 100 million bytes.",
  manyPixels: "The picture has over 100 million pixels.",
  noPicture: "This browser can't open the file as a picture.",
  photos: (count) => (count === 1 ? "1 photo" : `${count} photos`),
  about: "About this model",
  licences: "Licences",
};
const MOST_BYTES = 100_000_000, MOST_PIXELS = 100_000_000; // as everywhere in pizzaiolo
const { labels } = CARD.card;
const counts = new Map(); // by verdict
let waiting = 0, taken = 0;

function assistant(script) {
  const worker = new Worker(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
  const asked = new Map();
  let last = 0;
  worker.onmessage = ({ data: { id, result, error } }) => {
    const { resolve, reject } = asked.get(id);
    asked.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  };
  worker.onerror = (event) => {
    for (const { reject } of asked.values()) reject(new Error(event.message || TEXT.old));
    asked.clear();
  };
  return (task, data, moved = []) =>
    new Promise((resolve, reject) => {
      asked.set(++last, { resolve, reject });
      worker.postMessage({ id: last, task, data }, moved);
    });
}

const say = (text) => { by("state").textContent = text; };
const megabytes = (bytes) => (bytes / 1e6).toFixed(0);

// Resolves to a function that asks the worker.
async function loadModel() {
  if (!self.DecompressionStream || !self.OffscreenCanvas || !self.WebAssembly) {
    throw new Error(TEXT.old);
  }
  const all = Object.values(CARD.parts).flat().reduce((sum, file) => sum + file.bytes, 0);
  const progress = (here) => {
    by("progress").value = here / all;
    say(TEXT.loading(megabytes(here), megabytes(all)));
  };
  progress(0);
  const { worker, glue, wasm, model } = await loadParts(CARD.parts, progress);
  say(TEXT.starting);
  const ask = assistant(worker);
  const given = { glue, wasm, network: model, card: CARD.card };
  const { threads, altered } = await ask("start", given, [wasm, model]);
  by("loading").dataset.threads = threads;
  if (altered) notice(TEXT.altered);
  by("progress").hidden = true;
  say(TEXT.ready);
  by("status").textContent = TEXT.ready;
  return ask;
}

function notice(text) {
  by("notice").hidden = false;
  by("notice").textContent = text;
}

// What the model answers. A JPEG goes to the worker as it is; all else the browser decodes, turns by
// EXIF and converts to sRGB: here and not in the worker, since WebKit lets no worker of a page from
// a disk read a file.
async function askAbout(file, worker) {
  if (file.size > MOST_BYTES) throw new Error(TEXT.manyBytes);
  if (startsAsJpeg(await file.slice(0, 3).arrayBuffer())) {
    const bytes = await file.arrayBuffer();
    const answer = await worker("answerJpeg", { bytes }, [bytes]);
    if (answer) return answer;
  }
  const bitmap = await createImageBitmap(file).catch(() => { throw new Error(TEXT.noPicture); });
  if (bitmap.width * bitmap.height > MOST_PIXELS) {
    bitmap.close();
    throw new Error(TEXT.manyPixels);
  }
  return worker("answer", { bitmap }, [bitmap]);
}

function startsAsJpeg(buffer) {
  const [first, second, third] = new Uint8Array(buffer);
  return first === 0xff && second === 0xd8 && third === 0xff;
}

async function answerOne(file, ask) {
  const body = addCard(file);
  try {
    const worker = await ask, began = performance.now();
    const answer = await askAbout(file, worker);
    const milliseconds = performance.now() - began;
    answer.verdict = answer.reason ? "Not sure" : human(answer.label);
    showAnswer(body, file, answer, labels.positive);
    count(answer.verdict);
    body.dataset.answer = JSON.stringify(answer);
    return milliseconds;
  } catch (error) {
    showError(body, file, error.message);
    count(WORDS.failed);
    return null;
  }
}

function count(verdict) {
  counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  const total = [...counts.values()].reduce((a, b) => a + b, 0);
  const parts = [...counts].map(([name, number]) => `${number} ${name}`);
  by("counts").textContent = `${TEXT.photos(total)}: ${parts.join(", ")}`;
  by("summary").hidden = false;
}

function clearAll() {
  counts.clear();
  by("answers").replaceChildren();
  by("summary").hidden = true;
  by("files").focus();
}

async function answerAll(files, ask) {
  waiting += files.length;
  let spent = null;
  for (const file of files) {
    const number = ++taken;
    if (waiting > 1) ask.then(() => say(TEXT.answering(number, waiting)), () => {});
    spent = (await answerOne(file, ask)) ?? spent;
  }
  if (taken < waiting) return;
  waiting = taken = 0;
  if (spent !== null) say(TEXT.done(Math.round(spent)));
}

const asPercent = (share) => `${(100 * share).toFixed(1)} %`;

function accuracyOf(metrics) {
  const figure = (metrics.test ?? metrics.validation)?.accuracy;
  if (typeof figure === "number") return asPercent(figure);
  if (typeof figure?.value !== "number") return null;
  const { value, low, high } = figure;
  return low === undefined ? asPercent(value)
    : `${asPercent(value)} (95 % interval ${asPercent(low)} to ${asPercent(high)})`;
}

function describeModel() {
  const { architecture, preprocess, metrics, weights_licence: licence } = CARD.card;
  const { max_novelty: most } = labels;
  const sides = `${preprocess.size} x ${preprocess.size} pixels`;
  const unsure = [];
  if (labels.reject_band) unsure.push("when it is too close to call");
  if (most !== null) unsure.push("when a photo is unlike all it was trained on");
  const facts = [
    ["Classes", labels.names.map(human).join(", ")],
    ["Right on photos kept apart", accuracyOf(metrics)],
    ["Says “Not sure”", unsure.join(", or ")],
    ["Network", architecture.name],
    ["Sees", sides],
    ["Size", `${megabytes(CARD.bytes.model)} MB`],
    ["Licence of the weights", licence],
    ["Runs on", `onnxruntime-web ${CARD.versions["onnxruntime-web"]}`],
    ["Made by", `pizzaiolo ${CARD.versions.pizzaiolo}`],
  ];
  by("about").textContent = TEXT.about;
  for (const [name, text] of facts) {
    if (text) by("facts").append(element("dt", "", name), element("dd", "", String(text)));
  }
}

function start() {
  describeLabels(labels);
  describeModel();
  by("privacy").textContent = TEXT.privacy;
  by("licences").textContent = TEXT.licences;
  by("clear").textContent = TEXT.clear;
  by("clear").addEventListener("click", clearAll);
  const ask = loadModel().catch((error) => {
    const message = TEXT.broken(error.message);
    by("loading").hidden = true;
    by("status").textContent = message;
    notice(message);
    throw new Error(message);
  });
  ask.catch(() => {}); // each photo tells of it again
  const askAll = (files) => answerAll(files, ask);
  takePhotos(askAll);
  useCamera(askAll);
}

start();
