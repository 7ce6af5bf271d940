// The page to play with: a pad whose drawing the encoder places on a map of codes, and the picture that the decoder
// makes of the code, wherever a hand moves it.  The model is in model.js; all that is shown follows from `state`.
"use strict";

const given = parse(document.getElementById("given").textContent);
const vae = load(given.model, numbers(given.weights));
const images = numbers(given.images), codes = numbers(given.codes);
const n_data = given.n_data, n_latent = vae.n_latent, n_images = images.length / n_data;
const image = (i) => images.slice(i * n_data, (i + 1) * n_data);
const find = (id) => document.getElementById(id);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const written = (value, digits = 2) => value.toFixed(digits).replace("-", "−");
const inUnits = (value) => String(Number(value.toPrecision(3))).replace("-", "−");    // those of the data
const clamped = (value, low, high) => Math.min(Math.max(value, low), high);
const short = (name) => (name.length < 21 ? name : name.slice(0, 18) + "...");
const add = (parent, tag, properties = {}) => parent.appendChild(Object.assign(document.createElement(tag), properties));

const byKL = given.kl.map((_, i) => i).sort((i, j) => given.kl[j] - given.kl[i] || i - j);
const UNUSED = 0.1;    // nats of KL below which a dimension tells next to nothing
const STEPS = 9;       // pictures between two codes

const state = {
  x: image(0),               // what the encoder sees
  chosen: 0,                 // which of the images x is; null once it has been drawn on
  begun: false,              // whether x is more than the example that the page opens with
  label: given.labels ? given.labels[0] : null,
  q: null, z: null,          // q(z|x), and the code that is decoded
  axes: n_latent === 2 ? [0, 1] : byKL.slice(0, 2),    // of the map
  colouring: 0,
  ends: null,                // two codes, A and B
  drawn: null,               // x ~ p(x|z), where that is shown, and not the mean
};

// What x is shown as: a picture, or a row of numbers as bars or as a curve.

const Picture = {
  draw(canvas, x) {
    const [height, width, channels] = given.shape, [low] = given.low, [high] = given.high;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d"), pixels = context.createImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 4; c++) {
        const value = c < 3 ? x[i * channels + (channels === 1 ? 0 : c)] : channels === 4 ? x[i * 4 + 3] : high;
        pixels.data[4 * i + c] = Math.round(255 * (value - low) / (high - low));    // which the browser clamps
      }
    }
    context.putImageData(pixels, 0, 0);
  },
};

const MOST_BARS = 24;
const isCurve = n_data > MOST_BARS;
const height = (value, d) => (value - given.low[d]) / (given.high[d] - given.low[d]);    // 0 to 1
const column = (d) => (given.columns ? given.columns[d] : `x[${d}]`);

const Row = {
  isNamed: (canvas) => !isCurve && canvas.clientWidth > 150,
  floor: (canvas) => canvas.clientHeight - (Row.isNamed(canvas) ? 74 : 2),    // where the bars stand
  draw(canvas, x, other) {    // other: a row to compare with
    const context = sharp(canvas), floor = Row.floor(canvas), step = canvas.clientWidth / n_data;
    const y = (value, d) => 2 + (floor - 2) * (1 - clamped(height(value, d), 0, 1));
    for (const [row, color] of other ? [[other, css("--soft")], [x, css("--accent")]] : [[x, css("--accent")]]) {
      context.strokeStyle = context.fillStyle = color;
      context.lineWidth = 1.5;
      context.beginPath();
      row.forEach((value, d) => {
        if (isCurve) context.lineTo((d + 0.5) * step, y(value, d));
        else if (row === x) context.rect((d + 0.2) * step, y(value, d), 0.6 * step, floor - y(value, d));
        else context.rect((d + 0.05) * step, y(value, d) - 1.5, 0.9 * step, 3);    // the other one as a mark
      });
      if (isCurve) context.stroke();
      else context.fill();
    }
    if (!Row.isNamed(canvas)) return;
    context.fillStyle = css("--ink");
    context.font = "12px system-ui, sans-serif";
    for (let d = 0; d < n_data; d++) {
      context.save();
      context.translate((d + 0.5) * step + 4, floor + 6);
      context.rotate(Math.PI / 2);
      context.fillText(short(column(d)), 0, 8);
      context.restore();
    }
  },
  words: (x) => (isCurve ? "" : [...x].map((value, d) => `${short(column(d))} = ${inUnits(value)}`).join(", ")),
};

const view = given.shape ? Picture : Row;

