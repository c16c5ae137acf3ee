"use strict";

// JPEG (ITU-T T.81: baseline and progressive, Huffman) from bytes to coefficients, in the browser:
// its own decoder gives no picture at a half or a quarter, and not the same bits on every system.
// `readJpeg` gives null for a file that is left to the browser: another coding, CMYK, or damage.

const MOST_DECODED = 50_000_000; // pixels: their coefficients take 150 MB
const ZIGZAG = Uint8Array.of(
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
  13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52,
  45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63);

const NO_CODES = new Uint16Array(1 << 16);

class Unfit extends Error {} // left to the browser

const need = (holds) => { if (!holds) throw new Unfit(); };
const textOf = (bytes) => String.fromCharCode(...bytes);

// { width, height, components, orientation, isRgb, profile } with the coefficients of each
// component, or null.
function readJpeg(bytes) {
  try {
    return new Reader(bytes).read();
  } catch (error) {
    if (error instanceof Unfit || error instanceof RangeError) return null;
    throw error;
  }
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 2;
    this.quantisation = [];
    this.huffman = [[], []]; // of DC and of AC
    this.interval = 0; // MCUs between two restarts
    this.frame = null;
    this.orientation = 1;
    this.adobe = null;
    this.jfif = false;
    this.profile = [];
  }

  read() {
    const { bytes } = this;
    for (;;) {
      while (bytes[this.at] === 0xff && bytes[this.at + 1] === 0xff) this.at++;
      need(this.at + 4 <= bytes.length || bytes[this.at + 1] === 0xd9);
      need(bytes[this.at] === 0xff);
      const marker = bytes[this.at + 1];
      this.at += 2;
      if (marker === 0xd9) break;
      const length = this.word(this.at), segment = bytes.subarray(this.at + 2, this.at + length);
      need(length >= 2 && segment.length === length - 2);
      this.at += length;
      this.take(marker, segment);
    }
    need(this.frame && this.frame.components.every((c) => c.table));
    const { orientation, profile } = this;
    return { ...this.frame, orientation, isRgb: this.isRgb(), profile: profile.length ? joined(profile) : null };
  }

  word(at) { return (this.bytes[at] << 8) | this.bytes[at + 1]; }

  take(marker, segment) {
    if (marker === 0xdb) this.takeQuantisation(segment);
    else if (marker === 0xc4) this.takeHuffman(segment);
    else if (marker >= 0xc0 && marker <= 0xc2) this.takeFrame(segment, marker === 0xc2);
    else if (marker === 0xda) this.takeScan(segment);
    else if (marker === 0xdd) this.interval = (segment[0] << 8) | segment[1];
    else if (marker === 0xe0 && textOf(segment.subarray(0, 5)) === "JFIF\0") this.jfif = true;
    else if (marker === 0xe1) this.orientation = orientationOf(segment) ?? this.orientation;
    else if (marker === 0xe2 && textOf(segment.subarray(0, 12)) === "ICC_PROFILE\0") {
      this.profile.push(segment.slice(12));
    } else if (marker === 0xee && textOf(segment.subarray(0, 5)) === "Adobe") {
      this.adobe = segment[11];
    } else need((marker >= 0xe0 && marker <= 0xef) || marker === 0xfe); // what may be skipped
  }

  takeQuantisation(segment) {
    for (let at = 0; at < segment.length;) {
      const wide = segment[at] >> 4, table = new Uint16Array(64), id = segment[at++] & 15;
      need(at + 64 * (wide + 1) <= segment.length);
      for (const place of ZIGZAG) {
        table[place] = wide ? (segment[at] << 8) | segment[at + 1] : segment[at];
        at += wide + 1;
      }
      this.quantisation[id] = table;
    }
  }

  takeHuffman(segment) {
    for (let at = 0; at + 17 <= segment.length;) {
      const kind = segment[at] >> 4, id = segment[at] & 15, counts = segment.subarray(at + 1, at + 17);
      const symbols = segment.subarray(at + 17, at + 17 + counts.reduce((a, b) => a + b, 0));
      need(kind < 2);
      this.huffman[kind][id] = codesOf(counts, symbols);
      at += 17 + symbols.length;
    }
  }

  takeFrame(segment, progressive) {
    const height = (segment[1] << 8) | segment[2], width = (segment[3] << 8) | segment[4];
    const count = segment[5];
    need(!this.frame && segment[0] === 8 && width && height && (count === 1 || count === 3));
    need(width * height <= MOST_DECODED && segment.length >= 6 + 3 * count);
    const components = Array.from({ length: count }, (_, i) => {
      const [id, sampling, table] = segment.subarray(6 + 3 * i, 9 + 3 * i);
      return { id, h: sampling >> 4, v: sampling & 15, quantisation: table, table: null, last: 0 };
    });
    const most = { h: Math.max(...components.map((c) => c.h)), v: Math.max(...components.map((c) => c.v)) };
    const across = Math.ceil(width / (8 * most.h)), down = Math.ceil(height / (8 * most.v));
    for (const c of components) {
      need(c.h >= 1 && c.v >= 1 && most.h % c.h === 0 && most.v % c.v === 0 && c.h * c.v <= 4);
      c.stride = across * c.h; // blocks in a row, those that fill up the last MCU with it
      c.rows = down * c.v;
      c.across = Math.ceil((width * c.h) / (8 * most.h)); // blocks that show something
      c.down = Math.ceil((height * c.v) / (8 * most.v));
      c.coefficients = new Int16Array(c.stride * c.rows * 64);
    }
    this.frame = { width, height, components, most, across, down, progressive };
  }

  takeScan(segment) {
    const { frame } = this, count = segment[0];
    need(frame && count >= 1 && segment.length >= 4 + 2 * count);
    const parts = Array.from({ length: count }, (_, i) => {
      const component = frame.components.find((c) => c.id === segment[1 + 2 * i]);
      need(component);
      component.table ??= this.quantisation[component.quantisation]?.slice() ?? null;
      need(component.table);
      component.dc = this.huffman[0][segment[2 + 2 * i] >> 4] ?? NO_CODES;
      component.ac = this.huffman[1][segment[2 + 2 * i] & 15] ?? NO_CODES;
      return component;
    });
    const [first, end, shifts] = segment.subarray(1 + 2 * count, 4 + 2 * count);
    const scan = new Scan(this.bytes, this.at, first, end, shifts >> 4, shifts & 15);
    need(first <= end && end < 64);
    scan.run(parts, frame, this.interval);
    this.at = scan.finish();
  }

  // What libjpeg assumes of three components.
  isRgb() {
    if (this.jfif) return false;
    if (this.adobe !== null) return this.adobe === 0;
    return textOf(this.frame.components.map((c) => c.id)) === "RGB";
  }
}

