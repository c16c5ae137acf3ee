// Another pixel of the input: the same texts and colours that `slots.py` has written for the first.

const data = JSON.parse(document.getElementById("data").textContent);
const { size, mean, std, step, corner, picture, turn, reach, run, tints } = data;
const area = size * size;
const slots = new Map();
for (const element of document.querySelectorAll("[data-k]")) {
  const key = element.dataset.k;
  slots.set(key, [...(slots.get(key) ?? []), element]);
}

const inkOn = (colour) => {
  const [r, g, b] = colour
    .map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
};
const put = (key, text, colour) => {
  for (const element of slots.get(key) ?? []) {
    element.textContent = text;
    element.style.background = colour ? `rgb(${colour.join(" ")})` : "";
    element.style.color = colour ? inkOn(colour) : "";
  }
};
const tint = (channel, value) => {
  const rest = Math.floor((value * tints[channel]) / 100);
  return [0, 1, 2].map((c) => (c === channel ? value : rest));
};

/** The bytes of a picture on the page, four a pixel. */
const bytesOf = (image) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, size, size);
  return context.getImageData(0, 0, size, size).data;
};
let input, under;

// float32, as in NumPy
const f = Math.fround;
const unit = (value) => f(value / 255);
const centred = (value, c) => f(unit(value) - f(mean[c]));
const normal = (value, c) => f(centred(value, c) / f(std[c]));

const along = (axis, at) => Math.floor(corner[axis] + (at + 0.5) * step[axis]);
const rowFirst = ([x, y]) => `[${y}, ${x}]`;

function numbers(x, y) {
  const at = [along(0, x), along(1, y)];
  const inside = at.every((value, axis) => value >= 0 && value < picture[axis]);
  const stored = [0, 3].map((i) => turn[i] * at[0] + turn[i + 1] * at[1] + turn[i + 2]);
  const place = y * size + x;
  put("at", `[${y}, ${x}]`);
  put("picture", inside ? rowFirst(at) : "padding");
  put("stored", inside ? rowFirst(stored) : "padding");
  put("swatch", "", [0, 1, 2].map((c) => input[4 * place + c]));
  for (const c of [0, 1, 2]) {
    const value = input[4 * place + c];
    put(`decoded${c}`, inside ? String(under[4 * place + c]) : "-");
    put(`input${c}`, String(value));
    put(`unit${c}`, unit(value).toFixed(4));
    put(`centred${c}`, centred(value, c).toFixed(4));
    put(`tensor${c}`, normal(value, c).toFixed(4));
    put(`index${c}`, `[0, ${c}, ${y}, ${x}]`);
    put(`plane${c}`, (c * area + place).toLocaleString("en"));
  }
  put("packed", (3 * place).toLocaleString("en"));
}

function patch(x, y) {
  for (let row = 0; row <= 2 * reach; row += 1) {
    for (let column = 0; column <= 2 * reach; column += 1) {
      const [px, py] = [x + column - reach, y + row - reach];
      const inside = px >= 0 && py >= 0 && px < size && py < size;
      const colour = [0, 1, 2].map((c) => input[4 * (py * size + px) + c]);
      put(`patch-${row}${column}`, inside ? colour.join("\n") : "", inside && colour);
      colour.forEach((value, c) => {
        const text = inside ? normal(value, c).toFixed(2) : "";
        put(`sheet${c}-${row}${column}`, text, inside && tint(c, value));
      });
    }
  }
}

function memory(x, y) {
  for (let k = 0; k < run; k += 1) {
    for (const c of [0, 1, 2]) {
      const place = y * size + x + k;
      const value = input[4 * place + c];
      put(`packed-${k}${c}`, place < area ? String(value) : "");
      put(`planar-${k}${c}`, place < area ? normal(value, c).toFixed(2) : "");
    }
  }
}

function marks(x, y) {
  const share = (axis, at) => (100 * (corner[axis] + (at + 0.5) * step[axis])) / picture[axis];
  for (const mark of document.querySelectorAll(".spot")) {
    const whole = mark.dataset.on === "picture";
    const [left, top] = whole ? [share(0, x), share(1, y)] : [x, y].map((v) => (100 * (v + 0.5)) / size);
    mark.style.left = `${left}%`;
    mark.style.top = `${top}%`;
    mark.hidden = ![left, top].every((place) => place >= 0 && place < 100);
  }
}

const fields = ["x", "y"].map((name) => document.getElementById(`pick-${name}`));
function show(x, y) {
  [x, y] = [x, y].map((v) => Math.min(size - 1, Math.max(0, v)));
  numbers(x, y);
  patch(x, y);
  memory(x, y);
  marks(x, y);
  fields[0].value = x;
  fields[1].value = y;
}

async function start() {
  const images = ["seen-pixels", "file-pixels"].map((id) => document.getElementById(id));
  await Promise.all(images.map((image) => image.decode()));
  [input, under] = images.map(bytesOf);
  images[0].addEventListener("click", (event) => {
    const box = images[0].getBoundingClientRect();
    show(
      Math.floor(((event.clientX - box.left) / box.width) * size),
      Math.floor(((event.clientY - box.top) / box.height) * size),
    );
  });
  for (const field of fields) {
    field.addEventListener("input", () => {
      if (fields.every((one) => one.value !== "")) show(...fields.map((one) => Math.floor(Number(one.value))));
    });
  }
  document.body.classList.add("live");
}
start();
