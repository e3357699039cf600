// Draws the charts, lets a choice change them, sorts tables, filters rows.

const charts = JSON.parse(document.getElementById("charts").textContent);
const options = { renderer: "svg", actions: false, ast: true, tooltip: { disableDefaultStyle: true } };

async function draw(name) {
  const { view } = await vegaEmbed(`#${name}`, charts[name], options);
  for (const choice of document.querySelectorAll(`select[data-charts~="${name}"]`)) {
    choice.addEventListener("change", () => view.signal(choice.dataset.signal, choice.value).runAsync());
  }
}
window.drawn = Promise.all(Object.keys(charts).map(draw));

for (const choice of document.querySelectorAll("select[data-swap]")) {
  choice.addEventListener("change", () => {
    for (const { value } of choice.options) document.getElementById(value).closest("figure").hidden = value !== choice.value;
    window.dispatchEvent(new Event("resize")); // a chart that was hidden has no width yet
  });
}

const number = (text) => parseFloat(text.replace("−", "-"));

function compare(a, b, sign) {
  const [x, y] = [number(a), number(b)];
  if (isNaN(x) && isNaN(y)) return sign * a.localeCompare(b);
  if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y); // a dash stays below whatever the direction
  return sign * (x - y);
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, body = head.closest("table").tBodies[0];
    const sign = head.ariaSort === "ascending" ? -1 : 1;
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.ariaSort = sign > 0 ? "ascending" : "descending";
    const text = (row) => row.cells[head.cellIndex].textContent.trim();
    body.append(...[...body.rows].sort((a, b) => compare(text(a), text(b), sign)));
  });
}

const filters = [...document.querySelectorAll("select[data-filter]")];
for (const filter of filters) {
  filter.addEventListener("change", () => {
    for (const row of document.querySelectorAll("#variants tbody tr")) {
      const has = ({ value, dataset }) => (row.dataset[dataset.filter] ?? "").split("\t").includes(value);
      row.hidden = filters.some((one) => one.value && !has(one));
    }
  });
}