// A canvas with as many pixels as the screen has there, in units of the page.
function sharp(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * ratio));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  return context;
}

function shaped(canvas) {    // as x is
  canvas.style.aspectRatio = given.shape ? `${given.shape[1]} / ${given.shape[0]}` : "4 / 3";
  if (given.shape) canvas.classList.add("picture");
  return canvas;
}

// From x to z to x again, once for each picture of the screen, whatever has happened since the last one

let waiting = false, encodeFirst = false;

function show() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    render();
  });
}

function encode() {    // x or the class has changed: z goes to the mean of q(z|x)
  gliding++;
  encodeFirst = true;
  state.drawn = null;
  show();
}

function move(z) {    // a hand, or a draw, has moved z
  state.z = z;
  state.drawn = null;
  encodeFirst = false;
  show();
}

function infer() {
  encodeFirst = false;
  state.q = vae.infer(state.x, state.label);
  state.z = state.q.mu.slice();
}

function render() {
  if (encodeFirst) infer();
  const theta = vae.generate(state.z, state.label);
  view.draw(find("pad"), state.x);
  view.draw(find("decoded"), state.drawn || vae.likelihood.mean(theta), state.x);
  find("what").textContent = state.drawn ? "x ~ p(x|z): drawn" : "E[x|z]: decoded";
  find("numbers").textContent = `−log p(x|z) = ${written(vae.likelihood.nll(theta, state.x), 1)}\n` +
    `KL(q(z|x) || p(z)) = ${written(vae.posterior.kl(state.q), 1)}`;
  drawMap();
  setSliders();
  setStrips();
  whenStill();
}

// z goes there in small steps, so that what lies between is seen; at once for those who want nothing to move.
const still = matchMedia("(prefers-reduced-motion: reduce)");
const GLIDE = 350;    // milliseconds
let gliding = 0;

function glide(to, arrived = () => {}) {
  const mine = ++gliding, from = state.z, start = performance.now();
  function step(now) {
    if (mine !== gliding) return;    // something else moves z now
    const t = still.matches ? 1 : clamped((now - start) / GLIDE, 0, 1);
    move(mix(from, to, t));
    if (t < 1) requestAnimationFrame(step);
    else arrived();
  }
  step(start);
}

const mix = (a, b, t) => a.map((value, i) => (1 - t) * value + t * b[i]);

function moveByHand(z) {
  gliding++;
  move(z);
}

// The map: points and axes on one canvas, drawn anew when they change; on the other what moves

const MARGIN = 34;
const extents = Array(n_latent).fill(3);    // how far the codes reach in each dimension
codes.forEach((value, at) => { extents[at % n_latent] = Math.max(extents[at % n_latent], 1.05 * Math.abs(value)); });
let reach = 3;

const side = () => find("map").clientWidth;
const place = (a, b) => [a, -b].map((value) => side() / 2 + value / reach * (side() / 2 - MARGIN));
const height1 = (point) => 4 * point / (codes.length / n_latent) - 2;    // on a map of one dimension

