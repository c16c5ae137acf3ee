"use strict";

// From a JPEG's coefficients to pixels with the integers of libjpeg (its accurate inverse DCT, also
// to 4 x 4, 2 x 2 or 1 x 1 pixels a block; its triangle filter for colours at a lower resolution),
// so that the pixels are Pillow's to the last bit.

// Each pass reads 8 values of `x` from `at` on, `step` apart, and writes to `out` from `to` on, `gap`
// apart, what is left of the sums behind `shift` bits; `bias` rounds them.

// 8 to 8 (Loeffler, Ligtenberg and Moschytz 1989).
function pass8(x, at, step, shift, bias, out, to, gap) {
  const s0 = x[at], s1 = x[at + step], s2 = x[at + 2 * step], s3 = x[at + 3 * step];
  const s4 = x[at + 4 * step], s5 = x[at + 5 * step], s6 = x[at + 6 * step], s7 = x[at + 7 * step];
  const shared = (s2 + s6) * 4433, even2 = shared - s6 * 15137, even3 = shared + s2 * 6270;
  const sum = (s0 + s4) * 8192 + bias, less = (s0 - s4) * 8192 + bias;
  const e0 = sum + even3, e1 = less + even2, e2 = less - even2, e3 = sum - even3;
  const odd = (s7 + s3 + s5 + s1) * 9633;
  const z1 = -(s7 + s1) * 7373, z2 = -(s5 + s3) * 20995;
  const z3 = odd - (s7 + s3) * 16069, z4 = odd - (s5 + s1) * 3196;
  const o0 = s1 * 12299 + z1 + z4, o1 = s3 * 25172 + z2 + z3;
  const o2 = s5 * 16819 + z2 + z4, o3 = s7 * 2446 + z1 + z3;
  out[to] = (e0 + o0) >> shift;
  out[to + gap] = (e1 + o1) >> shift;
  out[to + 2 * gap] = (e2 + o2) >> shift;
  out[to + 3 * gap] = (e3 + o3) >> shift;
  out[to + 4 * gap] = (e3 - o3) >> shift;
  out[to + 5 * gap] = (e2 - o2) >> shift;
  out[to + 6 * gap] = (e1 - o1) >> shift;
  out[to + 7 * gap] = (e0 - o0) >> shift;
}

// 8 to 4: the means of two neighbours each.
function pass4(x, at, step, shift, bias, out, to, gap) {
  const s1 = x[at + step], s3 = x[at + 3 * step], s5 = x[at + 5 * step], s7 = x[at + 7 * step];
  const first = x[at] * 16384 + bias;
  const even = x[at + 2 * step] * 15137 - x[at + 6 * step] * 6270;
  const inner = s5 * 11893 - s7 * 1730 - s3 * 17799 + s1 * 8697;
  const outer = s3 * 7373 + s1 * 20995 - s7 * 4176 - s5 * 4926;
  out[to] = (first + even + outer) >> shift;
  out[to + gap] = (first - even + inner) >> shift;
  out[to + 2 * gap] = (first - even - inner) >> shift;
  out[to + 3 * gap] = (first + even - outer) >> shift;
}

// 8 to 2: the means of four.
function pass2(x, at, step, shift, bias, out, to, gap) {
  const first = x[at] * 32768 + bias;
  const odd = x[at + 5 * step] * 6967 - x[at + 7 * step] * 5906 - x[at + 3 * step] * 10426 + x[at + step] * 29692;
  out[to] = (first + odd) >> shift;
  out[to + gap] = (first - odd) >> shift;
}

// 8 to 1: the mean of all is the first coefficient.
function pass1(x, at, step, shift, bias, out, to) {
  out[to] = (x[at] * 65536 + bias) >> shift;
}

const PASSES = { 8: pass8, 4: pass4, 2: pass2, 1: pass1 };
const block = new Int32Array(64), between = new Int32Array(64);

