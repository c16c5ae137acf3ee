"use strict";

// The large parts of the page (worker, runtime, model) come as scripts that hold gzip in base64:
// a page that was opened from a disk may load scripts, but may not fetch a file.

const arrived = {}; // name -> chunks, bytes each

function part(name, place, text) { // every file in parts/ calls this
  (arrived[name] ??= [])[place] = bytesOf(text);
}

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

function loadScript(path) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = path;
    script.onload = () => { script.remove(); resolve(); };
    script.onerror = () => reject(new Error(`${path} is missing`));
    document.head.append(script);
  });
}

// Loads all parts; `progress` gets the bytes that are here after each file. name -> ArrayBuffer.
async function loadParts(parts, progress) {
  let here = 0;
  const files = Object.values(parts).flatMap((files) => files);
  await Promise.all(files.map(async ({ path, bytes }) => {
    await loadScript(path);
    progress(here += bytes);
  }));
  const names = Object.keys(parts);
  const unpacked = await Promise.all(names.map((name) => unpack(name)));
  return Object.fromEntries(names.map((name, i) => [name, unpacked[i]]));
}

async function unpack(name) {
  const packed = new Blob(arrived[name]).stream().pipeThrough(new DecompressionStream("gzip"));
  delete arrived[name];
  try {
    return await new Response(packed).arrayBuffer();
  } catch {
    throw new Error(`the files of the part "${name}" are damaged`);
  }
}