function drawPoints() {
  if (side() < 3 * MARGIN) return;    // it is not on the screen yet
  const [across, up] = state.axes, context = sharp(find("points")), n = codes.length / n_latent;
  reach = Math.max(...state.axes.map((i) => extents[i]));
  const [left, top] = place(-reach, reach), [right, bottom] = place(reach, -reach);
  context.strokeStyle = css("--soft");
  context.lineWidth = 1;
  context.strokeRect(left, top, right - left, bottom - top);
  context.fillStyle = css("--ink");
  context.font = "13px system-ui, sans-serif";
  context.textAlign = "center";
  const unit = place(1, 0)[0] - place(0, 0)[0];    // in pixels, of which each number needs some
  const step = Math.max(1, Math.floor(reach / 3), Math.ceil(24 / unit));
  for (let value = -step * Math.floor(reach / step); value <= reach; value += step) {
    const [x, y] = place(value, value), text = String(value).replace("-", "−");
    context.fillText(text, x, bottom + 15);
    if (up !== undefined) context.fillText(text, left - 12, y + 4);
  }
  context.fillText(`z[${across}]`, side() / 2, bottom + 31);
  if (up !== undefined) {
    context.save();
    context.translate(10, side() / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(`z[${up}]`, 0, 0);
    context.restore();
  }
  const color = colours();
  context.strokeStyle = css("--ink");
  context.lineWidth = 0.4;
  for (let point = 0; point < n; point++) {
    const at = point * n_latent;
    const [x, y] = place(codes[at + across], up === undefined ? height1(point) : codes[at + up]);
    context.fillStyle = color(point);
    context.beginPath();
    context.arc(x, y, 3.2, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
  if (up === undefined) return;
  context.setLineDash([6, 4]);    // inside lie 86 % of the prior's codes; it is seen over many points, too
  for (const [width, stroke] of [[4, css("--card")], [1.5, css("--ink")]]) {
    context.lineWidth = width;
    context.strokeStyle = stroke;
    context.beginPath();
    context.arc(side() / 2, side() / 2, 2 / reach * (side() / 2 - MARGIN), 0, 2 * Math.PI);
    context.stroke();
  }
  context.setLineDash([]);
}

function drawMap() {
  if (side() < 3 * MARGIN) return;
  const context = sharp(find("map")), [across, up = null] = state.axes;
  const at = (z) => place(z[across], up === null ? 0 : z[up]);
  context.lineWidth = 2.5;
  context.strokeStyle = css("--ink");
  context.setLineDash([2, 4]);    // from A to B
  context.beginPath();
  state.ends.forEach((end) => context.lineTo(...at(end)));
  context.stroke();
  context.setLineDash([]);
  // Two standard deviations of q(z|x), along the eigenvectors of its covariance [[a, b], [b, c]]
  const [a, b, c] = up === null ? [vae.posterior.covariance(state.q, across, across), 0, 0] :
    [[across, across], [across, up], [up, up]].map(([i, j]) => vae.posterior.covariance(state.q, i, j));
  const middle = (a + c) / 2, far = Math.hypot((a - c) / 2, b);
  const radii = [middle + far, middle - far].map((variance) =>
    Math.max(4, 2 * Math.sqrt(Math.max(variance, 0)) / reach * (side() / 2 - MARGIN)));
  context.beginPath();
  context.ellipse(...at(state.q.mu), ...radii, -0.5 * Math.atan2(2 * b, a - c), 0, 2 * Math.PI);
  context.stroke();
  for (const [radius, color] of [[9, css("--card")], [7, css("--ink")], [4, css("--accent")]]) {    // z
    context.fillStyle = color;
    context.beginPath();
    context.arc(...at(state.z), radius, 0, 2 * Math.PI);
    context.fill();
  }
  find("map").setAttribute("aria-label", `Map of the codes. ${where()}`);
}

const where = () => state.axes.map((i) => `z[${i}] = ${written(state.z[i])}`).join(", ");

function colours() {    // point -> its colour
  const colouring = given.colourings[state.colouring];
  if (!colouring) return () => css("--accent");
  const { names, values } = colouring;
  if (names) return (point) => colourOf(values[point], names.length);
  const [low, high] = ends(values);
  return (point) => (values[point] === null ? css("--soft") : ramp(high > low ? (values[point] - low) / (high - low) : 0.5));
}

function ends(values) {    // of the numbers that there are
  const known = values.filter((value) => value !== null);
  return [Math.min(...known), Math.max(...known)];
}

const MOST_NAMED = 39;    // classes in a legend

const colourOf = (kind, n) =>
  (n <= given.palette.length ? given.palette[kind] : `hsl(${Math.round(360 * kind / n)} 70% 50%)`);

function ramp(t) {
  const last = given.ramp.length - 1, i = Math.min(Math.floor(t * last), last - 1);
  const parts = [i, i + 1].map((at) => [1, 3, 5].map((digit) => parseInt(given.ramp[at].slice(digit, digit + 2), 16)));
  return `rgb(${mix(parts[0], parts[1], t * last - i).map(Math.round).join(" ")})`;
}

function setLegend() {
  const legend = find("legend"), colouring = given.colourings[state.colouring];
  legend.replaceChildren();
  if (!colouring) return;
  if (colouring.names && colouring.names.length > MOST_NAMED) legend.append(`${colouring.names.length} classes`);
  else if (colouring.names) {
    const list = add(legend, "ul", { className: "legend" });
    colouring.names.forEach((name, kind) => {
      const item = add(list, "li");
      add(item, "span").style.background = colourOf(kind, colouring.names.length);
      item.append(short(name));
      item.title = name;
    });
  } else {
    const [low, high] = ends(colouring.values);
    add(legend, "span", { className: "ramp" }).style.background = `linear-gradient(to right, ${given.ramp.join(", ")})`;
    legend.append(`${short(colouring.name)} from ${inUnits(low)} to ${inUnits(high)}`);
  }
}

function startMap() {
  const map = find("map");
  function moveTo(event) {
    const box = map.getBoundingClientRect(), scale = reach / (side() / 2 - MARGIN);
    const [a, b] = [event.clientX - box.left, event.clientY - box.top].map((at) => (at - side() / 2) * scale);
    const z = state.z.slice();
    z[state.axes[0]] = clamped(a, -reach, reach);
    if (state.axes.length > 1) z[state.axes[1]] = clamped(-b, -reach, reach);
    moveByHand(z);
  }
  dragged(map, moveTo, moveTo);
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  map.addEventListener("keydown", (event) => {
    if (isTheBrowsers(event)) return;
    if (event.key === "Home") glide(state.q.mu.slice());
    else if (event.key in arrows) {
      const z = state.z.slice();
      state.axes.forEach((axis, i) => {
        z[axis] = clamped(z[axis] + (event.shiftKey ? 0.5 : 0.1) * arrows[event.key][i], -reach, reach);
      });
      moveByHand(z);
    } else return;
    event.preventDefault();    // or the page would scroll
  });
  const selects = [find("across"), find("up")].slice(0, state.axes.length);
  find("upward").hidden = selects.length < 2;
  selects.forEach((select, which) => {
    for (const i of byKL) select.add(new Option(`z[${i}]`, i));
    select.addEventListener("change", () => {
      const axis = Number(select.value), other = state.axes[1 - which];
      state.axes[which] = axis;
      if (axis === other) state.axes[1 - which] = byKL.find((i) => i !== axis);
      setMap();
    });
  });
  find("coloured").hidden = given.colourings.length < 2;
  given.colourings.forEach(({ name }, i) => find("colouring").add(new Option(short(name), i)));
  find("colouring").addEventListener("change", (event) => {
    state.colouring = Number(event.target.value);
    setMap();
  });
  find("how-to-move").textContent = "Drag, or use the arrow keys: the decoder shows the code under your hand" +
    (n_latent > 2 ? ", whose other dimensions stay as they are. " : ". ") +
    `Each point is the mean of q(z|x) of a test ${given.shape ? "image" : "row"}; the ellipse is two standard deviations of q(z|x) for the x on the pad.` +
    (n_latent > 1 ? " Inside the dashed circle lie 86 % of the prior's codes." : "");
}

function setMap() {
  state.axes.forEach((axis, i) => { find(i ? "up" : "across").value = axis; });
  find("colouring").value = state.colouring;
  setLegend();
  drawPoints();
  show();
}

const isTheBrowsers = (event) => event.altKey || event.ctrlKey || event.metaKey;    // as Alt and an arrow: back

// Mouse, pen or the first finger: begin(event) where it comes down, on(event) as it moves.
function dragged(element, begin, on) {
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    element.setPointerCapture(event.pointerId);
    element.focus({ preventScroll: true });
    begin(event);
    event.preventDefault();
  });
  element.addEventListener("pointermove", (event) => {
    if (element.hasPointerCapture(event.pointerId)) on(event);
  });
}

// The pad: x is drawn on, pixel by pixel, or its numbers moved up and down

const pen = given.shape && Math.max(0.6, Math.min(...given.shape.slice(0, 2)) / 22);    // its radius, in pixels
let stroke = null;    // what x was before it, and how much of each pixel it covers
let cursor = null;    // where the keyboard is: [row, column], or [column] in a row of numbers

function beginStroke() {
  if (!state.begun && given.shape && given.shape[2] === 1) state.x.fill(given.blank);    // a photo is drawn over
  state.begun = true;
  stroke = { before: state.x.slice(), cover: new Float32Array(given.shape ? given.shape[0] * given.shape[1] : 0) };
}

function ink() {
  const [low] = given.low, [high] = given.high, channels = given.shape[2];
  if (find("erase").checked) return Array(channels).fill(given.blank);
  if (channels === 1) return [given.blank === low ? high : low];
  const colour = [1, 3, 5].map((digit) => parseInt(find("ink").value.slice(digit, digit + 2), 16) / 255);
  return [...colour, 1].slice(0, channels).map((value) => low + value * (high - low));
}

// Ink on every pixel that is nearer than the pen's radius to the line from one place to another, (row, column).
function drawLine(from, to) {
  const [height, width, channels] = given.shape, color = ink();
  const along = [to[0] - from[0], to[1] - from[1]], length2 = along[0] ** 2 + along[1] ** 2;
  for (let i = 0; i < height; i++) for (let j = 0; j < width; j++) {
    const [di, dj] = [i - from[0], j - from[1]];
    const t = length2 ? clamped((di * along[0] + dj * along[1]) / length2, 0, 1) : 0;
    const cover = clamped(pen + 0.5 - Math.hypot(di - t * along[0], dj - t * along[1]), 0, 1), at = i * width + j;
    if (cover <= stroke.cover[at]) continue;
    stroke.cover[at] = cover;
    for (let c = 0; c < channels; c++) {
      const before = stroke.before[at * channels + c];
      state.x[at * channels + c] = onLevels(before + cover * (color[c] - before));
    }
  }
}

// Where the ink of a grey picture lies: its centre of mass, (row, column), and the longer side of the box around it, in
// pixels.  A drawing is out of place where all that the encoder has ever seen is centred, as handwritten digits are.
function extent(x) {
  const width = given.shape[1], rows = [], columns = [];
  let mass = 0, down = 0, right = 0;
  x.forEach((value, at) => {
    const ink = Math.abs(value - given.blank) / (given.high[0] - given.low[0]);
    const i = Math.floor(at / width), j = at % width;
    mass += ink;
    down += ink * i;
    right += ink * j;
    if (ink > 0.5) {
      rows.push(i);
      columns.push(j);
    }
  });
  const length = (places) => Math.max(...places) - Math.min(...places) + 1;
  return { centre: [down / mass, right / mass], side: Math.max(length(rows), length(columns)) };
}

const CENTRED = 0.05;    // of a side: how far the test images' centres may scatter about their mean, to call them centred

function usualExtent() {    // of the test images; null where they have none in common
  if (!given.shape || given.shape[2] > 1) return null;
  const all = Array.from({ length: n_images }, (_, i) => extent(image(i)));
  const mean = (f) => all.reduce((sum, one) => sum + f(one), 0) / n_images;
  const centre = [0, 1].map((k) => mean((one) => one.centre[k]));
  const scatter = Math.sqrt(mean(({ centre: [i, j] }) => (i - centre[0]) ** 2 + (j - centre[1]) ** 2));
  const side = mean((one) => one.side), most = CENTRED * Math.min(...given.shape.slice(0, 2));
  return scatter < most && Number.isFinite(side) ? { centre, side } : null;
}

// Moves and scales what is on the pad, until it lies as the test images do.
function centre(usual) {
  const [height, width] = given.shape, { centre: [ci, cj], side } = extent(state.x), scale = usual.side / side;
  if (!Number.isFinite(scale) || scale === 0) return;    // there is nothing on it
  const x = state.x.slice(), at = (i, j) => (i < 0 || j < 0 || i >= height || j >= width ? given.blank : x[i * width + j]);
  state.x = x.map((_, to) => {
    const i = ci + (Math.floor(to / width) - usual.centre[0]) / scale, j = cj + (to % width - usual.centre[1]) / scale;
    const [above, left] = [Math.floor(i), Math.floor(j)];
    const between = (row) => mix([at(row, left)], [at(row, left + 1)], j - left);
    return onLevels(mix(between(above), between(above + 1), i - above)[0]);
  });
  state.begun = true;
  drawn();
}

// Pixels are bytes, as those of most pictures are, and as a discretized logistic needs them.
const onLevels = (value) => (given.low[0] === 0 && given.high[0] === 1 ? Math.round(255 * value) / 255 : value);

function drawn() {
  state.chosen = null;
  setPressed();
  encode();
}

function startPad() {
  const pad = shaped(find("pad"));
  let last = null;
  const fraction = (event) => {
    const box = pad.getBoundingClientRect();
    return [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
  };
  const pixel = ([down, right]) => [down * given.shape[0] - 0.5, right * given.shape[1] - 0.5];
  function set([down, right]) {    // the number below the hand
    const d = clamped(Math.floor(right * n_data), 0, n_data - 1), floor = Row.floor(pad) / pad.clientHeight;
    state.x[d] = given.low[d] + clamped(1 - down / floor, 0, 1) * (given.high[d] - given.low[d]);
  }
  function on(event) {
    const at = fraction(event);
    if (given.shape) drawLine(pixel(last), pixel(at));
    else for (let t = 0; t <= 1; t += 1 / 64) set(mix(last, at, t));    // a fast hand passes over columns
    last = at;
    drawn();
  }
  dragged(pad, (event) => {
    beginStroke();
    cursor = null;
    last = fraction(event);
    on(event);
  }, on);
  pad.addEventListener("keydown", (event) => {
    const arrows = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], " ": [0, 0] };
    if (!(event.key in arrows) || isTheBrowsers(event)) return;
    event.preventDefault();
    const [down, right] = arrows[event.key];
    if (given.shape) {
      const [height, width] = given.shape, from = cursor || [Math.floor(height / 2), Math.floor(width / 2)];
      cursor = [clamped(from[0] + down, 0, height - 1), clamped(from[1] + right, 0, width - 1)];
      if (event.key === " " || event.shiftKey) {
        beginStroke();
        drawLine(from, cursor);
        drawn();
      }
      tell(`row ${cursor[0] + 1}, column ${cursor[1] + 1}`);
    } else {
      const d = cursor ? clamped(cursor[0] + right, 0, n_data - 1) : 0;
      cursor = [d];
      if (down) {
        const step = (given.high[d] - given.low[d]) / 20;
        state.x[d] = clamped(state.x[d] - down * step, given.low[d], given.high[d]);
        drawn();
      }
      tell(`${column(d)} = ${inUnits(state.x[d])}`);
    }
    setCursor();
  });
  pad.addEventListener("blur", () => {
    cursor = null;
    setCursor();
  });
  find("clear").addEventListener("click", () => {
    if (given.shape) state.x.fill(given.blank);
    else for (let d = 0; d < n_data; d++) state.x[d] = (given.low[d] + given.high[d]) / 2;
    state.begun = true;
    drawn();
  });
  const usual = usualExtent();
  find("centre").hidden = usual === null;
  find("centre").addEventListener("click", () => centre(usual));
  find("clear").textContent = given.shape ? "Clear" : "All to the middle";
  find("erasing").hidden = !given.shape;
  find("telling").hidden = !given.classes;
  find("inking").hidden = !given.shape || given.shape[2] === 1;
  pad.setAttribute("aria-label", given.shape ? "A pad to draw on" : "A row of numbers to change");
  find("how-to-draw").append(given.shape ? "Draw here, with the mouse or a finger. " : "Drag up and down. ");
  add(find("how-to-draw"), "span", { className: "keys", textContent: given.shape ?
    "Arrow keys move, Shift and an arrow key draw, Space draws a dot." :
    "Left and right choose a number, up and down change it." });
  if (usual) find("how-to-draw").append(" Centre moves and scales a drawing as the test images are.");
}