// A table from the next 16 bits to (length of the code << 8 | symbol); 0 for no code.
function codesOf(counts, symbols) {
  const table = new Uint16Array(1 << 16);
  let code = 0, next = 0;
  counts.forEach((count, i) => {
    const length = i + 1, span = 1 << (16 - length);
    for (let n = 0; n < count; n++, code += span) table.fill((length << 8) | symbols[next++], code, code + span);
  });
  return table;
}

// The entropy-coded data of one scan. `first`..`end` are places in zigzag order, `low` the bits
// that later scans add.
class Scan {
  constructor(bytes, at, first, end, high, low) {
    Object.assign(this, { bytes, at, first, end, high, low });
    this.hold = this.count = 0; // bits read ahead
    this.missing = 0; // of them, those behind the end of the data
    this.run_ = 0; // blocks that end here (EOBRUN)
  }

  fill() {
    while (this.count <= 16) {
      let byte = 0;
      if (this.at >= this.bytes.length) this.missing += 8;
      else if (this.bytes[this.at] !== 0xff) byte = this.bytes[this.at++];
      else if (this.bytes[this.at + 1] === 0) {
        byte = 0xff;
        this.at += 2;
      } else this.missing += 8; // a marker
      this.hold = (this.hold << 8) | byte;
      this.count += 8;
    }
  }

  bits(length) {
    if (length === 0) return 0;
    if (this.count < length) this.fill();
    this.count -= length;
    return (this.hold >>> this.count) & ((1 << length) - 1);
  }

  symbol(table) {
    if (this.count < 16) this.fill();
    const found = table[(this.hold >>> (this.count - 16)) & 0xffff];
    need(found);
    this.count -= found >> 8;
    return found & 255;
  }

  signed(length) {
    const value = this.bits(length);
    return value < 1 << (length - 1) ? value - (1 << length) + 1 : value;
  }

  run(parts, frame, interval) {
    const decode = this.decoder(frame.progressive);
    const alone = parts.length === 1 ? parts[0] : null; // its own blocks, row by row
    const across = alone ? alone.across : frame.across, down = alone ? alone.down : frame.down;
    for (const part of parts) part.last = 0;
    for (let unit = 0; unit < across * down; unit++) {
      if (interval && unit && unit % interval === 0) this.restart(parts);
      const row = Math.floor(unit / across), column = unit % across;
      if (alone) decode(alone, 64 * (row * alone.stride + column));
      else for (const c of parts) this.unit(c, row, column, decode);
    }
  }

