"use strict";

// The second half of the one image path (core/preprocess.py) for the browser: upright pixels on
// white become uint8 [size, size, 3]. The arithmetic is that of Pillow's Resample.c: weights in
// fixed point, across and down one after the other, rounded to 8 bits between the two.

const BITS = 22; // of a weight behind the point
const HALF = 1 << (BITS - 1);
const STRIP = 64; // rows or columns read at once: a phone may refuse a canvas of a whole photo
const GREY = 128; // of `pad`
const MAX_ASPECT = 8;

const sinc = (x) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));
const cubic = (x) => {
  const a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
};
const KERNELS = {
  bilinear: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, at: (x) => cubic(Math.abs(x)) },
  lanczos: { support: 3, at: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

// Python's round: a half goes to the even neighbour.
function rounded(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 ? low + 1 : low;
}

// For each of `count` new places from `first` on: where its old ones start, and their weights.
function tapsOf(length, target, filter, first, count) {
  if (filter === "nearest") return nearestTaps(length, target, first, count);
  const { support, at } = KERNELS[filter];
  const scale = length / target;
  const stretch = Math.max(scale, 1); // shrinking widens the filter: anti-aliasing
  const reach = support * stretch;
  return Array.from({ length: count }, (_, i) => {
    const centre = (first + i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - reach + 0.5));
    const end = Math.min(length, Math.trunc(centre + reach + 0.5));
    const raw = Array.from({ length: end - start }, (_, k) => at((k + start - centre + 0.5) / stretch));
    const sum = raw.reduce((a, b) => a + b, 0);
    const weights = raw.map((w) => fixed(sum ? w / sum : w));
    return { start, weights: Int32Array.from(weights) };
  });
}

const fixed = (weight) => Math.trunc(weight * (1 << BITS) + (weight < 0 ? -0.5 : 0.5));

function nearestTaps(length, target, first, count) {
  const taps = [];
  for (let place = 0, at = (length / target) * 0.5; place < first + count; place++) {
    if (place >= first) {
      taps.push({ start: Math.min(length - 1, Math.trunc(at)), weights: Int32Array.of(1 << BITS) });
    }
    at += length / target;
  }
  return taps;
}

// RGBA rows of `width` -> RGB rows, resized across, into `out` from `offset` on.
function resizeAcross(rows, width, count, taps, out, offset) {
  for (let row = 0, to = offset; row < count; row++) {
    for (const { start, weights } of taps) {
      let red = HALF, green = HALF, blue = HALF;
      for (let k = 0, at = (row * width + start) * 4; k < weights.length; k++, at += 4) {
        const weight = weights[k];
        red = (red + Math.imul(rows[at], weight)) | 0;
        green = (green + Math.imul(rows[at + 1], weight)) | 0;
        blue = (blue + Math.imul(rows[at + 2], weight)) | 0;
      }
      out[to++] = red >> BITS; // out is clamped to 0..255
      out[to++] = green >> BITS;
      out[to++] = blue >> BITS;
    }
  }
}

// Rows of `stride` values -> the same resized down; `above` rows are missing at the top.
function resizeDown(rows, stride, above, taps) {
  const out = new Uint8ClampedArray(taps.length * stride), sums = new Int32Array(stride);
  taps.forEach(({ start, weights }, row) => {
    sums.fill(HALF);
    for (let k = 0; k < weights.length; k++) {
      const weight = weights[k], from = (start + k - above) * stride;
      for (let i = 0; i < stride; i++) sums[i] = (sums[i] + Math.imul(rows[from + i], weight)) | 0;
    }
    for (let i = 0; i < stride; i++) out[row * stride + i] = sums[i] >> BITS;
  });
  return out;
}

const spanOf = (taps) => [taps[0].start, Math.max(...taps.map((t) => t.start + t.weights.length))];