function setCursor() {
  const box = find("cursor");
  box.hidden = cursor === null;
  if (cursor === null) return;
  const [down, right, height, width] = given.shape ? [...cursor, ...given.shape] : [0, cursor[0], 1, n_data];
  Object.assign(box.style, { left: `${100 * right / width}%`, top: `${100 * down / height}%`,
                             width: `${100 / width}%`, height: `${100 / height}%` });
}

// Pictures in a row: the test images, every class, and what lies between two codes

function picture(parent, x) {
  const canvas = shaped(add(parent, "canvas"));
  view.draw(canvas, x);
  return canvas;
}

function button(parent, name) {
  const made = add(parent, "button", { type: "button" });
  made.setAttribute("aria-label", name);
  return made;
}

function startStrips() {
  for (let i = 0; i < n_images; i++) {
    const of = given.labels ? `, ${given.classes[given.labels[i]]}` : "";
    const one = button(find("images"), `Test ${given.shape ? "image" : "row"} ${i + 1}${of}`);
    picture(one, image(i));
    one.addEventListener("click", () => choose(i));
  }
  if (given.classes) {
    find("classes").hidden = false;
    given.classes.forEach((name, label) => {
      const one = button(find("told"), `Class ${name}`);
      picture(one, state.x);
      one.append(short(name));
      one.addEventListener("click", () => {
        state.label = label;
        state.q = vae.infer(state.x, label);    // z stays: the same code as another class
        setPressed();
        moveByHand(state.z);
      });
      find("label").add(new Option(short(name), label));
    });
    find("label").addEventListener("change", (event) => {
      state.label = Number(event.target.value);
      setPressed();
      encode();
    });
  }
  for (let i = 0; i < STEPS; i++) picture(find("between"), state.x).setAttribute("role", "img");
  find("t").addEventListener("input", (event) => moveByHand(mix(...state.ends, Number(event.target.value))));
  for (const [i, id] of ["from", "to"].entries()) {
    find(id).addEventListener("click", () => {
      state.ends[i] = state.z.slice();
      show();
    });
  }
}

