// Exchanges the token after the # of a link for the cookie of a session. No server sees what is there.
"use strict";

(async () => {
  if (!location.hash.startsWith("#orc_token=")) return;
  const answer = await fetch("/-/orc-open", { method: "POST", body: location.hash.slice(1) });
  if (answer.ok) location.replace(location.pathname + location.search);
  else document.querySelector("main").textContent = await answer.text();
})();