  unit(c, row, column, decode) {
    for (let y = 0; y < c.v; y++)
      for (let x = 0; x < c.h; x++) decode(c, 64 * ((row * c.v + y) * c.stride + column * c.h + x));
  }

  restart(parts) {
    need(this.missing <= this.count);
    while (this.at < this.bytes.length - 1 && !(this.bytes[this.at] === 0xff && this.bytes[this.at + 1])) this.at++;
    need((this.bytes[this.at + 1] & 0xf8) === 0xd0);
    this.at += 2;
    this.hold = this.count = this.missing = this.run_ = 0;
    for (const part of parts) part.last = 0;
  }

  // Where the next marker is.
  finish() {
    need(this.missing <= this.count); // no bit was used that the file lacks
    while (this.at < this.bytes.length && !(this.bytes[this.at] === 0xff && this.bytes[this.at + 1])) this.at++;
    return this.at;
  }

  decoder(progressive) {
    if (!progressive) return (c, at) => this.whole(c, at);
    if (this.first === 0) return this.high ? (c, at) => this.dcMore(c, at) : (c, at) => this.dc(c, at);
    return this.high ? (c, at) => this.acMore(c, at) : (c, at) => this.ac(c, at);
  }

  whole(c, at) {
    const { coefficients: to, ac } = c, length = this.symbol(c.dc);
    to[at] = c.last += length ? this.signed(length) : 0;
    for (let k = 1; k < 64; k++) {
      const found = this.symbol(ac), size = found & 15;
      k += found >> 4;
      if (size) {
        need(k < 64);
        to[at + ZIGZAG[k]] = this.signed(size);
      } else if (found !== 0xf0) break;
    }
  }

  dc(c, at) {
    const length = this.symbol(c.dc);
    c.last += length ? this.signed(length) : 0;
    c.coefficients[at] = c.last << this.low;
  }

  dcMore(c, at) {
    if (this.bits(1)) c.coefficients[at] |= 1 << this.low;
  }

  ac(c, at) {
    if (this.run_ > 0) {
      this.run_--;
      return;
    }
    for (let k = this.first; k <= this.end; k++) {
      const found = this.symbol(c.ac), skip = found >> 4, size = found & 15;
      if (size) {
        k += skip;
        need(k <= this.end);
        c.coefficients[at + ZIGZAG[k]] = this.signed(size) * (1 << this.low);
      } else if (skip === 15) k += 15;
      else {
        this.run_ = (1 << skip) + this.bits(skip) - 1;
        return;
      }
    }
  }

  acMore(c, at) {
    const { coefficients: to } = c, plus = 1 << this.low;
    const more = (place) => {
      if (this.bits(1) && (to[place] & plus) === 0) to[place] += to[place] >= 0 ? plus : -plus;
    };
    let k = this.first;
    while (k <= this.end && this.run_ === 0) {
      const found = this.symbol(c.ac), size = found & 15;
      let skip = found >> 4, value = 0;
      if (size) {
        need(size === 1);
        value = this.bits(1) ? plus : -plus;
      } else if (skip < 15) {
        this.run_ = (1 << skip) + this.bits(skip);
        break;
      }
      for (; k <= this.end; k++) {
        const place = at + ZIGZAG[k];
        if (to[place]) more(place);
        else if (skip-- === 0) break;
      }
      if (value) {
        need(k <= this.end);
        to[at + ZIGZAG[k]] = value;
      }
      k++;
    }
    if (this.run_ > 0) {
      for (; k <= this.end; k++) if (to[at + ZIGZAG[k]]) more(at + ZIGZAG[k]);
      this.run_--;
    }
  }
}

// The parts of a profile as one; the first byte of each is its number.
function joined(parts) {
  const ordered = parts.sort((one, other) => one[0] - other[0]).map((part) => part.subarray(2));
  const whole = new Uint8Array(ordered.reduce((sum, part) => sum + part.length, 0));
  ordered.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}

// The EXIF orientation (tag 0x0112) that a segment APP1 tells of, or null.
function orientationOf(segment) {
  if (textOf(segment.subarray(0, 6)) !== "Exif\0\0" || segment.length < 14) return null;
  const tiff = new DataView(segment.buffer, segment.byteOffset + 6, segment.length - 6);
  const little = tiff.getUint16(0) === 0x4949, start = tiff.getUint32(4, little);
  if (start + 2 > tiff.byteLength) return null;
  for (let i = 0; i < tiff.getUint16(start, little); i++) {
    const at = start + 2 + 12 * i;
    if (at + 12 > tiff.byteLength) return null;
    if (tiff.getUint16(at, little) === 0x0112) {
      const value = tiff.getUint16(at + 8, little);
      return value >= 1 && value <= 8 ? value : null;
    }
  }
  return null;
}