function choose(i) {
  const from = state.z;
  Object.assign(state, { x: image(i), chosen: i, begun: true, drawn: null });
  if (given.labels) state.label = given.labels[i];
  infer();
  setPressed();
  const to = state.z;
  state.z = from;
  glide(to);
}

function setPressed() {
  [...find("images").children].forEach((one, i) => one.setAttribute("aria-pressed", i === state.chosen));
  [...find("told").children].forEach((one, label) => one.setAttribute("aria-pressed", label === state.label));
  find("label").value = state.label;
}

// All of them with each move where that takes little time, else once the hand is still.
const AT_ONCE = 5;    // milliseconds
let took = 0, later = null;

function setStrips() {
  clearTimeout(later);
  if (took > AT_ONCE) later = setTimeout(drawStrips, 80);
  else drawStrips();
}

function drawStrips() {
  const start = performance.now();
  [...find("told").children].forEach((one, label) => view.draw(one.firstChild, vae.decode(state.z, label)));
  [...find("between").children].forEach((canvas, i) => {
    const z = mix(...state.ends, i / (STEPS - 1));
    const key = `${state.label} ${z.join()} ${canvas.clientWidth}`;
    if (canvas.shows === key) return;    // they depend on A and B alone
    canvas.shows = key;
    view.draw(canvas, vae.decode(z, state.label));
    canvas.setAttribute("aria-label", `Decoded, ${Math.round(100 * i / (STEPS - 1))} % of the way from A to B`);
  });
  took = performance.now() - start;
}

