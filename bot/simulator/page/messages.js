// One message as an element.

import { renderBlocks } from "./blocks.js";
import { chooseShortcut, directory, h, notify, personName, post } from "./dom.js";
import { emoji, link, mrkdwn } from "./mrkdwn.js";

const SLACKBOT = "USLACKBOT";

/** A message as `user` sees it. `openThread` is called for its thread; without it there is no thread to open. */
export function renderMessage(message, user, openThread) {
  const act = async (block, element, chosen, source) => {
    const where = message.ephemeral ? { ephemeral_id: message.ephemeral_id } : { channel: message.channel, message_ts: message.ts };
    const wish = { user, ...where, block_id: block.block_id, action_id: element.action_id };
    const answer = await post("click", chosen === undefined ? wish : { ...wish, selected: chosen });
    if (answer.error && answer.ack_ms === undefined) notify(answer.error);
    source?.classList.toggle("failed", !answer.ok);
  };
  const kind = [message.ephemeral && "ephemeral", message.subtype, message.notice && "notice"].filter(Boolean).join(" ");
  return h("article", { class: `message ${kind}`, data: { ts: message.ts }, "aria-label": `Message from ${author(message)}` },
    avatar(message),
    h("div", { class: "message-body" },
      message.ephemeral && h("p", { class: "only-you" }, "Only visible to you"),
      h("header", {}, h("strong", {}, author(message)), message.bot_id && h("span", { class: "badge" }, "App"), time(message)),
      content(message, { user, act }),
      files(message),
      message.edited && !message.bot_id && h("span", { class: "faint" }, "(edited)"),
      reactions(message),
      h("div", { class: "message-foot" }, openThread && threadLine(message, openThread), shortcuts(message, user))));
}

function author(message) {
  if (message.user === SLACKBOT) return "Workspace";
  return message.username ?? personName(message.user);
}

function avatar(message) {
  const initials = author(message).split(" ").map((word) => word[0]).slice(0, 2).join("");
  const people = [...directory.people.keys()];
  const tint = message.user === SLACKBOT ? "x" : people.indexOf(message.user) % 7;
  return h("div", { class: `avatar tint-${tint}`, "aria-hidden": "true" }, message.bot_id ? h("img", { src: "/page/icon.svg", alt: "" }) : initials);
}

function time(message) {
  const when = new Date(Number(message.ts) * 1000);
  return h("time", { datetime: when.toISOString(), title: when.toLocaleString() },
    when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
}

function content(message, context) {
  const parts = [];
  if (message.blocks?.length) parts.push(...renderBlocks(message.blocks, context));
  else if (message.text) parts.push(h("div", { class: "text" }, mrkdwn(message.text)));
  for (const attachment of message.attachments ?? []) {
    parts.push(h("div", { class: "attachment" },
      attachment.text && h("div", { class: "text" }, mrkdwn(attachment.text)), renderBlocks(attachment.blocks ?? [], context)));
  }
  return h("div", { class: "content" }, parts);
}

function files(message) {
  return (message.files ?? []).map((file) => h("p", { class: "file" }, "📄 ", link(file.url_private, file.title), ` (${file.size} bytes)`,
    file.mimetype === "image/png" && h("img", { src: file.url_private, alt: file.alt_txt ?? "" })));
}

function reactions(message) {
  return message.reactions?.length > 0 && h("div", { class: "reactions" },
    message.reactions.map((each) => h("span", { class: "reaction" }, `${emoji(each.name)} ${each.count}`)));
}

/** What the app offers to do about a message. */
function shortcuts(message, user) {
  if (message.ephemeral || message.notice) return null;
  return directory.shortcuts.filter((each) => each.kind === "message").map((each) =>
    h("button", { type: "button", class: "thread-line when-hovered", onclick: () => chooseShortcut(each, user, message) }, `⚡ ${each.name}`));
}

function threadLine(message, openThread) {
  if (message.ephemeral || message.notice) return null;
  const count = message.reply_count ?? 0;
  const says = count ? `${count} ${count === 1 ? "reply" : "replies"}` : "Reply in thread";
  return h("button", { type: "button", class: `thread-line ${count ? "" : "when-hovered"}`, onclick: () => openThread(message.ts) }, says);
}