// A picture is { width, height, rows(x, y, width, count) -> RGBA bytes of that part }.
// Its part `box` [x, y, width, height] at `size` [width, height], of which only the window
// `from` [left, top] with `shown` [width, height] is computed: RGB bytes.
function resized(picture, box, size, from, shown, filter) {
  const [width, height] = [box[2], box[3]];
  const across = tapsOf(width, size[0], filter, from[0], shown[0]);
  const down = tapsOf(height, size[1], filter, from[1], shown[1]);
  // Pillow 13 starts with the height where that shrinks by far more.
  const lost = height - size[1], downFirst = lost > 0 && lost > 2 * (width - size[0]);
  return (downFirst ? resizedDownFirst : resizedAcrossFirst)(picture, box, across, down);
}

function resizedAcrossFirst(picture, [x, y, width], across, down) {
  const [first, end] = spanOf(down), stride = 3 * across.length;
  const between = new Uint8ClampedArray((end - first) * stride);
  for (let row = first; row < end; row += STRIP) {
    const count = Math.min(STRIP, end - row);
    const part = picture.rows(x, y + row, width, count);
    resizeAcross(part, width, count, across, between, (row - first) * stride);
  }
  return resizeDown(between, stride, first, down);
}

function resizedDownFirst(picture, [x, y, width], across, down) {
  const [first, end] = spanOf(down), between = new Uint8ClampedArray(down.length * width * 4);
  for (let column = 0; column < width; column += STRIP) {
    const wide = Math.min(STRIP, width - column), stride = 4 * wide;
    const part = resizeDown(picture.rows(x + column, y + first, wide, end - first), stride, first, down);
    for (let row = 0; row < down.length; row++) {
      between.set(part.subarray(row * stride, (row + 1) * stride), (row * width + column) * 4);
    }
  }
  const out = new Uint8ClampedArray(down.length * across.length * 3);
  resizeAcross(between, width, down.length, across, out, 0);
  return out;
}

// At 1/step of its size a large JPEG is decoded (Pillow's `draft`): a half, a quarter or an eighth.
function draftStep(width, height, shortSide) {
  const scale = shortSide / Math.min(width, height);
  if (scale >= 1) return 1;
  const most = Math.min(...[width, height].map((side) => Math.floor(side / rounded(side * scale))));
  return [8, 4, 2, 1].find((step) => most >= step);
}

// The middle of a very long picture, about 8 times as long as wide.
function middleOf(width, height) {
  const most = MAX_ASPECT * Math.min(width, height);
  const x = Math.floor(Math.max(0, width - most) / 2);
  const y = Math.floor(Math.max(0, height - most) / 2);
  return [x, y, width - 2 * x, height - 2 * y];
}

// What the model sees of a picture: RGB bytes [size, size, 3].
function preprocessed(picture, { size, short_side, mode, filter }) {
  const { width, height } = picture;
  const whole = [0, 0, width, height], square = [size, size];
  if (mode === "squash") return resized(picture, whole, square, [0, 0], square, filter);
  if (mode === "pad") return padded(picture, whole, size, filter);
  const box = middleOf(width, height);
  const scale = short_side / Math.min(box[2], box[3]);
  const sides = [box[2], box[3]].map((side) => Math.max(short_side, rounded(side * scale)));
  const corner = sides.map((side) => Math.floor((side - size) / 2));
  return resized(picture, box, sides, corner, square, filter);
}

function padded(picture, whole, size, filter) {
  const scale = size / Math.max(picture.width, picture.height);
  const sides = [picture.width, picture.height].map((side) => Math.max(1, rounded(side * scale)));
  const inner = resized(picture, whole, sides, [0, 0], sides, filter);
  const out = new Uint8ClampedArray(size * size * 3).fill(GREY);
  const [left, top] = sides.map((side) => Math.floor((size - side) / 2));
  for (let y = 0; y < sides[1]; y++) {
    const row = inner.subarray(y * sides[0] * 3, (y + 1) * sides[0] * 3);
    out.set(row, ((top + y) * size + left) * 3);
  }
  return out;
}
