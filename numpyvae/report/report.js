// What moves in a report: the model to play with, sliders that show decoded images, and a map whose points show theirs.
// Every picture of the latter two is a part of one sheet of pictures in the page; to show it is to move that part into
// view.
"use strict";

function show(sprite, column, row, figure) {
  const percent = (at, n) => (n > 1 ? (100 * at) / (n - 1) : 0);
  const { columns, rows } = figure.dataset;
  sprite.style.backgroundPosition = `${percent(column, columns)}% ${percent(row, rows)}%`;
}

function startSliders(figure) {
  const sliders = [...figure.querySelectorAll("input")];

  function update(slider) {
    const card = slider.parentElement;
    const sprite = card.querySelector(".sprite");
    const value = Number(slider.value).toFixed(2).replace("-", "−");
    const name = `z[${slider.id.slice(1)}]`;
    const column = Math.round((slider.value - slider.min) / slider.step);
    show(sprite, column, slider.dataset.row, figure);
    sprite.setAttribute("aria-label", `The decoded image with ${name} = ${value}`);
    slider.setAttribute("aria-valuetext", `${name} = ${value}`);
    card.querySelector("output").textContent = value;
  }

  for (const slider of sliders) {
    slider.value = slider.defaultValue;    // some browsers bring back where it stood before the page was loaded again
    slider.addEventListener("input", () => update(slider));
    update(slider);
  }
  figure.querySelector("button").addEventListener("click", () => {
    for (const slider of sliders) {
      slider.value = slider.defaultValue;
      update(slider);
    }
  });
  figure.hidden = false;
}

function startMap(figure) {
  const map = figure.querySelector("svg");
  const ring = map.querySelector(".ring");
  const sprite = figure.querySelector(".sprite");
  const words = figure.querySelector("[aria-live]");
  const points = [...map.querySelectorAll("[role=option]")].map((element, index) => ({
    element, index, x: Number(element.getAttribute("cx")), y: Number(element.getAttribute("cy")),
  }));
  let chosen = null;

  function choose(point) {
    if (point === undefined || point === chosen) return;
    if (chosen) chosen.element.setAttribute("aria-selected", "false");
    chosen = point;
    point.element.setAttribute("aria-selected", "true");
    map.setAttribute("aria-activedescendant", point.element.id);
    ring.style.transform = `translate(${point.x}px, ${point.y}px)`;
    const columns = Number(figure.dataset.columns);
    show(sprite, point.index % columns, Math.floor(point.index / columns), figure);
    const text = point.element.getAttribute("aria-label");
    sprite.setAttribute("aria-label", text);
    words.textContent = text;
  }

  // The point for which the distance is smallest; undefined if there is none.
  function nearest(candidates, distance) {
    let best, smallest = Infinity;
    for (const point of candidates) {
      const d = distance(point);
      if (d < smallest) [best, smallest] = [point, d];
    }
    return best;
  }

  function pointAt(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
    choose(nearest(points, (point) => Math.hypot(point.x - at.x, point.y - at.y)));
  }

  // Arrow keys: the nearest point in a cone of 90 degrees.
  const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  function onKey(event) {
    if (event.key === "Home") choose(nearest(points, (point) => point.x));
    else if (event.key === "End") choose(nearest(points, (point) => -point.x));
    else if (event.key in directions) {
      const [right, down] = directions[event.key];
      const ahead = points.filter((point) => {
        const [dx, dy] = [point.x - chosen.x, point.y - chosen.y];
        const along = dx * right + dy * down;
        return along > 0 && along >= Math.abs(dx * down) + Math.abs(dy * right);
      });
      choose(nearest(ahead, (point) => Math.hypot(point.x - chosen.x, point.y - chosen.y)));
    } else return;
    event.preventDefault();    // or the page would scroll
  }

  map.addEventListener("pointermove", pointAt);
  map.addEventListener("pointerdown", pointAt);
  map.addEventListener("keydown", onKey);
  const middle = Number(map.viewBox.baseVal.width) / 2;
  choose(nearest(points, (point) => Math.hypot(point.x - middle, point.y - middle)));
  ring.removeAttribute("hidden");
  figure.querySelector(".chosen").hidden = false;
}

function startPage(figure) {    // the model to play with, in a page within this one, which says how tall it is
  const frame = figure.querySelector("iframe");
  addEventListener("message", ({ source, data }) => {
    if (source === frame.contentWindow && data.height > 0) frame.style.height = `${data.height}px`;
  });
  figure.hidden = false;
  frame.srcdoc = frame.dataset.page;
}

document.querySelectorAll(".play").forEach(startPage);
document.querySelectorAll(".sliders").forEach(startSliders);
document.querySelectorAll(".map").forEach(startMap);
