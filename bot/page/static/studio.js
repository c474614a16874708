// The studio of a page with scripts: editors in the place of the fields, and everything else on the page kept up with
// what is typed by sending the form that stands there and taking over the parts of the answer that are marked live.

import { editor } from "./studio_editor.js";
import { keeper } from "./studio_kept.js";
import { stepThrough } from "./studio_walk.js";

const form = document.getElementById("desk");
const text = document.getElementById("text");
const rehearsal = document.getElementById("rehearsal");
const connection = document.getElementById("connection");
const PAUSE_MS = 300;
const KEPT = "What you have typed is kept in this tab: load the page here again afterwards.";
const kept = keeper([text, rehearsal]);
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
  const sent = kept.now();
  try {
    const answer = await send(what);
    if (mine !== asked) return;
    if (answer.redirected) {
      kept.savedAs(answer.url, sent);
      location.assign(answer.url);
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (page.getElementById("desk")) take(page, what);
    else say(`${sentences(page) || `The bot has answered ${answer.status}.`} ${KEPT}`);
  } catch {
    say(`The bot does not answer just now. ${KEPT}`);
  }
}

/** What a page of trouble says. */
function sentences(page) {
  return [...page.querySelectorAll("main > *")].map((each) => each.textContent.trim()).join(" ");
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
  view.mark(found("problems"));
  cases.mark(found("rehearsal-problems"));
}

/** The problems of a list that have their place in the text beside it. */
function found(list) {
  return [...document.querySelectorAll(`#${list} li[data-line]`)].map((each) => ({
    line: Number(each.dataset.line),
    column: Number(each.dataset.column),
    severity: each.dataset.severity,
    message: each.querySelector(".said").textContent,
    source: each.querySelector(".rule")?.textContent,
  }));
}

function changed() {
  kept.keep();
  clearTimeout(timer);
  timer = setTimeout(() => tell("check"), PAUSE_MS);
}

/** The editor in the place of a field of the form, which it keeps up. */
function editing(field, place, plain, { label, height }) {
  const host = document.getElementById(place);
  host.hidden = false;
  const made = editor(host, field.value, {
    name: field.name, label, height, ask, save: () => tell("save"),
    changed(now) {
      field.value = now;
      changed();
    },
  });
  document.getElementById(plain).hidden = true;
  return made;
}

async function ask(what, more) {
  const answer = await send(what, more);
  return answer.ok ? answer.json() : {};
}

const restored = kept.restore();
document.getElementById("kept").hidden = !restored;
const view = editing(text, "editor", "plain", { label: "The runbook as YAML", height: "20rem" });
const cases = editing(rehearsal, "rehearsal-editor", "plain-rehearsal", { label: "The cases as YAML", height: "12rem" });
document.getElementById("keys").hidden = false;
document.getElementById("check").hidden = true;
marks();
if (restored) tell("check");
stepThrough(document.getElementById("walk"), document.getElementById("picture"));

form.addEventListener("submit", (event) => {
  const what = event.submitter?.value ?? "check";
  if (what === "download") {
    kept.handedOut();
    return;
  }
  event.preventDefault();
  clearTimeout(timer);
  tell(what);
});
document.getElementById("discard").addEventListener("click", () => {
  view.show(kept.saved[0]);
  cases.show(kept.saved[1]);
  kept.forget();
  document.getElementById("kept").hidden = true;
});
for (const [list, where] of [["problems", view], ["rehearsal-problems", cases]]) {
  document.getElementById(list).addEventListener("click", (event) => {
    const item = event.target.closest("a") && event.target.closest("li");
    if (!item) return;
    event.preventDefault();
    where.go(Number(item.dataset.line), Number(item.dataset.column));
  });
}
