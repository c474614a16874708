// Building elements, talking to the workspace, and the directory everyone shares.

/** An element with properties and children. Text is always text: nothing here ever parses HTML. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

export async function get(what, query = {}) {
  const response = await fetch(`/control/${what}?${new URLSearchParams(query)}`);
  return response.json();
}

export async function post(what, body) {
  const response = await fetch(`/control/${what}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return response.json();
}

/** Who and what there is, filled once at the start. */
export const directory = { people: new Map(), channels: new Map(), groups: new Map(), command: "/runbook", hints: [], shortcuts: [] };

/** Chooses one of the app's shortcuts; `message` is where one for messages was chosen. */
export async function chooseShortcut(shortcut, user, message) {
  const where = message ? { channel: message.channel, message_ts: message.ts } : {};
  const answer = await post("shortcut", { user, callback_id: shortcut.callback_id, ...where });
  if (answer.error && answer.ack_ms === undefined) notify(answer.error);
}

export function personName(id) {
  return directory.people.get(id)?.name ?? id;
}

export function channelName(id) {
  return directory.channels.get(id)?.name ?? id;
}

let noticeTimer;

/** Says something to the person at the screen for a few seconds. */
export function notify(text) {
  const box = byId("notices");
  box.replaceChildren(h("p", {}, text));
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => box.replaceChildren(), 7000);
}
