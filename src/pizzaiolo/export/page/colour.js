"use strict";

// From a picture's own colours to sRGB by the matrix and the curves of its ICC profile (ICC.1), with
// the integers of Little CMS, as Pillow does: cameras write Adobe RGB, phones Display P3.

const XYZ_TO_SRGB = [ // of D50, as profiles have it (Bradford); linear sRGB
  [3.13418636, -1.61720896, -0.49069406],
  [-0.97874850, 1.91613010, 0.03343340],
  [0.07196393, -0.22899387, 1.40575373],
];
const ONE = 1 << 14; // the point of its integers
const srgbOf = (x) => (x <= 0.0031308 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - 0.055);

// A function that changes RGBA bytes in place, or null for a profile of another kind.
function toSrgb(bytes) {
  try {
    const tags = tagsOf(bytes);
    if (tags.desc && isSrgb(tags.desc)) return (data) => data;
    const parts = ["r", "g", "b"].map((c) => [tags[`${c}XYZ`], tags[`${c}TRC`]]);
    if (tags.A2B0 || textAt(bytes, 16, 4) !== "RGB " || parts.flat().some((tag) => !tag)) return null;
    const colorants = parts.map(([tag]) => [8, 12, 16].map((at) => tag.getInt32(at) / 65536));
    const matrix = XYZ_TO_SRGB.map((row) => colorants.map((c) => fixed14(dot3(row, c))));
    return converter(matrix, parts.map(([, tag]) => curveOf(tag)));
  } catch (error) {
    if (error instanceof RangeError) return null; // it ends too early
    throw error;
  }
}

const fixed14 = (x) => Math.floor(x * ONE + 0.5);
const dot3 = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const textAt = (bytes, at, length) => String.fromCharCode(...bytes.subarray(at, at + length));
const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

// The tags of a profile by name, each a DataView.
function tagsOf(bytes) {
  const view = viewOf(bytes), tags = {};
  for (let i = 0, at = 132; i < Math.min(view.getUint32(128), 100); i++, at += 12) {
    const start = view.getUint32(at + 4);
    tags[textAt(bytes, at, 4)] = viewOf(bytes.subarray(start, start + view.getUint32(at + 8)));
  }
  return tags;
}

// Whether a description, in whatever encoding, says sRGB.
function isSrgb(tag) {
  const bytes = new Uint8Array(tag.buffer, tag.byteOffset, tag.byteLength);
  return textAt(bytes.filter((byte) => byte), 0, 500).toLowerCase().includes("srgb");
}

// A curve of a profile as a function from 0..1 to 0..1.
function curveOf(tag) {
  const kind = textAt(new Uint8Array(tag.buffer, tag.byteOffset), 0, 4);
  if (kind === "para") return parametric(tag.getUint16(8), (i) => tag.getInt32(12 + 4 * i) / 65536);
  if (kind !== "curv") throw new RangeError();
  const count = tag.getUint32(8);
  if (count === 0) return (x) => x;
  if (count === 1) return (x) => x ** (tag.getUint16(12) / 256);
  return (x) => {
    const at = x * (count - 1), low = Math.min(count - 2, Math.floor(at));
    const [a, b] = [tag.getUint16(12 + 2 * low), tag.getUint16(14 + 2 * low)];
    return (a + (b - a) * (at - low)) / 65535;
  };
}

function parametric(kind, value) {
  if (kind > 4) throw new RangeError();
  const [g, a = 1, b = 0, c = 0, d = 0, e = 0, f = 0] =
    Array.from({ length: [1, 3, 4, 5, 7][kind] }, (_, i) => value(i));
  if (kind === 0) return (x) => x ** g;
  if (kind === 1) return (x) => (x >= -b / a ? (a * x + b) ** g : 0);
  if (kind === 2) return (x) => (x >= -b / a ? (a * x + b) ** g + c : c);
  return (x) => (x >= d ? (a * x + b) ** g + e : c * x + f);
}

function converter(matrix, curves) {
  const [reds, greens, blues] = curves.map((curve) =>
    Int32Array.from({ length: 256 }, (_, i) => fixed14(curve(i / 255))));
  const last = Uint8Array.from({ length: ONE + 1 }, (_, i) => to8(Math.floor(srgbOf(i / ONE) * 65535 + 0.5)));
  return (data) => {
    for (let at = 0; at < data.length; at += 4) {
      const r = reds[data[at]], g = greens[data[at + 1]], b = blues[data[at + 2]];
      for (let c = 0; c < 3; c++) {
        const [x, y, z] = matrix[c], sum = (x * r + y * g + z * b + ONE / 2) >> 14;
        data[at + c] = last[Math.max(0, Math.min(ONE, sum))];
      }
    }
    return data;
  };
}

const to8 = (word) => (word * 65281 + 8388608) >>> 24; // 16 bits as 8, as Little CMS rounds
