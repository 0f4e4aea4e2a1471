// A label map of one byte a pixel. Strokes change the bytes; the canvas only shows them.
const map = element.querySelector(".map"), cursor = element.querySelector(".cursor");
const told = element.querySelector(".told"), empty = element.querySelector(".empty");
const size = element.querySelector("input[type=range]"), diameter = element.querySelector("output");
const stage = element.querySelector(".stage"), classes = element.querySelector(".classes");
const swatchOfChosen = element.querySelector(".chosen i"), nameOfChosen = element.querySelector(".chosen b");
const buttons = { undo: element.querySelector("[data-do=undo]"), redo: element.querySelector("[data-do=redo]") };
const KEPT = 60; // maps that can be gone back to
const names = new Map(props.classes.map((each) => [each.id, each.name]));
const colours = new Uint32Array(256).fill(0xff000000);
for (const each of props.classes) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(each.colour.slice(at, at + 2), 16));
  colours[each.id] = (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
}
let ids = null, width = 0, height = 0, stamp = null;
let tool = "brush", chosen = 26, past = [], future = [];
let at = null, last = null, before = null;

for (const each of props.classes) {
  const label = document.createElement("label"), radio = document.createElement("input");
  const swatch = document.createElement("i");
  Object.assign(radio, { type: "radio", name: "segspade-class", value: each.id, checked: each.id === chosen });
  swatch.style.background = each.colour;
  label.title = each.category;
  label.append(radio, swatch, each.name);
  classes.append(label);
}

function show() {
  const context = map.getContext("2d"), picture = context.createImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let index = 0; index < ids.length; index++) pixels[index] = colours[ids[index]];
  context.putImageData(picture, 0, 0);
}

function tell() {
  buttons.undo.disabled = !past.length;
  buttons.redo.disabled = !future.length;
  diameter.textContent = size.value;
  const under = ids && within(at) ? `; row ${at.y}, column ${at.x}: ${names.get(ids[at.y * width + at.x]) ?? "void"}` : "";
  told.textContent = ids ? `${height}x${width}${under}` : "";
  const context = cursor.getContext("2d");
  context.clearRect(0, 0, cursor.width, cursor.height);
  if (!at || tool !== "brush") return;
  const scale = cursor.width / width;
  context.lineWidth = Math.max(2, scale / 2);
  for (const [style, more] of [["#000000", 0], ["#ffffff", context.lineWidth]]) {
    context.strokeStyle = style;
    context.beginPath();
    context.arc((at.x + 0.5) * scale, (at.y + 0.5) * scale, Math.max(1, (size.value / 2) * scale + more), 0, 7);
    context.stroke();
  }
}

function load(value) {
  if (!value || !value.ids) return;
  const bytes = atob(value.ids);
  ids = Uint8Array.from(bytes, (letter) => letter.charCodeAt(0));
  ({ width, height, stamp } = value);
  map.width = width, map.height = height;
  cursor.width = width * Math.max(1, Math.floor(1200 / width));
  cursor.height = (cursor.width / width) * height;
  // as wide as there is room for, and no higher than most of the window
  stage.style.width = `min(100%, ${(70 * width) / height}vh)`;
  empty.hidden = true;
  past = [], future = [], at = null;
  show(), tell(), choose(chosen);
}

function within(place) {
  return place && place.x >= 0 && place.y >= 0 && place.x < width && place.y < height;
}

function clamped({ x, y }) {
  return { x: Math.min(width - 1, Math.max(0, x)), y: Math.min(height - 1, Math.max(0, y)) };
}

function dab(x, y) {
  const radius = size.value / 2, reach = Math.floor(radius);
  if (x < -reach || y < -reach || x >= width + reach || y >= height + reach) return;
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const px = x + dx, py = y + dy;
      if (dx * dx + dy * dy <= radius * radius && px >= 0 && py >= 0 && px < width && py < height) ids[py * width + px] = chosen;
    }
  }
}

function line(from, to) {
  const steps = Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y), 1);
  for (let step = 0; step <= steps; step++) {
    dab(Math.round(from.x + ((to.x - from.x) * step) / steps), Math.round(from.y + ((to.y - from.y) * step) / steps));
  }
}

function fill(start) {
  const old = ids[start.y * width + start.x], todo = [start.y * width + start.x];
  if (old === chosen) return;
  while (todo.length) {
    const index = todo.pop();
    if (ids[index] !== old) continue;
    ids[index] = chosen;
    const x = index % width;
    if (x > 0) todo.push(index - 1);
    if (x < width - 1) todo.push(index + 1);
    if (index >= width) todo.push(index - width);
    if (index < ids.length - width) todo.push(index + width);
  }
}

