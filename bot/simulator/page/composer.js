// The box one types in, with suggestions for commands, people and channels.

import { chooseShortcut, directory, h } from "./dom.js";

/**
 * Builds a composer in `form`. `send` gets the text and resolves to whether it went out; `user` may choose shortcuts.
 * What is typed is kept by `place`, whoever acts, also while they are elsewhere or the page is loaded anew.
 */
export function composer(form, { id, place, placeholder, commands, send, user }) {
  const listId = `${id}-suggestions`;
  const text = h("textarea", {
    id, rows: 1, placeholder, "aria-label": placeholder, role: "combobox", "aria-expanded": "false",
    "aria-controls": listId, "aria-autocomplete": "list", autocomplete: "off", spellcheck: "false",
  });
  const list = h("ul", { class: "suggestions", id: listId, role: "listbox", "aria-label": "Suggestions", hidden: true });
  const state = { text, list, commands, found: [], at: -1 };
  const shortcuts = user ? directory.shortcuts.filter((each) => each.kind === "global") : [];
  const choices = shortcuts.map((each) =>
    h("button", { class: "button shortcut", type: "button", title: "Shortcut", onclick: () => chooseShortcut(each, user) }, `⚡ ${each.name}`));
  const old = form.querySelector("textarea");
  const typing = old !== null && old === document.activeElement;
  text.value = draft(place);
  form.replaceChildren(list, text, ...choices, h("button", { class: "button primary", type: "submit", "aria-label": "Send" }, "Send"));
  fit(text);
  if (typing) text.focus();
  text.addEventListener("input", () => { keepDraft(place, text.value); fit(text); suggest(state); });
  text.addEventListener("blur", () => setTimeout(() => hide(state), 150));
  text.addEventListener("keydown", (event) => onKey(event, state, form));
  form.onsubmit = async (event) => {
    event.preventDefault();
    const said = text.value.trim();
    if (!said) return;
    hide(state);
    text.value = "";
    keepDraft(place, "");
    fit(text);
    if (await send(said).catch(() => false)) return;
    const typed = draft(place);
    keepDraft(place, typed ? `${said}\n${typed}` : said);
    if (!text.isConnected) return;
    text.value = draft(place);
    fit(text);
  };
  return text;
}

const draft = (place) => sessionStorage.getItem(`draft ${place}`) ?? "";

function keepDraft(place, text) {
  if (text) sessionStorage.setItem(`draft ${place}`, text);
  else sessionStorage.removeItem(`draft ${place}`);
}

function onKey(event, state, form) {
  const open = state.found.length > 0;
  if (event.key === "Escape" && open) hide(state);
  else if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    const step = event.key === "ArrowDown" ? 1 : -1;
    mark(state, (state.at + step + state.found.length) % state.found.length);
  } else if (open && (event.key === "Tab" || (event.key === "Enter" && state.at >= 0))) use(state, state.found[Math.max(0, state.at)]);
  else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) form.requestSubmit();
  else return;
  event.preventDefault();
}

function fit(text) {
  text.rows = Math.min(8, text.value.split("\n").length);
}

function suggest(state) {
  const before = state.text.value.slice(0, state.text.selectionStart);
  const word = /(?:^|\s)([@#][\w-]*)$/.exec(before)?.[1];
  if (before.startsWith("/") && state.commands) {
    state.found = directory.hints
      .map(([command, says]) => ({ insert: `${directory.command} ${command}`.trim(), says, from: 0 }))
      .filter((each) => each.insert.startsWith(before) && each.insert !== before);
  } else if (word) state.found = names(word, before.length - word.length);
  else state.found = [];
  draw(state);
}

function names(word, from) {
  const known = word[0] === "@"
    ? [...[...directory.people.values()].filter((each) => each.can_act || each.bot), ...directory.groups.values()]
      .map((each) => ({ insert: `@${each.handle}`, says: each.name, from }))
    : [...directory.channels.values()].map((each) => ({ insert: `#${each.name}`, says: each.topic?.value ?? "", from }));
  return known.filter((each) => each.insert.startsWith(word) && each.insert !== word).slice(0, 8);
}

function draw(state) {
  state.at = -1;
  state.list.replaceChildren(...state.found.map((each, index) =>
    h("li", { role: "option", id: `${state.list.id}-${index}`, onmousedown: (event) => { event.preventDefault(); use(state, each); } },
      h("b", {}, each.insert), h("span", {}, each.says))));
  state.list.hidden = state.found.length === 0;
  state.text.setAttribute("aria-expanded", `${state.found.length > 0}`);
}

function mark(state, index) {
  state.at = index;
  [...state.list.children].forEach((each, at) => each.setAttribute("aria-selected", `${at === index}`));
  state.list.children[index].scrollIntoView({ block: "nearest" });
  state.text.setAttribute("aria-activedescendant", state.list.children[index].id);
}

function use(state, chosen) {
  const rest = state.text.value.slice(state.text.selectionStart);
  state.text.value = `${state.text.value.slice(0, chosen.from)}${chosen.insert} ${rest}`;
  state.text.dispatchEvent(new Event("input"));
  hide(state);
  fit(state.text);
  state.text.focus();
}

function hide(state) {
  state.found = [];
  draw(state);
  state.text.removeAttribute("aria-activedescendant");
}
