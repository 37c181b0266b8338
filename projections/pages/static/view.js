// Zoom of the graph and the timeline; sorting and finding in the tables of steps.
// Without this script the page is complete: the graph scrolls, and the table is in the job's order.
"use strict";

(() => {
  const { byId, button } = page;
  const ZOOM_STEP = 1.25;
  const [ZOOM_MIN, ZOOM_MAX] = [0.05, 8];

  function startGraph() {
    const frame = byId("graph-scroll");
    if (!frame || !frame.querySelector("svg[viewBox]")) return;
    const section = frame.closest("section");
    let zoom = 1;

    const natural = () => {
      const box = frame.querySelector("svg").viewBox.baseVal;
      return [box.width, box.height];
    };
    const apply = () => {
      const svg = frame.querySelector("svg");
      if (!svg) return;
      const [width, height] = natural();
      const wanted = [String(width * zoom), String(height * zoom)];
      // Written only if it differs: the observer below sees what this writes.
      if (svg.getAttribute("width") !== wanted[0]) svg.setAttribute("width", wanted[0]);
      if (svg.getAttribute("height") !== wanted[1]) svg.setAttribute("height", wanted[1]);
      said.textContent = `${Math.round(zoom * 100)} %`;
    };
    const zoomTo = (wanted) => {
      const before = zoom;
      zoom = Math.min(ZOOM_MAX, Math.max(ZOOM_MIN, wanted));
      const middle = [frame.scrollLeft + frame.clientWidth / 2, frame.scrollTop + frame.clientHeight / 2];
      apply();
      const [x, y] = middle.map((one) => (one * zoom) / before);
      frame.scrollTo(x - frame.clientWidth / 2, y - frame.clientHeight / 2);
    };
    const fit = () => {
      const [width, height] = natural();
      const style = getComputedStyle(frame);
      const inner = frame.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
      const full = document.fullscreenElement === section;
      const below = full ? innerHeight - frame.getBoundingClientRect().top - 24 : Infinity;
      zoomTo(Math.min(inner / width, below / height, full ? ZOOM_MAX : 1));
    };
    const screen = () => {
      if (document.fullscreenElement) document.exitFullscreen();
      else section.requestFullscreen().then(fit, () => {});
    };

    const said = document.createElement("output");
    const tools = document.createElement("div");
    tools.className = "tools";
    tools.append(
      button("\u2212", "Make the graph smaller", () => zoomTo(zoom / ZOOM_STEP)),
      button("+", "Make the graph larger", () => zoomTo(zoom * ZOOM_STEP)),
      button("Fit", "Fit the graph into its frame", fit),
      button("1:1", "Show the graph in its own size", () => zoomTo(1)),
      said,
    );
    if (document.fullscreenEnabled) tools.append(button("Full screen", "Show the graph on the full screen", screen));
    frame.before(tools);
    apply();
    new MutationObserver(apply).observe(frame, { childList: true, subtree: true });
  }

  function startTimeline() {
    const frame = byId("timeline-scroll");
    if (!frame || !frame.querySelector("svg")) return;
    let zoom = 1;
    const said = document.createElement("output");
    const apply = () => {
      const svg = frame.querySelector("svg");
      if (!svg) return;
      svg.style.width = zoom === 1 ? "" : `${zoom * 100}%`;
      svg.style.maxWidth = zoom === 1 ? "" : "none";
      svg.style.minWidth = zoom < 1 ? "0" : "";
      said.textContent = `${Math.round(zoom * 100)} %`;
    };
    const zoomTo = (wanted) => {
      const middle = (frame.scrollLeft + frame.clientWidth / 2) / zoom;
      zoom = Math.min(ZOOM_MAX, Math.max(0.5, wanted));
      apply();
      frame.scrollLeft = middle * zoom - frame.clientWidth / 2;
    };
    const tools = document.createElement("div");
    tools.className = "tools";
    tools.append(
      button("\u2212", "Make the timeline smaller", () => zoomTo(zoom / ZOOM_STEP)),
      button("+", "Make the timeline larger", () => zoomTo(zoom * ZOOM_STEP)),
      button("Fit", "Fit the timeline into its frame", () => zoomTo(1)),
      said,
    );
    frame.before(tools);
    apply();
    new MutationObserver(apply).observe(frame, { childList: true, subtree: true });
  }

  // The order and the words are kept here, since live updates replace the tables.
  function startSteps() {
    const first = byId("steps");
    if (!first || !first.querySelector("table.steps")) return;
    const place = first.parentElement;
    const sorts = new Map();
    const find = document.createElement("input");
    find.type = "search";
    find.placeholder = "Find steps";
    find.setAttribute("aria-label", "Find steps by their text");
    const status = document.createElement("select");
    status.setAttribute("aria-label", "Status of the steps");
    const count = document.createElement("output");
    const tools = document.createElement("div");
    tools.className = "tools";
    tools.append(find, status, count);

    const tables = () => [...byId("steps").querySelectorAll("table.steps")];
    const valueOf = (row, at) => row.cells[at].dataset.sort ?? row.cells[at].textContent.trim();
    const compare = (one, other) => {
      const [x, y] = [Number(one), Number(other)];
      if (one === "" || other === "") return (one === "") - (other === "");
      return Number.isNaN(x) || Number.isNaN(y) ? one.localeCompare(other) : x - y;
    };

    const sort = (table) => {
      const body = table.tBodies[0];
      const rows = [...body.rows];
      rows.forEach((row, at) => { row.dataset.at ??= String(at); });
      const wanted = sorts.get(table.caption.textContent);
      [...table.tHead.rows[0].cells].forEach((cell, at) => {
        const isWanted = wanted && wanted.at === at;
        cell.setAttribute("aria-sort", isWanted ? (wanted.down ? "descending" : "ascending") : "none");
      });
      const ordered = rows.sort((one, other) => {
        const place = Number(one.dataset.at) - Number(other.dataset.at);
        if (!wanted) return place;
        const [x, y] = [valueOf(one, wanted.at), valueOf(other, wanted.at)];
        const order = compare(x, y);
        return (wanted.down && x !== "" && y !== "" ? -order : order) || place;
      });
      body.append(...ordered);
    };

    const show = () => {
      const words = find.value.trim().toLowerCase();
      let [shown, total] = [0, 0];
      for (const row of tables().flatMap((table) => [...table.tBodies[0].rows])) {
        row.hidden = !(row.textContent.toLowerCase().includes(words) && (!status.value || row.dataset.status === status.value));
        total += 1;
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = shown === total ? "" : `${shown} of ${total}`;
    };

    const states = () => {
      const found = new Set(tables().flatMap((table) => [...table.tBodies[0].rows].map((row) => row.dataset.status)));
      if (status.value) found.add(status.value);
      const chosen = status.value;
      status.replaceChildren(new Option("all", ""), ...[...found].sort().map((one) => new Option(one, one)));
      status.value = chosen;
    };

    const prepare = () => {
      for (const table of tables()) {
        if (!table.dataset.ready) {
          table.dataset.ready = "yes";
          [...table.tHead.rows[0].cells].forEach((cell, at) => {
            const name = cell.textContent;
            cell.replaceChildren(button(name, `Sort by ${name}`, () => {
              const now = sorts.get(table.caption.textContent);
              const next = !now || now.at !== at ? { at, down: false } : now.down ? null : { at, down: true };
              if (next) sorts.set(table.caption.textContent, next);
              else sorts.delete(table.caption.textContent);
              sort(table);
            }));
          });
        }
        if (sorts.size) sort(table);
      }
      states();
      show();
    };

    first.before(tools);
    find.addEventListener("input", show);
    status.addEventListener("change", show);
    prepare();
    // A live update replaces the whole element.
    new MutationObserver(prepare).observe(place, { childList: true });
  }

  startGraph();
  startTimeline();
  startSteps();
})();
