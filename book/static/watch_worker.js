// Runs watch.py in Pyodide, one epoch after the other, and posts what it says.  What it is asked for comes as messages
// between two epochs: {beta, paused}, or {again: true} for a new model.
"use strict";

const PYODIDE = new URL("../lite/static/pyodide/", self.location).href;
const NEEDED = ["numpy", "threadpoolctl", "tqdm", "filelock"];    // by what runs here; the rest of the package is drawing
const asked = { beta: 1, paused: false, again: true };
let wake = () => {};

onmessage = ({ data }) => {
  Object.assign(asked, data);
  wake();
};

const say = (words) => postMessage({ words });

async function get(name) {
  const answer = await fetch(PYODIDE + name);
  if (!answer.ok) throw new Error(`${name} is not on this site`);
  return answer;
}

async function load() {
  say("Loading Python, some 12 MB ...");
  const lock = await (await get("pyodide-lock.json")).json();
  importScripts(`${PYODIDE}pyodide.js`);
  const pyodide = await loadPyodide({ indexURL: PYODIDE, lockFileURL: `${PYODIDE}pyodide-lock.json` });
  say("Loading NumPy and numpyvae, some 6 MB ...");
  await pyodide.loadPackage(NEEDED, { messageCallback: () => {} });
  pyodide.unpackArchive(await (await get(lock.packages.numpyvae.file_name)).arrayBuffer(), "wheel");
  pyodide.runPython(await (await fetch(new URL("watch.py", self.location))).text());
  return pyodide;
}

// A Python tuple of numbers, or of arrays, as JavaScript has them.
function taken(pyodide, expression) {
  const found = pyodide.runPython(expression), values = found.toJs();
  found.destroy();
  return values;
}

async function run() {
  const pyodide = await load();
  postMessage({ palette: taken(pyodide, "palette"), labels: taken(pyodide, "labels") });
  for (let epoch = 0; ; epoch++) {
    await new Promise((resolve) => setTimeout(resolve));    // messages that came meanwhile
    while (asked.paused && !asked.again) await new Promise((resolve) => { wake = resolve; });
    let loss = null;
    const start = performance.now();
    if (asked.again) {
      Object.assign(asked, { again: false });
      pyodide.runPython("begin()");
      epoch = 0;
    } else loss = taken(pyodide, `train(${asked.beta})`);
    const seconds = (performance.now() - start) / 1000;
    const [means, pictures] = taken(pyodide, "look()");
    postMessage({ epoch, loss, seconds, means, pictures });
  }
}

run().catch((error) => postMessage({ error: String(error.message || error).trim().split("\n").pop() }));
