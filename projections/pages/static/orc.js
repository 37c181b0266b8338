// Live updates: the page fetches itself again and replaces the parts that have changed.
// Without this script a page is complete, but it does not update.
"use strict";

(() => {
  const HIDDEN_MS = 15000;
  const LOST_MS = 10000;
  let etag = null;
  let timer = 0;
  let lastRequest = 0;
  let address = location.href;

  document.documentElement.classList.add("scripted");
  const { byId } = page;
  // What the server sent for each part: scripts change the parts afterwards.
  const sent = new Map([...document.querySelectorAll("[data-live]")].map((one) => [one.id, one.outerHTML]));

  async function load(wanted, { force = false } = {}) {
    const mine = ++lastRequest;
    const headers = etag && !force ? { "If-None-Match": etag } : {};
    const started = performance.now();
    const answer = await fetch(wanted, { headers, cache: "no-store", redirect: "error" });
    if (mine !== lastRequest) return 0;
    if (answer.status === 200) {
      const text = await answer.text();
      if (mine !== lastRequest) return 0;
      etag = answer.headers.get("ETag");
      // Parsed as a separate document, in which nothing is loaded or run.
      update(new DOMParser().parseFromString(text, "text/html"));
    } else if (answer.status !== 304) {
      throw new Error(String(answer.status));
    }
    return performance.now() - started;
  }

  function update(page) {
    const before = states(document);
    for (const fresh of page.querySelectorAll("[data-live]")) {
      const old = byId(fresh.id);
      if (!old || sent.get(fresh.id) === fresh.outerHTML || isSelected(old)) continue;
      sent.set(fresh.id, fresh.outerHTML);
      replace(old, fresh);
    }
    document.title = page.title;
    if (page.body.dataset.poll) document.body.dataset.poll = page.body.dataset.poll;
    else delete document.body.dataset.poll;
    for (const name of ["version", "job"]) {
      if (page.body.dataset[name]) document.body.dataset[name] = page.body.dataset[name];
    }
    const form = byId("moment");
    const freshForm = page.getElementById("moment");
    if (form && freshForm) updateSlider(form, freshForm);
    announce(before, states(document));
    updateDurations();
  }

  function replace(old, fresh) {
    const focus = old.contains(document.activeElement) ? focusKey(document.activeElement) : null;
    const open = new Map([...old.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
    // Found again by their place among those of their kind: scripts add elements around them.
    const scrolled = ["pre", ".scroll[id]"].flatMap((kind) => [...old.querySelectorAll(kind)]
      .map((one, at) => [kind, at, one.scrollTop, one.scrollLeft])
      .filter(([, , top, left]) => top || left));
    const taken = document.importNode(fresh, true);
    for (const [id, isOpen] of open) {
      const one = [...taken.querySelectorAll("details[id]")].find((found) => found.id === id);
      if (one) one.open = isOpen;
    }
    for (const one of old.querySelectorAll("input:checked")) {
      const same = [...taken.querySelectorAll("input")].find((found) => found.value === one.value);
      if (same) same.checked = true;
    }
    old.replaceWith(taken);
    for (const [kind, at, top, left] of scrolled) {
      const one = taken.querySelectorAll(kind)[at];
      if (one) one.scrollTo(left, top);
    }
    if (focus) {
      const links = [...taken.querySelectorAll("a, button, input, [tabindex]")];
      const next = links.find((one) => focusKey(one) === focus);
      if (next) next.focus({ preventScroll: true });
    }
  }

  function focusKey(element) {
    const link = element.getAttribute("href") || element.getAttributeNS("http://www.w3.org/1999/xlink", "href");
    return element.id || link || element.getAttribute("aria-label") || element.textContent.slice(0, 80);
  }

  function isSelected(element) {
    const selection = getSelection();
    return !!selection && !selection.isCollapsed && selection.containsNode(element, true);
  }

  // For screen readers: the steps and jobs whose status has changed.
  function states(page) {
    const rows = page.querySelectorAll("tr[data-step], tr[data-job]");
    return new Map([...rows].map((row) => [row.dataset.step || row.dataset.job, row.dataset.status]));
  }

  function announce(before, after) {
    const news = [...after].filter(([name, state]) => before.has(name) && before.get(name) !== state);
    if (news.length) byId("news").textContent = news.slice(0, 5).map((one) => one.join(" ")).join(", ");
  }

  function updateDurations() {
    for (const one of document.querySelectorAll("[data-since]")) {
      const seconds = Math.max(0, (Date.now() - Date.parse(one.dataset.since)) / 1000);
      one.textContent = durationText(seconds);
    }
  }

  // The rules of `duration_text` in ledger/wording.py.
  function durationText(seconds) {
    seconds = Math.max(0, seconds);
    const milliseconds = Math.floor(seconds * 1000 + 0.5);
    if (milliseconds < 1 && seconds > 0) return "< 1 ms";
    if (milliseconds < 1000) return `${milliseconds} ms`;
    const tenths = Math.floor(seconds * 10 + 0.5);
    if (tenths < 100 && !Number.isInteger(seconds)) return `${Math.floor(tenths / 10)}.${tenths % 10} s`;
    const two = (number) => String(number).padStart(2, "0");
    const whole = Math.floor(seconds + 0.5);
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} m ${two(whole % 60)} s`;
    const minutes = Math.floor(seconds / 60 + 0.5);
    if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} m`;
    const hours = Math.floor(seconds / 3600 + 0.5);
    return `${Math.floor(hours / 24).toLocaleString("en-US")} d ${hours % 24} h`;
  }

  function schedule(took) {
    clearTimeout(timer);
    const every = Number(document.body.dataset.poll || 0);
    if (!every) return;
    const wait = document.hidden ? HIDDEN_MS : Math.max(every, 5 * took);
    timer = setTimeout(poll, wait);
  }

  async function poll() {
    let took = 0;
    try {
      took = await load(address);
      byId("lost").hidden = true;
    } catch {
      byId("lost").hidden = false;
      took = LOST_MS / 5;
    }
    schedule(took);
  }

  // The slider: it shows the state after the chosen event.
  function updateSlider(form, fresh) {
    const head = fresh.dataset.head;
    if (form.dataset.head === head && form.dataset.moved) return;
    form.dataset.head = head;
    for (const name of ["at", "at-range"]) {
      const input = byId(name);
      input.max = head;
      if (document.activeElement !== input) input.value = fresh.querySelector(`#${name}`).value;
    }
  }

  function startSlider() {
    const form = byId("moment");
    if (!form) return;
    const [range, number] = [byId("at-range"), byId("at")];
    let waiting = 0;
    const show = () => {
      const isNow = Number(range.value) >= Number(range.max);
      const wanted = new URL(form.action);
      if (!isNow) wanted.searchParams.set("at", range.value);
      address = wanted.href;
      history.replaceState(null, "", address);
      load(address, { force: true }).then(schedule, () => { byId("lost").hidden = false; });
    };
    const move = (from, to) => {
      to.value = from.value;
      clearTimeout(waiting);
      clearTimeout(timer);
      waiting = setTimeout(show, 120);
    };
    range.addEventListener("input", () => move(range, number));
    number.addEventListener("input", () => { if (number.value && number.validity.valid) move(number, range); });
    form.addEventListener("submit", (event) => { event.preventDefault(); show(); });
  }

  document.addEventListener("visibilitychange", () => { if (!document.hidden) schedule(0); });
  setInterval(updateDurations, 1000);
  startSlider();
  schedule(0);
})();
