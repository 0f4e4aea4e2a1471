"use strict";
const find = (id) => document.getElementById(id);
const grid = find("grid"), look = find("look");
let data = null, order = [], shown = -1, cards = new Map();
let layout = { columns: 1, width: 0, height: 0, rowHeight: 0, picture: 0 };

// one cell of a sheet as the background of an element
function draw(element, sheet, name, index) {
  const columns = sheet === "thumbnails" ? [name] : data.columns[sheet], column = columns.indexOf(name);
  const number = Math.floor(index / data.perSheet), row = index % data.perSheet;
  const rows = Math.min(data.perSheet, data.ids.length - number * data.perSheet);
  const file = { thumbnails: `thumbnail-${name}.jpg`, photographs: "photographs.jpg", maps: "maps.png" }[sheet];
  const share = (at, count) => (count > 1 ? (100 * at) / (count - 1) : 0);
  element.style.backgroundImage = `url("inspector/${data.split}/${String(number).padStart(5, "0")}-${file}")`;
  element.style.backgroundSize = `${100 * columns.length}% ${100 * rows}%`;
  element.style.backgroundPosition = `${share(column, columns.length)}% ${share(row, rows)}%`;
  element.classList.toggle("map", sheet === "maps");
}

const pictures = () => [...data.columns.photographs.map((name) => ["photographs", name]), ...data.columns.maps.map((name) => ["maps", name])];
const sheetOf = (name) => (data.columns.maps.includes(name) ? "maps" : "photographs");
const told = (measure, index) => {
  const value = measure.values[index];
  return value === null ? "–" : measure.isLoss ? value.toFixed(2) : `${(100 * value).toFixed(1)} %`;
};
const has = (mask, id) => Math.floor(mask / 2 ** id) % 2 === 1;

function options(select, pairs, kept) {
  select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
  if (pairs.some(([value]) => String(value) === kept)) select.value = kept;
  select.parentElement.hidden = pairs.length < 2;
}

function choose(split) {
  const first = data === null;
  data = segspadeSplits[split];
  find("split").value = split;
  const any = [["", "any"]], present = constants.classes.filter((each) => data.classes.some((mask) => has(mask, each.id)));
  options(find("sort"), [...Object.entries(data.measures).map(([name, each]) => [name, each.words]), ["", "name"]], first ? null : find("sort").value);
  options(find("city"), any.concat(data.city.names.map((name, index) => [index, name])), find("city").value);
  options(find("time"), any.concat(data.time.names.map((name, index) => [index, name])), find("time").value);
  options(find("class"), any.concat(present.map((each) => [each.id, each.name])), find("class").value);
  options(find("thumb"), data.columns.thumbnails.map((name) => [name, constants.words[name]]), find("thumb").value);
  for (const side of ["left", "right"]) options(find(side), pictures().map(([, name]) => [name, constants.words[name]]), find(side).value);
  find("left").value = pictures()[0][1];
  find("right").value = data.columns.maps.includes("predicted") ? "predicted" : pictures().at(-1)[1];
  arrange();
}

function arrange() {
  const wanted = { city: find("city").value, time: find("time").value, kind: find("class").value, name: find("name").value.trim().toLowerCase() };
  const measure = data.measures[find("sort").value], sign = +find("order").value * (measure && measure.isLoss ? -1 : 1);
  const [up, down] = find("order").options;
  [up.text, down.text] = measure ? ["worst first", "best first"] : ["a to z", "z to a"];
  order = [];
  for (let index = 0; index < data.ids.length; index++) {
    if (wanted.city !== "" && data.city.of[index] !== +wanted.city) continue;
    if (wanted.time !== "" && data.time.of[index] !== +wanted.time) continue;
    if (wanted.kind !== "" && !has(data.classes[index], +wanted.kind)) continue;
    if (wanted.name && !data.ids[index].toLowerCase().includes(wanted.name)) continue;
    order.push(index);
  }
  // what has no value comes last, whichever way the others go
  const value = (index) => measure.values[index];
  order.sort((a, b) => (measure
    ? (value(a) === null) - (value(b) === null) || sign * (value(a) - value(b)) || a - b
    : sign * (data.ids[a] < data.ids[b] ? -1 : 1)));
  const of = order.length === data.ids.length ? "" : ` of ${data.ids.length.toLocaleString("en")}`;
  find("told").textContent = `${order.length.toLocaleString("en")}${of} frames; click one, or press Enter, to look closer`;
  for (const card of cards.values()) card.remove();
  cards.clear();
  lay();
}

