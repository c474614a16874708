// Keeps a run's page up with the run: whatever happens is told by the event stream, and the parts that changed are
// fetched anew and put in place of the old ones. What is open stays open, and what has the focus keeps it.

const main = document.getElementById("main");
const connection = document.getElementById("connection");
const AT_LEAST_MS = 700;
const AT_MOST_MS = 10_000;
let wanted = false;
let busy = false;
let stream = null;

function say(text) {
  if (connection.textContent !== text) connection.textContent = text;
}

function localTimes(root) {
  for (const each of root.querySelectorAll("time")) {
    const at = new Date(each.dateTime);
    each.title = each.textContent;
    each.textContent = at.toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });
  }
}

async function refresh() {
  if (busy) {
    wanted = true;
    return;
  }
  busy = true;
  wanted = false;
  const began = performance.now();
  try {
    const answer = await fetch(location.pathname, { credentials: "same-origin", headers: { accept: "text/html" } });
    if (answer.status === 401 || answer.status === 403) {
      location.reload();
      return;
    }
    if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    say("The bot does not answer just now; trying again.");
  } finally {
    // A run that is large, or a bot that is busy, is asked less often.
    const took = performance.now() - began;
    setTimeout(() => {
      busy = false;
      if (wanted) refresh();
    }, Math.max(AT_LEAST_MS, 4 * took));
  }
}

function take(fresh) {
  document.title = fresh.title;
  localTimes(fresh);
  const before = document.activeElement;
  const focus = before && main.contains(before) ? place(before) : null;
  for (const part of fresh.querySelectorAll("[data-live]")) {
    const old = document.getElementById(part.id);
    if (!old) {
      location.reload();
      return;
    }
    for (const open of old.querySelectorAll("details[open]")) {
      part.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute("open", "");
    }
    if (old.innerHTML !== part.innerHTML) old.replaceChildren(...part.childNodes);
  }
  if (focus && document.activeElement !== before) document.querySelector(focus)?.focus({ preventScroll: true });
  main.dataset.open = fresh.getElementById("main").dataset.open;
  if (main.dataset.open === "no") end();
}

/** Where an element is, as a selector that finds its successor. */
function place(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  const around = element.closest("[id]");
  const twins = [...around.querySelectorAll(element.localName)];
  const href = element.getAttribute("href");
  if (href) return `#${CSS.escape(around.id)} ${element.localName}[href="${CSS.escape(href)}"]`;
  return twins.indexOf(element) === 0 ? `#${CSS.escape(around.id)} ${element.localName}` : null;
}

function end() {
  stream?.close();
  stream = null;
  say("The run has ended.");
}

function listen() {
  stream = new EventSource(main.dataset.events);
  stream.onopen = () => {
    say("Live");
    refresh();
  };
  stream.onmessage = () => refresh();
  stream.addEventListener("end", () => refresh());
  stream.onerror = () => say("The connection is interrupted; trying again.");
}

/** A link to a step opens what it leads to. */
function openTarget() {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target || target.localName !== "details") return;
  target.open = true;
  target.querySelector("summary").focus({ preventScroll: true });
  target.scrollIntoView({ block: "start" });
}

localTimes(document);
openTarget();
addEventListener("hashchange", openTarget);
main.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="#"]');
  if (link && link.getAttribute("href") === location.hash) openTarget();
});
if (main.dataset.open === "yes") {
  listen();
  setInterval(() => stream && refresh(), AT_MOST_MS);
} else {
  end();
}
