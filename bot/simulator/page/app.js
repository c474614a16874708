// The practice workspace's page: what is shown, as whom, and how it stays live.

import { renderBlocks } from "./blocks.js";
import { composer } from "./composer.js";
import { showViews } from "./dialogs.js";
import { byId, directory, get, h, notify, post } from "./dom.js";
import { renderMessage } from "./messages.js";

const state = { user: null, channel: null, thread: null, tab: "home", messages: new Map(), meanwhile: null, home: null, stream: null, viewsHeard: 0 };

const direct = () => directory.people.get(state.user)?.direct;
const inApp = () => state.channel === direct();
const place = () => (inApp() ? { name: "Runbook Bot", topic: "The app's Home tab, and your direct messages with it" } : directory.channels.get(state.channel));

async function start() {
  const [people, channels] = await Promise.all([get("people"), get("channels")]);
  people.people.forEach((each) => directory.people.set(each.id, each));
  people.groups.forEach((each) => directory.groups.set(each.id, each));
  channels.channels.forEach((each) => directory.channels.set(each.id, each));
  Object.assign(directory, { command: people.command, hints: people.hints, shortcuts: people.shortcuts });
  const wanted = new URLSearchParams(location.search);
  const user = wanted.get("user") ?? sessionStorage.getItem("user");
  state.user = directory.people.get(user)?.can_act ? user : people.people.find((each) => each.can_act).id;
  state.channel = wanted.get("channel") ?? channels.channels[0].id;
  state.thread = wanted.get("thread");
  wire();
  await changeUser(state.user);
  if (wanted.get("message")) byTs(byId("messages"), wanted.get("message"))?.scrollIntoView({ block: "center" });
}

function wire() {
  const acting = byId("acting-as");
  const able = [...directory.people.values()].filter((each) => each.can_act);
  acting.replaceChildren(...able.map((each) => h("option", { value: each.id }, each.name)));
  acting.addEventListener("change", () => changeUser(acting.value));
  byId("thread-close").addEventListener("click", () => openThread(null));
  byId("menu-toggle").addEventListener("click", () => byId("app").classList.toggle("show-sidebar"));
  byId("tab-home").addEventListener("click", () => showTab("home"));
  byId("tab-messages").addEventListener("click", () => showTab("messages"));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && state.thread && !document.querySelector("dialog[open]")) openThread(null);
  });
}

async function changeUser(user) {
  const wasInApp = inApp();
  state.user = user;
  sessionStorage.setItem("user", user);
  const person = directory.people.get(user);
  byId("acting-as").value = user;
  byId("acting-role").textContent = person.role;
  if (wasInApp) state.channel = person.direct;
  if (!canSee(state.channel)) state.channel = [...directory.channels.keys()].find(canSee);
  listen();
  await openChannel(state.channel, state.thread);
  await refreshViews();
}

const canSee = (id) => id === direct() || directory.channels.get(id)?.members.includes(state.user);

async function openChannel(channel, thread = null) {
  state.channel = channel;
  state.tab = inApp() ? "home" : "messages";
  byId("app").classList.remove("show-sidebar");
  await load();
  openThread(thread && state.messages.has(thread) ? thread : null);
  draw();
  if (inApp()) post("home", { user: state.user });
  byId("messages").scrollTop = byId("messages").scrollHeight;
}

/** Reads the channel anew. What the stream tells meanwhile is newer than the answer, and goes on top of it. */
async function load() {
  const meanwhile = [];
  state.meanwhile = meanwhile;
  const answer = await get("messages", { channel: state.channel, user: state.user, thread_ts: "*" });
  if (state.meanwhile !== meanwhile) return;
  state.meanwhile = null;
  state.messages = new Map(answer.messages.map((each) => [each.ts, each]));
  meanwhile.forEach(keep);
}

function keep(event) {
  if (event.type.endsWith("_deleted")) state.messages.delete(event.ts);
  else state.messages.set(event.ts, event.message);
}

async function refreshViews() {
  const heard = state.viewsHeard;
  const { views, home } = await get("views", { user: state.user });
  state.home = home;
  // A form that opened while this was on its way is newer than the answer.
  if (state.viewsHeard === heard) showViews(views, state.user);
  drawHome();
}

// Drawing

function draw() {
  const here = place();
  byId("place-name").textContent = inApp() ? here.name : `# ${here.name}`;
  byId("place-topic").textContent = inApp() ? here.topic : here.topic.value;
  document.title = `${inApp() ? here.name : `#${here.name}`} · Practice workspace`;
  remember();
  drawPlaces();
  drawTabs();
  drawMessages();
  drawComposer();
  drawHome();
}

function remember() {
  const query = new URLSearchParams({ user: state.user, channel: state.channel });
  if (state.thread) query.set("thread", state.thread);
  history.replaceState(null, "", `/?${query}`);
}

function drawPlaces() {
  const item = (id, label) => h("li", {}, h("button", {
    type: "button", class: "place", "aria-current": id === state.channel ? "page" : undefined, onclick: () => openChannel(id),
  }, label));
  byId("channels").replaceChildren(...[...directory.channels.values()].filter((each) => canSee(each.id)).map((each) => item(each.id, `# ${each.name}`)));
  byId("apps").replaceChildren(item(direct(), "Runbook Bot"));
}

function drawTabs() {
  byId("home-tabs").hidden = !inApp();
  byId("tab-home").setAttribute("aria-pressed", `${state.tab === "home"}`);
  byId("tab-messages").setAttribute("aria-pressed", `${state.tab === "messages"}`);
  const home = inApp() && state.tab === "home";
  byId("home").hidden = !home;
  byId("messages").hidden = home;
  byId("composer").hidden = home;
}

