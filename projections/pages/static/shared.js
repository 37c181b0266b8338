// What the scripts of the pages share. It is loaded before them.
"use strict";

// A browser that has a session already does not use the token of another link: it is not kept.
if (location.hash.startsWith("#orc_token=")) {
  history.replaceState(null, "", location.pathname + location.search);
}

const page = {
  byId: (id) => document.getElementById(id),

  button(text, label, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    return made;
  },
};