// The samples of a component, `size` a side of each block: { plane, stride, width, height }.
function samplesOf(component, size, width, height) {
  const { coefficients, table, stride: blocks, across, down } = component;
  const stride = across * size, plane = new Uint8ClampedArray(stride * down * size);
  const pass = PASSES[size], extra = 3 - Math.log2(size);
  const first = 11 + extra, second = 18 + extra; // bits behind the point
  const columns = size === 1 ? 1 : 8; // the rest of a block adds nothing to its mean
  const half = 1 << (first - 1), middle = (128 << second) + (1 << (second - 1));
  for (let y = 0; y < down; y++)
    for (let x = 0; x < across; x++) {
      const from = 64 * (y * blocks + x), to = y * size * stride + x * size;
      for (let k = 0; k < 8 * columns; k++) block[k] = coefficients[from + k] * table[k];
      for (let column = 0; column < columns; column++) pass(block, column, 8, first, half, between, column, 8);
      for (let row = 0; row < size; row++) {
        pass(between, 8 * row, 1, second, middle, plane, to + row * stride, 1);
      }
    }
  return { plane, stride, width, height };
}

// Twice as many samples across: three parts of the nearer one and one of the other.
function widened({ plane, stride, width, height }) {
  const out = new Uint8ClampedArray(2 * width * height);
  for (let y = 0; y < height; y++) {
    const row = plane.subarray(y * stride, y * stride + width), to = 2 * width * y;
    for (let x = 0; x < width; x++) {
      out[to + 2 * x] = x ? (3 * row[x] + row[x - 1] + 1) >> 2 : row[x];
      out[to + 2 * x + 1] = x < width - 1 ? (3 * row[x] + row[x + 1] + 2) >> 2 : row[x];
    }
  }
  return { plane: out, stride: 2 * width, width: 2 * width, height };
}

// Twice as many rows; `write` gets 3 parts of the nearer row and one of the other, [width].
function eachBetween({ plane, stride, width, height }, write) {
  const sums = new Int32Array(width);
  for (let y = 0; y < 2 * height; y++) {
    const near = (y >> 1) * stride, neighbour = (y >> 1) + (y % 2 ? 1 : -1);
    const far = Math.min(height - 1, Math.max(0, neighbour)) * stride;
    for (let x = 0; x < width; x++) sums[x] = 3 * plane[near + x] + plane[far + x];
    write(y, sums);
  }
}

function heightened(samples) {
  const { width, height } = samples, out = new Uint8ClampedArray(2 * width * height);
  eachBetween(samples, (y, sums) => {
    for (let x = 0; x < width; x++) out[y * width + x] = (sums[x] + (y % 2 ? 2 : 1)) >> 2;
  });
  return { plane: out, stride: width, width, height: 2 * height };
}

function doubled(samples) {
  const { width, height } = samples, out = new Uint8ClampedArray(4 * width * height);
  eachBetween(samples, (y, sums) => {
    for (let x = 0, to = 2 * width * y; x < width; x++) {
      out[to++] = (3 * sums[x] + sums[Math.max(0, x - 1)] + 8) >> 4;
      out[to++] = (3 * sums[x] + sums[Math.min(width - 1, x + 1)] + 7) >> 4;
    }
  });
  return { plane: out, stride: 2 * width, width: 2 * width, height: 2 * height };
}

function repeated({ plane, stride, width, height }, across, down) {
  const out = new Uint8ClampedArray(width * across * height * down);
  for (let y = 0; y < height * down; y++)
    for (let x = 0; x < width * across; x++) {
      out[y * width * across + x] = plane[Math.floor(y / down) * stride + Math.floor(x / across)];
    }
  return { plane: out, stride: width * across, width: width * across, height: height * down };
}

function upsampled(samples, across, down, smooth) {
  if (across === 1 && down === 1) return samples;
  if (smooth && across === 1 && down === 2) return heightened(samples);
  if (smooth && samples.width > 2 && across === 2 && down <= 2) {
    return down === 1 ? widened(samples) : doubled(samples);
  }
  return repeated(samples, across, down);
}

