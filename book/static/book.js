// A page within a page says how tall it is, and is told whether this one is dark.
const root = document.documentElement;
const within = () => [...document.querySelectorAll("iframe")];
const tell = (frame) => frame.contentWindow.postMessage({ dark: root.dataset.theme === "dark" }, "*");
window.addEventListener("message", ({ source, data }) => {
  const frame = within().find((each) => each.contentWindow === source);
  if (!frame || !(data.height > 0)) return;
  frame.style.height = `${data.height}px`;
  tell(frame);
});
new MutationObserver(() => within().forEach(tell)).observe(root, { attributeFilter: ["data-theme"] });

// What is wider than its place scrolls, by the keyboard too; formulas are as wide as they will be once MathJax is done.
window.addEventListener("load", async () => {
  if (window.MathJax) await MathJax.startup.promise;
  for (const each of document.querySelectorAll("mjx-container, .cell_output, main pre, main .table")) {
    if (each.clientWidth && each.scrollWidth > each.clientWidth) each.tabIndex = 0;
  }
});