// A slider for each dimension

function startSliders() {
  const used = byKL.filter((i) => given.kl[i] >= UNUSED), unused = byKL.filter((i) => given.kl[i] < UNUSED);
  const end = Math.ceil(Math.max(4, ...extents));    // as far as any map reaches
  const slider = (parent, i) => {
    const card = add(parent, "div", { className: "slider" });
    add(add(card, "label", { htmlFor: `z${i}`, textContent: `z[${i}]` }), "small",
        { textContent: `KL ${written(given.kl[i])} nats` });
    add(card, "output");
    const input = add(card, "input", { type: "range", id: `z${i}`, min: -end, max: end, step: 0.01 });
    input.addEventListener("input", () => {
      const z = state.z.slice();
      z[i] = Number(input.value);
      moveByHand(z);
    });
  };
  used.forEach((i) => slider(find("used"), i));
  find("unused").hidden = unused.length === 0;
  find("unused").querySelector("summary").textContent =
    `${unused.length} of ${n_latent} dimensions with a KL below ${UNUSED} nats, which the model hardly uses`;
  unused.forEach((i) => slider(find("unused").querySelector("div"), i));
}

function setSliders() {
  for (let i = 0; i < n_latent; i++) {
    const slider = find(`z${i}`), text = written(state.z[i]);
    if (slider.shows === text) continue;
    slider.shows = text;
    slider.value = state.z[i];
    slider.setAttribute("aria-valuetext", `z[${i}] = ${text}`);
    slider.previousElementSibling.textContent = text;
  }
}

