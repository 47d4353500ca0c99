// Point at a number of a map: what the layer saw there, what it multiplied it by, and the sum.
"use strict";
(() => {
  const given = JSON.parse(document.getElementById("numbers").textContent);
  const TERMS = 3;

  function unpack(packed) {
    const bytes = Uint8Array.from(atob(packed.data), c => c.charCodeAt(0));
    const view = new DataView(bytes.buffer), numbers = new Float64Array(bytes.length / 2);
    for (let i = 0; i < numbers.length; i++) numbers[i] = view.getInt16(2 * i, true) * packed.unit;
    return numbers;
  }

  function maps(key) {
    const packed = given.arrays[key];
    if (!packed) return null;
    if (!packed.numbers) packed.numbers = unpack(packed);
    const [, height, width] = packed.shape;
    const at = (map, r, c) => {
      const i = packed.places.indexOf(map);
      if (i < 0) return null;
      return r < 0 || c < 0 || r >= height || c >= width ? 0
        : packed.numbers[(i * height + r) * width + c];
    };
    return { height, width, at, places: packed.places, limit: packed.unit * 32767 };
  }

  const text = (value, digits = 3) => String(Number(value.toPrecision(digits))).replace("-", "−");

  const PALETTE = [[8, 32, 79], [51, 82, 140], [123, 125, 132], [205, 176, 86], [255, 236, 92]];

  // A map as a picture: blue below zero, grey at zero, yellow above.
  function drawn(x, map) {
    const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
    [canvas.width, canvas.height] = [x.width, x.height];
    const image = pen.createImageData(x.width, x.height);
    for (let r = 0; r < x.height; r++) for (let c = 0; c < x.width; c++) {
      const at = (x.at(map, r, c) / x.limit + 1) * 2, low = Math.min(3, Math.floor(at));
      const colour = PALETTE[low].map((hue, i) => hue + (PALETTE[low + 1][i] - hue) * (at - low));
      image.data.set([...colour, 255], 4 * (r * x.width + c));
    }
    pen.putImageData(image, 0, 0);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `channel ${map + 1} of what went in`);
    return canvas;
  }

  function element(name, className, content) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (content !== undefined) made.textContent = content;
    return made;
  }

  // Terms as people write a sum: 1.2 + 0.3 − 0.4.
  function sum(parts) {
    return parts.map(([value, what], i) => {
      const sign = i ? (value < 0 ? " − " : " + ") : "", shown = i ? Math.abs(value) : value;
      return sign + text(shown) + what;
    }).join("") + " = ";
  }

  function grid(rows) {
    const largest = Math.max(...rows.flat().map(Math.abs)) || 1;
    const table = element("table", "window"), body = element("tbody");
    for (const row of rows) {
      const line = element("tr");
      for (const value of row) {
        const cell = element("td", value < 0 ? "minus" : "", text(value, 2));
        cell.style.setProperty("--share", Math.abs(value) / largest);
        line.append(cell);
      }
      body.append(line);
    }
    table.append(body);
    return table;
  }

  // The terms of the number in a map at (row, column): a window of values and weights per channel.
  function terms(layer, x, map, row, column) {
    const [kh, kw] = layer.kernel, [down, across] = layer.stride;
    const [dh, dw] = layer.dilation || [1, 1], [top, left] = layer.pad || [0, 0];
    const first = [row * down - top, column * across - left];
    const side = n => [...Array(n).keys()];
    const window = channel => side(kh).map(i => side(kw).map(
      j => x.at(channel, first[0] + i * dh, first[1] + j * dw)));
    const box = { row: first[0], column: first[1], rows: (kh - 1) * dh + 1, columns: (kw - 1) * dw + 1 };
    if (layer.kind === "conv") {
      const filters = Object.keys(layer.first).map(Number), f = filters.indexOf(map);
      if (!layer.weights) layer.weights = unpack(layer.W);
      return x.places.filter(c => c >= layer.first[map] && c < layer.first[map] + layer.channels).map(c => {
        const start = (f * layer.channels + c - layer.first[map]) * kh * kw;
        const weights = side(kh).map(i => side(kw).map(j => layer.weights[start + i * kw + j]));
        return { channel: c, box, values: window(c), weights };
      });
    }
    const values = window(map), flat = values.flat();
    const best = layer.kind === "min" ? Math.min(...flat) : Math.max(...flat);
    let taken = false;
    const weights = values.map(line => line.map(value => {
      if (layer.kind === "mean") return 1 / flat.length;
      if (taken || value !== best) return 0;
      taken = true;
      return 1;
    }));
    return [{ channel: map, box, values, weights }];
  }

  const total = term => term.values.flat().reduce((sum, v, i) => sum + v * term.weights.flat()[i], 0);

  function frame(box, x) {
    const made = element("span", "frame");
    made.style.left = `${100 * box.column / x.width}%`;
    made.style.top = `${100 * box.row / x.height}%`;
    made.style.width = `${100 * box.columns / x.width}%`;
    made.style.height = `${100 * box.rows / x.height}%`;
    return made;
  }

  function explain(section, layer, x, y, map, row, column) {
    const panel = section.querySelector(".how"), value = y.at(map, row, column);
    if (!panel || value === null) return;
    panel.hidden = false;
    panel.replaceChildren(element("h3", "", "How one number comes about"));
    const line = element("p", "", `Map ${map + 1}, row ${row + 1}, column ${column + 1}: `);
    line.append(element("strong", "", text(value)));
    panel.append(line);
    if (layer.kind === "same" && x && x.at(map, row, column) !== null) {
      line.append(`, of ${text(x.at(map, row, column))} that went in`);
    }
    if (!x || ["same", "value"].includes(layer.kind)) return;
    const all = terms(layer, x, map, row, column);
    all.sort((a, b) => Math.abs(total(b)) - Math.abs(total(a)));
    const holder = element("div", "terms");
    for (const term of all.slice(0, TERMS)) {
      const made = element("div", "term"), sees = element("div", "sees");
      const framed = element("span", "framed");
      framed.append(drawn(x, term.channel), frame(term.box, x));
      sees.append(framed);
      sees.append(element("span", "kicker", `channel ${term.channel + 1}`));
      made.append(sees, grid(term.values), element("span", "sign", "×"), grid(term.weights),
        element("span", "sign", `= ${text(total(term))}`));
      holder.append(made);
    }
    const others = all.slice(TERMS).reduce((sum, term) => sum + total(term), 0);
    const rest = value - all.reduce((sum, term) => sum + total(term), 0);
    const parts = all.slice(0, TERMS).map(term => [total(term), ""]);
    if (all.length > TERMS) parts.push([others, ` from ${all.length - TERMS} other channels`]);
    if (layer.kind === "conv") {
      const shown = all.length < layer.channels ? "bias and channels that are not shown" : "bias";
      parts.push([rest, ` (${shown})`]);
    }
    const written = element("p", "", sum(parts));
    written.append(element("strong", "", text(value)));
    panel.append(holder, written);
  }

  for (const section of document.querySelectorAll("section[data-layer]")) {
    const layer = given.layers[Number(section.dataset.layer)];
    const x = layer.x ? maps(layer.x) : null, y = layer.y ? maps(layer.y) : null;
    if (!y) continue;
    for (const hint of section.querySelectorAll(".hint")) hint.hidden = false;
    for (const figure of section.querySelectorAll("figure[data-map]")) {
      const map = Number(figure.dataset.map), image = figure.querySelector("img");
      const cell = { row: 0, column: 0 };
      const mark = element("span", "frame"), holder = element("span", "framed");
      image.replaceWith(holder);
      holder.append(image, mark);
      mark.hidden = true;
      holder.dataset.cells = "";
      holder.tabIndex = 0;
      holder.setAttribute("role", "application");
      holder.setAttribute("aria-label", `map ${map + 1}: arrow keys choose a number`);
      const show = (row, column) => {
        cell.row = Math.min(y.height - 1, Math.max(0, row));
        cell.column = Math.min(y.width - 1, Math.max(0, column));
          const placed = frame({ row: cell.row, column: cell.column, rows: 1, columns: 1 }, y);
        mark.style.cssText = placed.style.cssText;
        mark.hidden = false;
        explain(section, layer, x, y, map, cell.row, cell.column);
      };
      const point = event => {
        const box = image.getBoundingClientRect();
        show(Math.floor((event.clientY - box.top) / box.height * y.height),
          Math.floor((event.clientX - box.left) / box.width * y.width));
      };
      holder.addEventListener("pointermove", point);
      holder.addEventListener("pointerdown", point);
      holder.addEventListener("keydown", event => {
        const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
        if (!step[event.key]) return;
        event.preventDefault();
        show(cell.row + step[event.key][0], cell.column + step[event.key][1]);
      });
    }
  }
})();
