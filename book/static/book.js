// What is wider than its place scrolls, by the keyboard too; formulas are as wide as they will be once MathJax is done.
window.addEventListener("load", async () => {
  if (window.MathJax) await MathJax.startup.promise;
  for (const each of document.querySelectorAll("mjx-container, .cell_output, main pre, main .table")) {
    if (each.clientWidth && each.scrollWidth > each.clientWidth) each.tabIndex = 0;
  }
});
