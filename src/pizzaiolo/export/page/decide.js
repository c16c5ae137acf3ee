"use strict";

// From the model's figures to an answer, as core/labels.py and core/novelty.py decide.

const MOST = 1e9; // a score of what is no number

// The class, its probability, and why a person reads "Not sure" instead (else null), for one
// picture's probabilities [C] and its novelty, or null where none is known.
function decide(labels, probabilities, novelty) {
  const { names, positive, threshold, reject_band: band, max_novelty: most } = labels;
  const asked = names.length === 2 && positive !== null ? names.indexOf(positive) : null;
  const chosen = asked === null ? likeliest(probabilities)
    : probabilities[asked] >= threshold ? asked : 1 - asked;
  const confidence = probabilities[chosen];
  const score = names.length === 2 ? probabilities[asked ?? 0] : confidence;
  const unsure = band !== null && band[0] <= score && score < band[1];
  const novel = novelty !== null && most !== null && novelty > most;
  const reason = novel ? "unlike training" : unsure ? "too close to call" : null;
  return { label: names[chosen], confidence, reason };
}

const likeliest = (values) => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);

// A function from an embedding [D] to its score, made from the statistics in a card, or null.
function noveltyFrom(facts) {
  if (!facts) return null;
  const mean = halves(facts.mean), variances = facts.variances, rank = variances.length;
  const directions = split(halves(facts.directions), mean.length);
  const centres = split(halves(facts.centres), rank);
  return (embedding) => {
    const away = normalised(embedding).map((value, i) => value - mean[i]);
    const along = directions.map((direction) => dot(direction, away));
    const across = Math.max(dot(away, away) - dot(along, along), 0) / facts.rest;
    const steps = centres.map((centre) =>
      along.reduce((sum, value, k) => sum + (value - centre[k]) ** 2 / variances[k], 0));
    const distance = Math.sqrt(Math.min(...steps) + across) / facts.scale;
    return Number.isNaN(distance) ? MOST : Math.min(distance, MOST);
  };
}

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
const split = (values, length) =>
  Array.from({ length: values.length / length }, (_, i) => values.slice(i * length, (i + 1) * length));

// The square roots of the values, with sign, at length 1.
function normalised(values) {
  const roots = Array.from(values, (value) => Math.sign(value) * Math.sqrt(Math.abs(value)));
  const length = Math.max(Math.sqrt(dot(roots, roots)), 1e-12);
  return roots.map((root) => root / length);
}

// Base64 of 16-bit floats (IEEE 754, little-endian) -> numbers.
function halves(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 2 }, (_, i) => half(view.getUint16(2 * i, true)));
}

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
