// The studio of a page with scripts: an editor in the place of the text's field, and everything else on the page kept
// up with the text by sending the form that stands there and taking over the parts of the answer that are marked live.

import { editor } from "./studio_editor.js";
import { stepThrough } from "./studio_walk.js";

const form = document.getElementById("desk");
const text = document.getElementById("text");
const connection = document.getElementById("connection");
const PAUSE_MS = 300;
const KEPT = `studio ${location.pathname}`;
let timer = 0;
let asked = 0;

async function send(what, more = {}) {
  const body = new URLSearchParams(new FormData(form));
  for (const [name, value] of Object.entries({ do: what, ...more })) body.set(name, value);
  return fetch(form.action, { method: "POST", credentials: "same-origin", body });
}

/** Send the form and show what is said of it; of several that are under way only the last one counts. */
async function tell(what) {
  const mine = ++asked;
  try {
    const answer = await send(what);
    if (mine !== asked) return;
    if (answer.redirected) {
      sessionStorage.removeItem(KEPT);
      location.assign(answer.url);
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (page.getElementById("desk")) take(page, what);
    else say(page.querySelector("main")?.textContent.trim() || `The bot has answered ${answer.status}.`);
  } catch {
    say("The bot does not answer just now. Your text is kept in this browser.");
  }
}

function say(sentence) {
  connection.textContent = sentence;
}

function take(page, what) {
  say("");
  for (const part of page.querySelectorAll("[data-live]")) {
    const old = document.getElementById(part.id);
    // What was told of an act stays while one goes on typing, and so do a note that is being written and a rehearsal.
    const stays = what === "check" && ["told", "difference", "walk", "version"].includes(part.id);
    const same = old.innerHTML === part.innerHTML || old.contains(document.activeElement);
    if (!stays && !same && !(part.id === "saving" && old.childElementCount && part.childElementCount)) {
      old.replaceChildren(...part.childNodes);
    }
  }
  marks();
  if (what === "rehearse") stepThrough(document.getElementById("walk"), document.getElementById("picture"));
  if (what !== "check") document.getElementById(what === "rehearse" ? "walk" : "told").scrollIntoView({ block: "nearest" });
}

function marks() {
  const found = [...document.querySelectorAll("#problems li")].map((each) => ({
    line: Number(each.dataset.line),
    column: Number(each.dataset.column),
    severity: each.dataset.severity,
    message: each.querySelector(".said").textContent,
    source: each.querySelector(".rule")?.textContent,
  }));
  view.mark(found);
}

function changed(now) {
  text.value = now;
  sessionStorage.setItem(KEPT, now);
  clearTimeout(timer);
  timer = setTimeout(() => tell("check"), PAUSE_MS);
}

async function ask(what, more) {
  const answer = await send(what, more);
  return answer.ok ? answer.json() : {};
}

const saved = text.value;
const before = sessionStorage.getItem(KEPT);
if (before !== null && before !== saved && !document.querySelector("#told .state")) {
  text.value = before;
  document.getElementById("kept").hidden = false;
}
const view = editor(document.getElementById("editor"), text.value, { changed, ask, save: () => tell("save") });
document.getElementById("editor").hidden = false;
document.getElementById("keys").hidden = false;
document.getElementById("plain").hidden = true;
document.getElementById("check").hidden = true;
marks();
if (text.value !== saved) tell("check");
stepThrough(document.getElementById("walk"), document.getElementById("picture"));

form.addEventListener("submit", (event) => {
  const what = event.submitter?.value ?? "check";
  if (what === "download") return;
  event.preventDefault();
  clearTimeout(timer);
  tell(what);
});
document.getElementById("discard").addEventListener("click", () => {
  sessionStorage.removeItem(KEPT);
  view.show(saved);
  document.getElementById("kept").hidden = true;
});
document.getElementById("problems").addEventListener("click", (event) => {
  const item = event.target.closest("a") && event.target.closest("li");
  if (!item) return;
  event.preventDefault();
  view.go(Number(item.dataset.line), Number(item.dataset.column));
});
