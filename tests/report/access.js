// What axe-core leaves open: the contrast of text in drawings and of single characters, repeated ids,
// and heads of tables that do not say of what. Returns a list of faults.
(() => {
  for (const one of document.querySelectorAll("details")) one.open = true;
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

  function rgba(colour) {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  }

  const over = (top, under) => [0, 1, 2].map(i => top[3] * top[i] + (1 - top[3]) * under[i]);

  function behind(element) {
    if (!element) return [255, 255, 255];
    const own = rgba(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own.slice(0, 3) : over(own, behind(element.parentElement));
  }

  // https://www.w3.org/TR/WCAG22/#dfn-relative-luminance
  function luminance(colour) {
    const [r, g, b] = colour.map(v => v / 255).map(
      v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  function contrast(element) {
    const style = getComputedStyle(element), ground = behind(element);
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const both = [over(rgba(ink), ground), ground].map(luminance);
    return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
  }

  function least(element) {
    const style = getComputedStyle(element), size = parseFloat(style.fontSize);
    return size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
  }

  const faults = [], seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), element = walker.currentNode.parentElement;
    if (!text || seen.has(element) || !element.getClientRects().length) continue;
    seen.add(element);
    const found = contrast(element);
    if (found < least(element)) faults.push(`contrast ${found.toFixed(2)}: ${text.slice(0, 40)}`);
  }
  const ids = [...document.querySelectorAll("[id]")].map(one => one.id);
  faults.push(...ids.filter((id, i) => ids.indexOf(id) < i).map(id => `id twice: ${id}`));
  for (const head of document.querySelectorAll("th:not([scope])"))
    faults.push(`no scope: ${head.textContent}`);
  return { faults, texts: seen.size };
})()
