// "Watch it learn": starts the worker at a press, and draws what it posts.
"use strict";

const find = (id) => document.getElementById(id);
const REACH = 4;                  // the map goes at least from -4 to 4
const SIDE = 28, ACROSS = 9;    // of a picture, in pixels; pictures in a row
const COLOURS = { loss: "#d55e00", reconstruction: "#0072b2", KL: "#009e73" };
const state = { worker: null, paused: false, palette: [], labels: [], history: [], last: null };
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function press() {
  if (state.worker === null) {
    state.worker = new Worker(new URL("watch_worker.js", document.querySelector("script[src*='watch.js']").src));
    state.worker.onmessage = ({ data }) => take(data);
    setBeta();
  } else {
    state.paused = !state.paused;
    state.worker.postMessage({ paused: state.paused });
    if (state.last) sayWhetherItLearns();
  }
  find("watch-run").textContent = state.paused ? "Go on" : "Pause";
}

const sayWhetherItLearns = () => { find("watch-said").textContent = state.paused ? "Paused." : "It learns."; };

function setBeta() {
  const beta = Number(find("watch-beta").value);
  find("watch-beta-is").textContent = beta;
  if (state.worker) state.worker.postMessage({ beta });
}

function take(data) {
  if (data.error) {
    find("watch-said").textContent = `It does not run here: ${data.error}. It needs the site as it is published, with ` +
      "the lessons that run in a browser.";
    find("watch-run").disabled = true;
  } else if (data.words) find("watch-said").textContent = data.words;
  else if (data.palette) begin(data);
  else {
    if (data.epoch === 0) state.history = [];
    else state.history.push(data.loss);
    state.last = data;
    find("watch-again").disabled = false;
    if (data.epoch === 0) sayWhetherItLearns();
    draw();
  }
}

function begin(data) {
  Object.assign(state, data);
  for (const digit of [...new Set(data.labels)].sort()) {
    const square = document.createElement("span");
    square.style.color = data.palette[digit];
    square.append("■");
    find("watch-digits").append(square, ` ${digit} `);
  }
}

function sharp(id) {
  const canvas = find(id), ratio = window.devicePixelRatio || 1;
  Object.assign(canvas, { width: canvas.clientWidth * ratio, height: canvas.clientHeight * ratio });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.font = "13px system-ui, sans-serif";
  return { context, width: canvas.clientWidth, height: canvas.clientHeight };
}

function drawLoss() {
  const { context, width, height } = sharp("watch-loss"), left = 46, bottom = height - 20;
  const highest = Math.max(1, ...state.history.flat()), n = Math.max(10, state.history.length);
  const place = (epoch, value) =>
    [left + (width - left - 8) * (epoch - 1) / (n - 1), bottom - (bottom - 8) * value / highest];
  context.strokeStyle = css("--pst-color-border");
  context.strokeRect(left, 8, width - left - 8, bottom - 8);
  context.fillStyle = css("--pst-color-text-base");
  context.fillText(highest.toFixed(0), 4, 18);
  context.fillText("0 nats", 4, bottom);
  context.fillText(`epoch 1 to ${n}`, left, height - 4);
  Object.entries(COLOURS).forEach(([name, colour], which) => {
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.beginPath();
    state.history.forEach((terms, i) => context.lineTo(...place(i + 1, terms[which])));
    context.stroke();
  });
}

function drawMap() {
  const { context, width } = sharp("watch-map"), { means } = state.last;
  const reach = Math.max(REACH, ...means.map(Math.abs));
  const place = (value, sign) => width / 2 + sign * value / reach * (width / 2 - 4);
  context.strokeStyle = css("--pst-color-text-base");
  context.setLineDash([5, 4]);
  context.beginPath();
  context.arc(width / 2, width / 2, place(2, 1) - width / 2, 0, 2 * Math.PI);
  context.stroke();
  for (let i = 0; i < means.length / 2; i++) {
    context.fillStyle = state.palette[state.labels[i]];
    context.beginPath();
    context.arc(place(means[2 * i], 1), place(means[2 * i + 1], -1), 3, 0, 2 * Math.PI);
    context.fill();
  }
}

function drawPictures() {
  const canvas = find("watch-pictures"), { pictures } = state.last, side = ACROSS * SIDE;
  Object.assign(canvas, { width: side, height: side });
  const context = canvas.getContext("2d"), pixels = context.createImageData(side, side);
  pictures.forEach((value, at) => {
    const picture = Math.floor(at / SIDE ** 2), within = at % SIDE ** 2;
    const row = Math.floor(picture / ACROSS) * SIDE + Math.floor(within / SIDE);
    const place = 4 * (row * side + picture % ACROSS * SIDE + within % SIDE);
    pixels.data.fill(Math.round(255 * value), place, place + 3);
    pixels.data[place + 3] = 255;
  });
  context.putImageData(pixels, 0, 0);
}

function draw() {
  if (state.last === null) return;
  const { epoch, loss, seconds } = state.last;
  find("watch-numbers").textContent = epoch === 0 ? "Epoch 0: random weights, nothing learned yet." :
    `Epoch ${epoch}, ${seconds.toFixed(1)} s: loss ${loss[0].toFixed(1)} = reconstruction ${loss[1].toFixed(1)} + ` +
    `β × KL ${loss[2].toFixed(1)}`;
  drawLoss();
  drawMap();
  drawPictures();
}

find("watch-run").addEventListener("click", press);
find("watch-again").addEventListener("click", () => state.worker.postMessage({ again: true }));
find("watch-beta").addEventListener("input", setBeta);
setBeta();    // where a browser has kept it from the last visit
find("watch").hidden = false;
addEventListener("resize", draw);
new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
