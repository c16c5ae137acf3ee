"use strict";

// Answers pictures beside the page's own thread, which stays free. It follows onnxruntime-web
// (`ort`) and the scripts of pictures and decisions in one file, and gets its data from the page: it loads nothing.

let model = null;

async function start({ wasm, glue, network, card }) {
  const isolated = self.crossOriginIsolated === true; // else a page has no shared memory
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = isolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.wasmPaths = { mjs: isolated ? blobOf(glue) : dataOf(glue) };
  const session = await ort.InferenceSession.create(network, { executionProviders: ["wasm"] });
  model = { session, card, novelty: noveltyFrom(card.novelty) };
  const { size } = card.preprocess;
  await run(new Uint8Array(size * size * 3)); // the first run takes longer
  return { threads: ort.env.wasm.numThreads, altered: isAltered() };
}

// The address of a script. Threads need a blob; WebKit lets a page from a disk import data only.
const blobOf = (script) => URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
const dataOf = (script) =>
  `data:text/javascript,${encodeURIComponent(new TextDecoder().decode(script))}`;

// Some browsers add noise to what a page reads of a canvas, so that it can't know a device again.
function isAltered() {
  const context = new OffscreenCanvas(16, 16).getContext("2d", { willReadFrequently: true });
  const drawn = context.createImageData(16, 16);
  for (let i = 0; i < drawn.data.length; i++) drawn.data[i] = i % 4 === 3 ? 255 : (7 * i) % 256;
  context.putImageData(drawn, 0, 0);
  return context.getImageData(0, 0, 16, 16).data.some((value, i) => value !== drawn.data[i]);
}

// RGB bytes [size, size, 3] -> probabilities [C], embedding [D].
async function run(pixels) {
  const { size } = model.card.preprocess;
  const image = new ort.Tensor("uint8", pixels, [1, size, size, 3]);
  const found = await model.session.run({ image });
  const figures = { probabilities: found.probabilities.data, embedding: found.embedding.data };
  return { probabilities: Array.from(figures.probabilities), embedding: figures.embedding };
}

// A picture that the browser has decoded (an ImageBitmap, upright) becomes an answer.
async function answer({ bitmap }) {
  try {
    const { width, height } = bitmap;
    return await answerOf({ width, height, rows: rowsOf(bitmap) });
  } finally {
    bitmap.close();
  }
}

// The bytes of a JPEG become an answer, or null where the browser has to decode them.
async function answerJpeg({ bytes }) {
  const { short_side } = model.card.preprocess;
  const picture = decodedJpeg(new Uint8Array(bytes), (...sides) => draftStep(...sides, short_side));
  return picture && answerOf(picture);
}

async function answerOf(picture) {
  const seen = new Uint8Array(preprocessed(picture, model.card.preprocess).buffer);
  const { probabilities, embedding } = await run(seen);
  const { labels } = model.card;
  const novelty = model.novelty ? model.novelty(embedding) : null;
  const named = Object.fromEntries(labels.names.map((name, i) => [name, probabilities[i]]));
  return { ...decide(labels, probabilities, novelty), probabilities: named, novelty };
}

// A reader of a bitmap's parts as RGBA bytes; what is transparent lies on white.
function rowsOf(bitmap) {
  let canvas = null, context = null;
  return (x, y, width, count) => {
    if (!canvas || canvas.width < width || canvas.height < count) {
      canvas = new OffscreenCanvas(width, count);
      context = canvas.getContext("2d", { willReadFrequently: true });
      context.imageSmoothingEnabled = false;
    }
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, count);
    context.drawImage(bitmap, x, y, width, count, 0, 0, width, count);
    return context.getImageData(0, 0, width, count).data;
  };
}

const TASKS = { start, answer, answerJpeg };
let before = Promise.resolve(); // one after the other
self.onmessage = ({ data: { id, task, data } }) => {
  before = before.then(async () => {
    try {
      self.postMessage({ id, result: await TASKS[task](data) });
    } catch (error) {
      self.postMessage({ id, error: String(error?.message ?? error) });
    }
  });
};
