"use strict";

// Tables: a click on a heading sorts by its column, largest first for numbers, and turns it round.
const valueOf = (row, place) => {
  const cell = row.cells[place];
  if (cell.dataset.value === undefined) return cell.textContent;
  return cell.dataset.value === "" ? -Infinity : Number(cell.dataset.value);
};

for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => {
    const first = head.classList.contains("number") ? "descending" : "ascending";
    const second = first === "descending" ? "ascending" : "descending";
    const order = head.getAttribute("aria-sort") === first ? second : first;
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const way = order === "ascending" ? 1 : -1;
    const rows = [...body.rows].map((row) => [valueOf(row, place), row]);
    rows.sort(([a], [b]) => way * (typeof a === "number" ? a - b || 0 : a.localeCompare(b)));
    body.append(...rows.map(([, row]) => row));
  }));

  // … and what is typed above it hides the rows without it.
  const filter = table.closest("section").querySelector("input");
  const status = table.closest("section").querySelector("[role=status]");
  const choose = () => {
    const wanted = filter.value.toLowerCase();
    let shown = 0;
    for (const row of body.rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      shown += !row.hidden;
    }
    status.textContent = `${shown} of ${body.rows.length}`;
  };
  filter.addEventListener("input", choose);
  choose();
}

// Pictures: what the pointer is over, in words.
const tip = document.getElementById("tip");
addEventListener("pointermove", (event) => {
  const over = event.target.closest?.("[data-tip]");
  tip.hidden = !over;
  if (!over) return;
  tip.textContent = over.dataset.tip;
  const most = document.documentElement.clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${Math.max(8, Math.min(event.clientX + 12, most))}px`;
  tip.style.top = `${event.clientY + 16}px`;
});

// The JSON, packed into the page by gzip.
document.getElementById("json").addEventListener("click", async (event) => {
  const packed = atob(document.getElementById("document").textContent);
  const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const text = await new Response(stream).text();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = event.target.dataset.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