// Draws

function startDraws() {
  const eps = () => Array.from({ length: n_latent }, () => rng.standard_normal());
  find("mean").addEventListener("click", () => glide(state.q.mu.slice()));
  find("from-q").addEventListener("click", () => glide(vae.posterior.reparameterize(state.q, eps())));
  find("from-prior").addEventListener("click", () => glide(vae.prior.sample(rng)));
  find("from-likelihood").addEventListener("click", () => {
    state.drawn = vae.likelihood.sample(vae.generate(state.z, state.label), rng);
    show();
  });
}

// What is said to those who do not see it, and the address that brings the same page back, once the hand is still

const tell = (words) => { find("said").textContent = words; };
let stillness = null;

function whenStill() {
  clearTimeout(stillness);
  stillness = setTimeout(() => {
    const said = given.shape ? "" : Row.words(state.drawn || vae.decode(state.z, state.label));
    find("decoded").setAttribute("aria-label", `What the decoder makes of ${where()}${said && ": " + said}`);
    if (cursor === null) tell(said ? `${where()}; ${state.drawn ? "drawn" : "decoded"}: ${said}` : where());
    writeHash();
  }, 250);
}

const list = (values) => [...values].map((value) => Number(value.toFixed(3))).join();

// What has been drawn: pixels as bytes, from the lowest number to the highest, in the base64 of addresses; a row's
// numbers as they are.
const MOST_IN_ADDRESS = 16384;    // numbers; a longer address is not taken everywhere

