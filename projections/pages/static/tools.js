// Copy buttons, the reader's time zone, tools of logs, permalinks to events, and the keyboard.
// Without this script a page is complete: times are UTC, and texts are copied by selecting them.
"use strict";

(() => {
  const { byId, button } = page;
  const COPIED = ".next code, .command-list code, .callout code, .sub > code, pre.text, [data-copy]";
  const SAID_MS = 1500;
  const LINES_MAX = 20000;

  function say(text) {
    byId("news").textContent = text;
  }

  // Copying.

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      area.className = "unseen";
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  }

  function textOf(element) {
    const lines = element.querySelectorAll(".l");
    return lines.length ? [...lines].map((line) => line.textContent).join("\n") : element.textContent;
  }

  function addCopy(element) {
    const what = element.tagName === "PRE" ? "text" : element.textContent.slice(0, 80);
    const made = button("Copy", `Copy ${what}`, async () => {
      const done = await copy(textOf(element));
      made.textContent = done ? "Copied" : "Select it";
      say(done ? "Copied" : "This browser does not let the page copy");
      setTimeout(() => { made.textContent = "Copy"; }, SAID_MS);
    });
    made.className = "copy";
    if (element.tagName !== "PRE") {
      element.after(made);
      return;
    }
    const frame = document.createElement("div");
    frame.className = "copied";
    element.before(frame);
    frame.append(element, made);
  }

  // Times. The HTML has UTC, which stays in the title.

  const two = (number) => String(number).padStart(2, "0");
  const localText = (at) =>
    `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ` +
    `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;

  function showLocal(time) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) return;
    time.title = `${time.textContent.trim()} UTC`;
    time.textContent = localText(at);
  }

  const isUtc = new Date().getTimezoneOffset() === 0 && Intl.DateTimeFormat().resolvedOptions().timeZone === "UTC";

  // Logs.

  function addLogTools(log) {
    const pre = log.querySelector("pre.lines");
    if (!pre) return;
    const key = log.id;
    const state = logs.get(key) || { words: "", follow: log.hasAttribute("data-running") };
    logs.set(key, state);
    const find = document.createElement("input");
    find.type = "search";
    find.placeholder = "Find in the log";
    find.value = state.words;
    find.setAttribute("aria-label", "Find in the log");
    const count = document.createElement("output");
    let hits = [];
    let at = -1;
    const mark = () => {
      const words = state.words.trim().toLowerCase();
      hits = [];
      at = -1;
      for (const line of [...pre.querySelectorAll(".l")].slice(0, LINES_MAX)) {
        const isHit = words !== "" && line.textContent.toLowerCase().includes(words);
        line.classList.toggle("hit", isHit);
        line.classList.remove("now");
        if (isHit) hits.push(line);
      }
      count.textContent = words ? `${hits.length} lines` : "";
    };
    const go = (step) => {
      if (!hits.length) return;
      if (at >= 0) hits[at].classList.remove("now");
      at = (at + step + hits.length) % hits.length;
      hits[at].classList.add("now");
      pre.scrollTop += hits[at].getBoundingClientRect().top - pre.getBoundingClientRect().top - pre.clientHeight / 2;
      count.textContent = `${at + 1} of ${hits.length} lines`;
    };
    find.addEventListener("input", () => { state.words = find.value; mark(); });
    find.addEventListener("keydown", (event) => {
      if (event.key === "Enter") { event.preventDefault(); go(event.shiftKey ? -1 : 1); }
    });
    const tools = document.createElement("div");
    tools.className = "tools";
    tools.append(
      find,
      button("\u2191", "Previous line with these words", () => go(-1)),
      button("\u2193", "Next line with these words", () => go(1)),
      count,
    );
    if (log.hasAttribute("data-running")) {
      const label = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.checked = state.follow;
      box.addEventListener("change", () => { state.follow = box.checked; if (state.follow) pre.scrollTop = pre.scrollHeight; });
      label.append(box, " Follow");
      tools.append(label);
      if (state.follow) pre.scrollTop = pre.scrollHeight;
    }
    (pre.closest(".copied") || pre).before(tools);
    mark();
  }

  const logs = new Map();

  // All of the above, also for what a live update has brought.

  function decorate() {
    for (const one of document.querySelectorAll(COPIED)) {
      if (one.dataset.tools || !one.textContent.trim()) continue;
      one.dataset.tools = "yes";
      addCopy(one);
    }
    for (const one of document.querySelectorAll("details.log[id]")) {
      if (one.dataset.tools) continue;
      one.dataset.tools = "yes";
      addLogTools(one);
    }
    if (isUtc) return;
    for (const one of document.querySelectorAll("main time[datetime]")) {
      if (one.dataset.tools) continue;
      one.dataset.tools = "yes";
      showLocal(one);
    }
    for (const one of document.querySelectorAll("main .zone")) {
      if (one.textContent === "UTC") one.textContent = "local time";
    }
  }

  // Permalinks: `#v12` on the page of a job is the state after its event 12.

  function showEvent() {
    const wanted = /^#v([0-9]{1,12})$/.exec(location.hash);
    if (!wanted || byId(`v${wanted[1]}`)) return;
    const form = byId("moment");
    const events = document.body.dataset.partOf;
    if (!form && !events) return;
    const address = new URL(form ? form.action : events, location.href);
    address.searchParams.set("at", wanted[1]);
    if (!form) address.hash = location.hash;
    location.replace(address);
  }

  // The keyboard.

  const KEYS = [
    ["?", "Show this sheet", () => toggleHelp()],
    ["/", "Search prompts and replies", () => focusOn(byId("find"))],
    ["h", "All jobs", () => follow(".brand")],
    ["u", "Up: from a step or an action to its job", () => follow(".crumbs a")],
    ["f", "Find steps, or in a log", () => focusOn(document.querySelector(".tools input[type=search]"))],
    ["c", "Copy the id of the job", () => copyId()],
    ["[", "State after the previous event", () => follow("#moves [rel=prev]")],
    ["]", "State after the next event", () => follow("#moves [rel=next]")],
    ["n", "Current state", () => follow("#moves [data-now]")],
    ["e", "Events of the job", () => follow("[data-events]")],
    ["a", "Actions for the job", () => follow(".actions a")],
    ["s", "Start a spec", () => follow(".top nav [data-specs]")],
  ];

  const follow = (selector) => { const link = document.querySelector(selector); if (link) link.click(); };
  const focusOn = (element) => { if (element) { element.focus(); element.select(); } };
  const copyId = async () => {
    const id = document.querySelector(".sub code");
    if (id && await copy(id.textContent)) say(`Copied ${id.textContent}`);
  };

  let help = null;

  function toggleHelp() {
    if (!help) {
      help = document.createElement("dialog");
      help.className = "help";
      help.setAttribute("aria-labelledby", "help-title");
      const title = document.createElement("h2");
      title.id = "help-title";
      title.textContent = "Keyboard";
      const list = document.createElement("dl");
      for (const [key, what] of KEYS) {
        const [term, text] = [document.createElement("dt"), document.createElement("dd")];
        const shown = document.createElement("kbd");
        shown.textContent = key;
        term.append(shown);
        text.textContent = what;
        list.append(term, text);
      }
      help.append(title, list, button("Close", "Close this sheet", () => help.close()));
      document.body.append(help);
    }
    if (help.open) help.close();
    else help.showModal();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (help && help.open && event.key !== "?") return;
    const found = KEYS.find(([key]) => key === event.key);
    if (!found) return;
    event.preventDefault();
    found[2]();
  });

  const helpButton = button("?", "Keyboard shortcuts", toggleHelp);
  helpButton.className = "help-button";
  document.querySelector(".top").append(helpButton);
  showEvent();
  addEventListener("hashchange", showEvent);
  decorate();
  new MutationObserver(decorate).observe(byId("main"), { childList: true, subtree: true });
})();