function lay() {
  const gap = 8, across = grid.clientWidth, columns = Math.max(2, Math.floor((across + gap) / (190 + gap)));
  const width = (across - gap * (columns - 1)) / columns, picture = width / data.aspect;
  layout = { columns, width, picture, height: picture + 24, rowHeight: picture + 24 + gap, gap };
  grid.style.height = `${Math.ceil(order.length / columns) * layout.rowHeight}px`;
  for (const [place, card] of cards) put(card, place);
  paint();
}

function put(card, place) {
  const row = Math.floor(place / layout.columns), column = place % layout.columns;
  Object.assign(card.style, { left: `${column * (layout.width + layout.gap)}px`, top: `${row * layout.rowHeight}px`, width: `${layout.width}px`, height: `${layout.height}px` });
  card.firstChild.style.height = `${layout.picture}px`;
}

// only what is on the screen, and a little more, is in the page
function paint() {
  const top = -grid.getBoundingClientRect().top, view = window.innerHeight;
  const first = Math.max(0, Math.floor((top - view / 2) / layout.rowHeight)) * layout.columns;
  const last = Math.min(order.length, Math.ceil((top + 1.5 * view) / layout.rowHeight) * layout.columns);
  for (const [place, card] of cards) {
    if ((place < first || place >= last) && card !== document.activeElement) card.remove(), cards.delete(place);
  }
  const measure = data.measures[find("sort").value], thumb = find("thumb").value;
  for (let place = first; place < last; place++) {
    if (cards.has(place)) continue;
    const index = order[place], card = document.createElement("button");
    const picture = document.createElement("div"), line = document.createElement("span");
    const name = document.createElement("i"), number = document.createElement("b");
    card.type = "button", card.className = "frame", card.dataset.place = place, card.title = data.ids[index];
    name.textContent = data.ids[index];
    number.textContent = measure ? told(measure, index) : "";
    draw(picture, "thumbnails", thumb, index);
    line.append(name, number), card.append(picture, line);
    put(card, place), grid.append(card), cards.set(place, card);
  }
}

function open(place) {
  if (place < 0 || place >= order.length) return;
  shown = place;
  const index = order[place];
  find("heading").textContent = data.ids[index];
  find("before").disabled = place === 0;
  find("after").disabled = place === order.length - 1;
  find("stage").style.aspectRatio = data.aspect;
  for (const id of ["stage", "slide"]) find(id).style.width = `min(100%, ${55 * data.aspect}vh)`;
  compare();
  const facts = [["frame", `${place + 1} of ${order.length}`]];
  if (data.city.of[index] >= 0) facts.push(["city", data.city.names[data.city.of[index]]]);
  if (data.time.of[index] >= 0) facts.push(["time of day", data.time.names[data.time.of[index]]]);
  for (const each of Object.values(data.measures)) facts.push([each.words, told(each, index)]);
  const line = facts.flatMap(([words, value]) => [`${words} `, Object.assign(document.createElement("b"), { textContent: value }), ", "]);
  line.pop();
  line.push(document.createElement("br"));
  const names = document.createElement("span");
  names.className = "classes";
  for (const each of constants.classes.filter((each) => has(data.classes[index], each.id))) {
    const item = document.createElement("span"), swatch = document.createElement("span");
    swatch.className = "swatch", swatch.style.background = each.colour;
    item.append(swatch, each.name), names.append(item);
  }
  find("facts").replaceChildren(...line, names);
  find("strip").replaceChildren(...pictures().map(([sheet, name]) => {
    const button = document.createElement("button"), picture = document.createElement("div"), words = document.createElement("span");
    button.type = "button", button.dataset.name = name;
    picture.style.aspectRatio = data.aspect, words.textContent = constants.words[name];
    draw(picture, sheet, name, index);
    button.append(picture, words);
    return button;
  }));
  history.replaceState(null, "", `#${data.split}/${encodeURIComponent(data.ids[index])}`);
  if (!look.open) look.showModal();
}