// A component at the picture's size, where a block of the picture has `least` pixels a side.
function planeOf(component, { width, height, most }, least) {
  let size = least;
  const fits = (s) => (most.h * least) % (component.h * s) === 0 && (most.v * least) % (component.v * s) === 0;
  while (size < 8 && fits(2 * size)) size *= 2;
  const wide = Math.ceil((width * component.h * size) / (most.h * 8));
  const high = Math.ceil((height * component.v * size) / (most.v * 8));
  const across = (most.h * least) / (component.h * size), down = (most.v * least) / (component.v * size);
  return upsampled(samplesOf(component, size, wide, high), across, down, least > 1);
}

// Coefficients -> { width, height, data }: RGBA at 1/`step` of the size, as the file has it.
function pixelsOf(jpeg, step) {
  const width = Math.ceil(jpeg.width / step), height = Math.ceil(jpeg.height / step);
  const planes = jpeg.components.map((component) => planeOf(component, jpeg, 8 / step));
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  const write = jpeg.isRgb || planes.length === 1 ? writeRgb : writeYcc;
  const [first, second = first, third = first] = planes;
  for (let y = 0; y < height; y++) {
    const rows = [first, second, third].map((p) => p.plane.subarray(y * p.stride, y * p.stride + width));
    write(data, 4 * y * width, width, ...rows);
  }
  return { width, height, data };
}

function writeRgb(data, to, width, red, green, blue) {
  for (let x = 0; x < width; x++, to += 4) {
    data[to] = red[x];
    data[to + 1] = green[x];
    data[to + 2] = blue[x];
  }
}

function writeYcc(data, to, width, luma, blues, reds) {
  for (let x = 0; x < width; x++, to += 4) {
    const y = luma[x], u = blues[x] - 128, v = reds[x] - 128; // factors times 2 ** 16
    data[to] = y + ((91881 * v + 32768) >> 16);
    data[to + 1] = y + ((-22554 * u - 46802 * v + 32768) >> 16);
    data[to + 2] = y + ((116130 * u + 32768) >> 16);
  }
}

// RGBA turned as an EXIF orientation (1 to 8) says.
function turned({ width, height, data }, orientation) {
  if (orientation === 1) return { width, height, data };
  const swapped = orientation >= 5, wide = swapped ? height : width, high = swapped ? width : height;
  const out = new Uint8ClampedArray(data.length);
  const from = new Uint32Array(data.buffer), to = new Uint32Array(out.buffer);
  const left = [2, 3, 7, 8].includes(orientation), upside = [3, 4, 6, 7].includes(orientation);
  for (let y = 0; y < high; y++)
    for (let x = 0; x < wide; x++) {
      const column = swapped ? y : x, row = swapped ? x : y;
      to[y * wide + x] = from[(upside ? height - 1 - row : row) * width + (left ? width - 1 - column : column)];
    }
  return { width: wide, height: high, data: out };
}

// A JPEG's bytes -> an upright picture in sRGB { width, height, rows }, at 1/`stepFor(width, height)`
// of its size; null where the browser's own decoder has to do.
function decodedJpeg(bytes, stepFor) {
  const jpeg = readJpeg(bytes);
  const convert = jpeg && (jpeg.profile ? toSrgb(jpeg.profile) : (data) => data);
  if (!convert || (jpeg.profile && jpeg.components.length === 1)) return null;
  const pixels = pixelsOf(jpeg, stepFor(jpeg.width, jpeg.height));
  const { width, height, data } = turned(pixels, jpeg.orientation);
  convert(data);
  const rows = (x, y, wide, count) => {
    const part = new Uint8ClampedArray(4 * wide * count);
    for (let row = 0; row < count; row++) {
      const from = 4 * ((y + row) * width + x);
      part.set(data.subarray(from, from + 4 * wide), 4 * row * wide);
    }
    return part;
  };
  return { width, height, rows };
}