function packed(x) {
  if (!given.shape) return [...x].map((value) => Number(value.toPrecision(6))).join();
  const [low] = given.low, [high] = given.high;
  const bytes = [...x].map((value) => Math.round(255 * clamped((value - low) / (high - low), 0, 1)));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function unpacked(text) {    // null where it is no such x
  const [low] = given.low, [high] = given.high;
  if (!/^[\w-]*$/.test(text) || text.length !== Math.ceil(4 * n_data / 3)) return null;
  const bytes = [...atob(text.replaceAll("-", "+").replaceAll("_", "/"))].map((letter) => letter.charCodeAt(0));
  return bytes.map((byte) => low + byte / 255 * (high - low));
}

function writeHash() {
  const parts = { map: list(state.axes), colour: state.colouring, a: list(state.ends[0]), b: list(state.ends[1]) };
  if (state.chosen !== null) parts.x = state.chosen;
  else if (n_data <= MOST_IN_ADDRESS) parts.drawn = packed(state.x);
  if ("x" in parts || "drawn" in parts) parts.z = list(state.z);    // z without its x would be that of another
  if (given.classes) parts.class = state.label;
  const hash = `#${Object.entries(parts).map(([name, value]) => `${name}=${value}`).join("&")}`;
  if (location.protocol !== "about:") history.replaceState(null, "", hash);    // of a page inside a page there is none
}

// What the address asks for; whatever in it is no such number is passed over.
function readHash() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const numbers = (name, n, fits) => {
    const values = (asked.get(name) || "").split(",").filter((text) => text.trim()).map(Number);
    return values.length === n && values.every(fits) ? values : null;
  };
  const index = (n) => (value) => Number.isInteger(value) && value >= 0 && value < n;
  const code = (name) => {
    const found = numbers(name, n_latent, (value) => Math.abs(value) < 1e6);
    return found && Float32Array.from(found);
  };
  const [x] = numbers("x", 1, index(n_images)) || [];
  const near = (value, d) => Math.abs(height(value, d) - 0.5) < 0.51;    // as a hand can move it
  const drawn = given.shape ? unpacked(asked.get("drawn") || "") : numbers("drawn", n_data, near);
  gliding++;
  state.drawn = null;
  if (drawn) Object.assign(state, { x: Float32Array.from(drawn), chosen: null, begun: true });
  else if (x !== undefined) {
    Object.assign(state, { x: image(x), chosen: x, begun: x > 0, label: given.labels ? given.labels[x] : null });
  }
  if (given.classes) [state.label] = numbers("class", 1, index(given.classes.length)) || [state.label];
  const axes = numbers("map", state.axes.length, index(n_latent));
  if (axes && new Set(axes).size === axes.length) state.axes = axes;
  [state.colouring] = numbers("colour", 1, index(given.colourings.length)) || [state.colouring];
  infer();
  state.z = code("z") || state.z;
  state.ends = [code("a") || state.ends[0], code("b") || state.ends[1]];
  setPressed();
  setMap();
}

// In a page within a page there is the stage alone.  The page around it is told how tall that is, and may say {dark}.
function frame(again) {
  const root = document.documentElement;
  const inTheDark = [...document.styleSheets[0].cssRules].find((rule) => rule.media?.mediaText.includes("scheme: dark"));
  root.classList.add("framed");
  root.style.setProperty("--tall", `${screen.height}px`);    // this page is as tall as what is in it
  new ResizeObserver(() => parent.postMessage({ height: document.body.offsetHeight }, "*")).observe(document.body);
  addEventListener("message", ({ source, data }) => {
    if (source !== parent || typeof data.dark !== "boolean") return;
    inTheDark.media.mediaText = data.dark ? "all" : "not all";
    root.style.colorScheme = data.dark ? "dark" : "light";
    again();
  });
}

function start() {
  find("explorer").hidden = false;
  find("explorer").classList.add(given.shape ? "pictures" : "rows");
  if (given.shape) document.documentElement.style.setProperty("--ratio", given.shape[1] / given.shape[0]);
  shaped(find("decoded"));
  startMap();
  startPad();
  state.ends = [0, n_images - 1].map((i) => vae.infer(image(i), given.labels ? given.labels[i] : null).mu);
  startSliders();
  startStrips();
  startDraws();
  readHash();
  const again = () => {
    drawPoints();
    [...find("images").children].forEach((one, i) => view.draw(one.firstChild, image(i)));
    [...find("between").children].forEach((canvas) => { canvas.shows = null; });
    show();
  };
  if (parent !== window) frame(again);
  addEventListener("hashchange", readHash);
  addEventListener("resize", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
}

start();