function pick(place) {
  const id = ids[place.y * width + place.x];
  if (!names.has(id)) return;
  choose(id), use("brush");
}

function choose(id) {
  chosen = id;
  const radio = classes.querySelector(`input[value="${id}"]`), label = radio.parentElement;
  radio.checked = true;
  swatchOfChosen.style.background = label.querySelector("i").style.background;
  nameOfChosen.textContent = names.get(id);
  // the row alone, and not the page as scrollIntoView would
  const [row, box] = [classes.getBoundingClientRect(), label.getBoundingClientRect()];
  if (box.left < row.left || box.right > row.right) classes.scrollLeft += box.left - row.left - (row.width - box.width) / 2;
}

function use(name) {
  tool = name;
  for (const button of element.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", button.dataset.tool === name);
  tell();
}

// what was painted goes to Python, and the map before it to the past
function commit() {
  if (!before) return;
  const changed = before.some((id, index) => id !== ids[index]);
  if (changed) {
    past.push(before), future = [];
    if (past.length > KEPT) past.shift();
    send();
  }
  before = null;
}

function send() {
  let bytes = "";
  for (let start = 0; start < ids.length; start += 32768) bytes += String.fromCharCode(...ids.subarray(start, start + 32768));
  stamp = `stroke ${Date.now()} ${Math.random()}`;
  show(), tell();
  props.value = { height, width, ids: btoa(bytes), stamp };
  trigger("stroke");
}

function travel(from, to) {
  if (!from.length) return;
  to.push(ids);
  ids = from.pop();
  send();
}

function begin(place) {
  if (!ids) return;
  if (tool === "pick") return pick(place);
  before = ids.slice(), last = place;
  if (tool === "fill") fill(place), commit();
  else line(place, place), show();
}

// beside the map, too: a stroke that leaves it goes on there unseen, and paints nothing along the edge
function place(event) {
  const box = map.getBoundingClientRect();
  return {
    x: Math.floor(((event.clientX - box.left) * width) / box.width),
    y: Math.floor(((event.clientY - box.top) * height) / box.height),
  };
}

map.addEventListener("pointerdown", (event) => {
  if (!ids || event.button) return;
  map.setPointerCapture(event.pointerId);
  at = clamped(place(event));
  begin(at), tell();
});
map.addEventListener("pointermove", (event) => {
  if (!ids) return;
  at = place(event);
  if (before) line(last, at), (last = at), show();
  tell();
});
for (const name of ["pointerup", "pointercancel"]) map.addEventListener(name, commit);
map.addEventListener("pointerleave", () => { if (!before) (at = null), tell(); });
map.addEventListener("keydown", (event) => {
  if (!ids) return;
  const far = event.shiftKey ? 10 : 1;
  const moves = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] };
  const key = event.key.toLowerCase();
  if (moves[event.key]) {
    at ??= { x: width >> 1, y: height >> 1 };
    const [dx, dy] = moves[event.key];
    at = clamped({ x: at.x + dx, y: at.y + dy });
    if (before) line(last, at), (last = at), show();
  } else if (key === " ") {
    at = clamped(at ?? { x: width >> 1, y: height >> 1 });
    if (!before) begin(at);
  } else if (event.ctrlKey || event.metaKey) {
    if (key === "z") event.shiftKey ? travel(future, past) : travel(past, future);
    else if (key === "y") travel(future, past);
    else return;
  } else if (key === "b") use("brush");
  else if (key === "f") use("fill");
  else if (key === "p") use("pick");
  else if (key === "[") size.value = +size.value - 2;
  else if (key === "]") size.value = +size.value + 2;
  else return;
  event.preventDefault();
  tell();
});
// held space with arrow keys draws a line; let go, it is a stroke
map.addEventListener("keyup", (event) => { if (event.key === " ") commit(); });
map.addEventListener("blur", commit);
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.tool) use(button.dataset.tool);
  if (button?.dataset.do === "undo") travel(past, future);
  if (button?.dataset.do === "redo") travel(future, past);
});
element.addEventListener("change", (event) => { if (event.target.type === "radio") choose(+event.target.value); });
size.addEventListener("input", tell);
watch("value", () => { if (props.value && props.value.stamp !== stamp) load(props.value); });
choose(chosen);
load(props.value);