function compare() {
  const index = order[shown], share = +find("slide").value;
  draw(find("under"), sheetOf(find("right").value), find("right").value, index);
  draw(find("over"), sheetOf(find("left").value), find("left").value, index);
  find("over").style.clipPath = `inset(0 ${100 - share}% 0 0)`;
  find("stage").querySelector("hr").style.left = `${share}%`;
}

function follow() {
  let link = location.hash.slice(1);
  try { link = decodeURIComponent(link); } catch { /* typed by hand, and taken as it is */ }
  const [split, name] = link.split(/\/(.*)/s);
  if (!(split in segspadeSplits)) return false;
  if (!data || data.split !== split) choose(split);
  const place = order.findIndex((index) => data.ids[index] === name);
  if (place >= 0) open(place);
  else if (name) find("told").textContent = `There is no frame “${name}” among these ${order.length.toLocaleString("en")}.`;
  return true;
}

find("split").addEventListener("change", () => choose(find("split").value));
for (const id of ["sort", "order", "city", "time", "class", "thumb"]) find(id).addEventListener("change", arrange);
find("name").addEventListener("input", arrange);
for (const id of ["left", "right"]) find(id).addEventListener("change", compare);
find("slide").addEventListener("input", compare);
find("stage").addEventListener("pointermove", (event) => {
  if (event.pointerType === "mouse" ? event.buttons !== 1 : true) move(event);
});
find("stage").addEventListener("pointerdown", move);
function move(event) {
  const box = find("stage").getBoundingClientRect();
  find("slide").value = (100 * (event.clientX - box.left)) / box.width;
  compare();
}
find("strip").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) (find("right").value = button.dataset.name), compare();
});
find("before").addEventListener("click", () => open(shown - 1));
find("after").addEventListener("click", () => open(shown + 1));
find("close").addEventListener("click", () => look.close());
look.addEventListener("close", () => {
  history.replaceState(null, "", location.pathname + location.search);
  focus(shown);
});
look.addEventListener("keydown", (event) => {
  if (["INPUT", "SELECT"].includes(event.target.tagName)) return;
  if (event.key === "ArrowLeft") open(shown - 1);
  else if (event.key === "ArrowRight") open(shown + 1);
  else return;
  event.preventDefault();
});

function focus(place) {
  if (place < 0 || place >= order.length) return;
  const row = Math.floor(place / layout.columns), top = grid.getBoundingClientRect().top + window.scrollY + row * layout.rowHeight;
  const head = document.querySelector("header"), hidden = getComputedStyle(head).position === "sticky" ? head.offsetHeight : 0;
  if (top < window.scrollY + hidden) window.scrollTo(0, top - hidden - 8);
  else if (top + layout.height > window.scrollY + window.innerHeight) window.scrollTo(0, top + layout.height - window.innerHeight + 8);
  paint();
  cards.get(place)?.focus({ preventScroll: true });
}
grid.addEventListener("click", (event) => {
  const card = event.target.closest(".frame");
  if (card) open(+card.dataset.place);
});
grid.addEventListener("keydown", (event) => {
  const card = event.target.closest(".frame");
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -layout.columns, ArrowDown: layout.columns };
  if (!card || !(event.key in steps)) return;
  event.preventDefault();
  focus(+card.dataset.place + steps[event.key]);
});
let waits = false;
addEventListener("scroll", () => {
  if (waits) return;
  waits = true;
  requestAnimationFrame(() => (waits = false, paint()));
}, { passive: true });
addEventListener("resize", lay);
addEventListener("hashchange", follow);
if (!follow()) choose(Object.keys(segspadeSplits).includes("val") ? "val" : Object.keys(segspadeSplits)[0]);