function showTab(tab) {
  state.tab = tab;
  drawTabs();
  if (tab === "home") post("home", { user: state.user });
}

function drawHome() {
  const { home } = state;
  if (!home) {
    byId("home").replaceChildren(h("p", { class: "empty" }, "The app has not set up a Home tab for you."));
    return;
  }
  const act = async (block, element, chosen) => {
    const wish = { user: state.user, view_id: home.id, block_id: block.block_id, action_id: element.action_id };
    const answer = await post("click", chosen === undefined ? wish : { ...wish, selected: chosen });
    if (answer.error && answer.ack_ms === undefined) notify(answer.error);
  };
  byId("home").replaceChildren(...renderBlocks(home.blocks, { user: state.user, act, values: home.state.values, viewId: home.id }));
}

const isReply = (message) => message.thread_ts && message.thread_ts !== message.ts;

function drawMessages() {
  const top = [...state.messages.values()].filter((each) => !isReply(each));
  const nodes = top.map((each) => renderMessage(each, state.user, openThread));
  byId("messages").replaceChildren(...(nodes.length ? nodes : [empty()]));
  drawThread();
}

const empty = () => h("p", { class: "empty" }, "Nothing here yet. Type ", h("code", {}, `${directory.command} help`), " to begin.");

function drawThread() {
  if (!state.thread) return;
  const parent = state.messages.get(state.thread);
  const replies = [...state.messages.values()].filter((each) => isReply(each) && each.thread_ts === state.thread);
  byId("thread-place").textContent = inApp() ? "Runbook Bot" : `# ${place().name}`;
  byId("replies").replaceChildren(...[parent, ...replies].filter(Boolean).map((each) => renderMessage(each, state.user)));
}

function drawComposer() {
  composer(byId("composer"), {
    id: "composer-text", place: state.channel, placeholder: `Message ${inApp() ? "Runbook Bot" : `#${place().name}`}, or type ${directory.command}`,
    commands: true, send: (text) => send(text, null), user: state.user,
  });
}

function openThread(ts) {
  const opened = ts && ts !== state.thread;
  state.thread = ts;
  byId("thread").hidden = !ts;
  byId("app").classList.toggle("with-thread", Boolean(ts));
  remember();
  if (!ts) return;
  drawThread();
  if (!opened) return;
  composer(byId("thread-composer"), { id: "thread-text", place: `${state.channel} ${ts}`, placeholder: "Reply, or mention @runbook", commands: false, send: (text) => send(text, ts) });
  byId("replies").scrollTop = byId("replies").scrollHeight;
  byId("thread-text").focus();
}

// Typing

async function send(text, thread) {
  const body = { user: state.user, channel: state.channel };
  if (text.startsWith("/")) {
    if (thread) {
      notify(`${text.split(/\s/)[0]} does not work in threads. Mention @runbook instead: it takes the same words.`);
      return false;
    }
    return command(body, text);
  }
  const answer = await post("say", { ...body, text, ...(thread ? { thread_ts: thread } : {}) });
  if (!answer.ts) notify(answer.error);
  return Boolean(answer.ts);
}

async function command(body, text) {
  const [name, ...rest] = text.split(" ");
  if (name !== directory.command) {
    notify(`${name} is not a command here. The bot listens to ${directory.command}.`);
    return false;
  }
  const answer = await post("command", { ...body, command: name, text: rest.join(" ") });
  if (answer.ack_ms === undefined) notify(answer.error);
  return answer.ack_ms !== undefined;
}

// Staying live

function listen() {
  state.stream?.close();
  let lost = false;
  const stream = new EventSource(`/control/stream?user=${encodeURIComponent(state.user)}`);
  stream.onopen = async () => {
    byId("connection").textContent = "Live";
    if (!lost) return;
    lost = false;
    await load();
    draw();
    refreshViews();
  };
  stream.onerror = () => {
    lost = true;
    byId("connection").textContent = "Connection lost. Trying again…";
  };
  stream.onmessage = (event) => hear(JSON.parse(event.data));
  state.stream = stream;
}

function hear(event) {
  if (event.type === "reset") location.reload();
  else if (event.type === "views") {
    state.viewsHeard += 1;
    showViews(event.stack, state.user);
  }
  else if (event.type === "home") { state.home = event.view; drawHome(); }
  else if (event.type === "notice") notify(event.text);
  else if (event.channel === state.channel) hearMessage(event);
}

function hearMessage(event) {
  state.meanwhile?.push(event);
  keep(event);
  if (event.type.endsWith("_deleted")) {
    [byId("messages"), byId("replies")].forEach((list) => byTs(list, event.ts)?.remove());
    return;
  }
  const message = event.message;
  if (!isReply(message)) put(byId("messages"), message, openThread);
  if (state.thread && (message.ts === state.thread || message.thread_ts === state.thread)) put(byId("replies"), message);
}

const byTs = (list, ts) => list.querySelector(`[data-ts="${CSS.escape(ts)}"]`);

/** Shows a message in its list: in its old place when it was there, else at the end. */
function put(list, message, open) {
  const follow = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const old = byTs(list, message.ts);
  const focused = old?.contains(document.activeElement) ? document.activeElement.closest("[data-action]")?.dataset.action : null;
  const fresh = renderMessage(message, state.user, open);
  if (old) old.replaceWith(fresh);
  else {
    list.querySelector(".empty")?.remove();
    list.append(fresh);
    fresh.classList.add("arriving");
  }
  if (focused) fresh.querySelector(`[data-action="${CSS.escape(focused)}"]`)?.focus();
  if (follow) list.scrollTop = list.scrollHeight;
}

start();
