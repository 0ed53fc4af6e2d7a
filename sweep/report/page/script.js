"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");

  // Charts: drawn again when the theme or the width changes
  const charts = read("charts");
  const size = () => {
    const room = document.querySelector(".chart")?.clientWidth ?? 0;
    return room >= 930 ? "wide" : room >= 610 ? "medium" : "narrow";
  };
  const draw = async () => {
    const theme = dark.matches ? "dark" : "light", width = size();
    for (const [id, each] of Object.entries(charts.specs)) {
      const box = document.getElementById(id);
      const spec = { ...each[width], datasets: charts.datasets };
      const options = { config: charts.themes[theme], renderer: "svg", actions: charts.actions, tooltip: { theme } };
      const inner = document.createElement("div");  // its class and padding stay off the box, which is measured
      await vegaEmbed(inner, spec, options);
      box.replaceChildren(inner);
      const svg = box.querySelector("svg");
      if (svg) { svg.setAttribute("role", "img"); svg.setAttribute("aria-label", each.alt); }
      box.dataset.drawn = theme;
    }
    Object.assign(document.documentElement.dataset, { drawn: theme, width });
  };
  let waiting = draw();
  const again = () => { waiting = waiting.then(draw); };
  dark.addEventListener("change", again);
  addEventListener("resize", () => { if (size() !== document.documentElement.dataset.width) again(); });

  // The table: sorted by a click on a column, filtered by words and comparisons
  if (!document.getElementById("trials")) return;
  const { columns, rows } = read("trials");
  const head = document.querySelector("#whole thead tr"), body = document.querySelector("#whole tbody");
  const filter = document.getElementById("filter"), told = document.getElementById("told"), more = document.getElementById("more");
  let sorted = { column: -1, down: false }, shown = 50;

  const text = (cell) => cell === null ? "–" : typeof cell === "boolean" ? (cell ? "on" : "off")
    : typeof cell === "number" ? (Number.isInteger(cell) ? String(cell) : String(Number(cell.toPrecision(5)))) : cell;
  const compare = (a, b) => a === null ? (b === null ? 0 : 1) : b === null ? -1
    : typeof a === "number" && typeof b === "number" ? a - b : String(text(a)).localeCompare(String(text(b)), undefined, { numeric: true });
  const tests = { "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b };

  const wanted = (term) => {
    const found = /^(.+?)(<=|>=|!=|=|<|>)(.+)$/.exec(term);
    const place = found ? columns.findIndex((column) => column.toLowerCase() === found[1]) : -1;
    if (place < 0) return (row) => row.some((cell) => String(text(cell)).toLowerCase().includes(term));
    const [, , sign, value] = found;
    if (sign in tests) return (row) => typeof row[place] === "number" && tests[sign](row[place], Number(value));
    const same = (cell) => typeof cell === "number" ? cell === Number(value) : String(text(cell)).toLowerCase() === value;
    return (row) => same(row[place]) === (sign === "=");
  };
  const show = () => {
    const terms = filter.value.toLowerCase().split(/\s+/).filter(Boolean).map(wanted);
    const kept = rows.filter((row) => terms.every((term) => term(row)));
    if (sorted.column >= 0) {
      const sign = sorted.down ? -1 : 1;
      kept.sort((a, b) => a[sorted.column] === null || b[sorted.column] === null
        ? compare(a[sorted.column], b[sorted.column]) : sign * compare(a[sorted.column], b[sorted.column]));
    }
    body.replaceChildren(...kept.slice(0, shown).map((row) => {
      const line = document.createElement("tr");
      row.forEach((cell, place) => {
        const box = line.insertCell();
        box.textContent = text(cell);
        if (typeof cell === "string") box.className = columns[place] === "state" ? `text state-${cell}` : "text";
      });
      return line;
    }));
    told.textContent = `${Math.min(shown, kept.length).toLocaleString("en")} of ${kept.length.toLocaleString("en")} trials`;
    more.hidden = kept.length <= shown;
    [...head.cells].forEach((cell, place) => {
      cell.setAttribute("aria-sort", place !== sorted.column ? "none" : sorted.down ? "descending" : "ascending");
      cell.firstChild.textContent = columns[place] + (place !== sorted.column ? "" : sorted.down ? " ▾" : " ▴");
    });
  };
  columns.forEach((name, place) => {
    const cell = document.createElement("th"), button = document.createElement("button");
    cell.scope = "col";
    if (rows.some((row) => typeof row[place] === "string")) cell.className = "text";
    button.type = "button";
    button.addEventListener("click", () => {
      sorted = { column: place, down: sorted.column === place && !sorted.down };
      show();
    });
    cell.append(button);
    head.append(cell);
  });
  filter.addEventListener("input", () => { shown = 50; show(); });
  more.addEventListener("click", () => { shown += 500; show(); });
  show();
})();
