// Text as people read it: Slack's mrkdwn, and the Markdown of markdown blocks, as elements. Nothing is parsed as HTML.

import { channelName, directory, h, personName } from "./dom.js";

const EMOJI = {
  white_check_mark: "✅", heavy_check_mark: "✔️", x: "❌", warning: "⚠️", rotating_light: "🚨", hourglass: "⌛",
  hourglass_flowing_sand: "⏳", eyes: "👀", tada: "🎉", rocket: "🚀", fire: "🔥", lock: "🔒", thumbsup: "👍", "+1": "👍",
  thumbsdown: "👎", "-1": "👎", pause_button: "⏸️", double_vertical_bar: "⏸️", arrow_forward: "▶️", stop_button: "⏹️",
  black_square_for_stop: "⏹️", repeat: "🔁", bell: "🔔", book: "📖", clipboard: "📋", question: "❓", bulb: "💡",
  large_green_circle: "🟢", large_yellow_circle: "🟡", red_circle: "🔴", white_circle: "⚪", large_blue_circle: "🔵",
  no_entry: "⛔", no_entry_sign: "🚫", raised_hand: "✋", wave: "👋", speech_balloon: "💬", gear: "⚙️", link: "🔗",
  information_source: "ℹ️", clock1: "🕐", stopwatch: "⏱️", construction: "🚧", broom: "🧹", shield: "🛡️",
  fast_forward: "⏩", next_track_button: "⏭️", leftwards_arrow_with_hook: "↩️", grey_question: "❔", robot_face: "🤖",
};

export const emoji = (name) => EMOJI[name] ?? `:${name}:`;

const decode = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

const safeAddress = (address) => /^(https?:|mailto:)/i.test(address);

export function link(address, label) {
  if (!safeAddress(address)) return document.createTextNode(label ?? address);
  return h("a", { href: address, target: "_blank", rel: "noreferrer noopener" }, label ?? address.replace(/^mailto:/, ""));
}

export const mention = (text) => h("span", { class: "mention" }, text);

const INLINE = new RegExp(
  [
    "`([^`\\n]+)`",
    "<([^<>\\n]+)>",
    "(?<![\\w*])\\*(?![\\s*])([^*\\n]*[^*\\s])\\*(?![\\w*])",
    "(?<![\\w_])_(?![\\s_])([^_\\n]*[^_\\s])_(?![\\w_])",
    "(?<![\\w~])~(?![\\s~])([^~\\n]*[^~\\s])~(?![\\w~])",
    ":([a-z0-9_+-]+):",
  ].join("|"),
  "g",
);

/** mrkdwn as a list of nodes. */
export function mrkdwn(text) {
  return text.split(/```/).flatMap((part, index, parts) => {
    const closed = index % 2 === 1 && index < parts.length - 1;
    if (closed) return [h("pre", {}, h("code", {}, decode(plainSpecials(part.replace(/^\n/, "")))))];
    return quoted(index % 2 === 1 ? "```" + part : part);
  });
}

/** Plain text as Slack shows it: entities decoded, emoji names as emoji. */
export function plain(text) {
  return [decode(text).replace(/:([a-z0-9_+-]+):/g, (whole, name) => EMOJI[name] ?? whole)];
}

function quoted(text) {
  const nodes = [];
  for (const group of text.split(/((?:^|\n)(?:&gt;|>)[^\n]*(?:\n(?:&gt;|>)[^\n]*)*)/)) {
    if (/^\n?(&gt;|>)/.test(group)) {
      const inside = group.replace(/^\n/, "").split("\n").map((line) => line.replace(/^(&gt;|>) ?/, "")).join("\n");
      nodes.push(h("blockquote", {}, inline(inside)));
    } else nodes.push(...inline(group));
  }
  return nodes;
}

function inline(text) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    nodes.push(...lines(text.slice(end, match.index)));
    nodes.push(styled(match));
    end = match.index + match[0].length;
  }
  return [...nodes, ...lines(text.slice(end))];
}

function styled([whole, code, special, bold, italic, strike, name]) {
  if (code !== undefined) return h("code", {}, decode(plainSpecials(code)));
  if (special !== undefined) return reference(special);
  if (bold !== undefined) return h("strong", {}, inline(bold));
  if (italic !== undefined) return h("em", {}, inline(italic));
  if (strike !== undefined) return h("s", {}, inline(strike));
  return document.createTextNode(EMOJI[name] ?? whole);
}

const lines = (text) => decode(text).split("\n").flatMap((line, index) => (index ? [h("br"), line] : [line]));

const plainSpecials = (text) => text.replace(/<(https?:[^|>]+)(?:\|([^>]*))?>/g, (_, address, label) => label || address);

/** What stands between < and >: a person, a channel, a group, a date or a link. */
function reference(inside) {
  const [target, label] = split(inside);
  if (target.startsWith("@")) return mention(`@${personName(target.slice(1))}`);
  if (target.startsWith("#")) return mention(`#${label || channelName(target.slice(1))}`);
  if (target.startsWith("!subteam^")) return mention(label || `@${groupHandle(target.slice(9))}`);
  if (target.startsWith("!date^")) return date(target.slice(6), label);
  if (target.startsWith("!")) return mention(`@${label || target.slice(1)}`);
  return link(decode(target), label ? decode(label) : undefined);
}

function split(inside) {
  const bar = inside.indexOf("|");
  return bar < 0 ? [inside, ""] : [inside.slice(0, bar), inside.slice(bar + 1)];
}

export const groupHandle = (id) => directory.groups.get(id)?.handle ?? id;

function date(spec, fallback) {
  const [stamp, format = "{date} {time}", address] = spec.split("^");
  const shown = dateText(Number(stamp), format);
  const time = h("time", { datetime: isoDate(stamp), title: decode(fallback) }, shown ?? decode(fallback));
  return address ? link(decode(address), shown ?? decode(fallback)) : time;
}

const isoDate = (stamp) => (Number.isFinite(Number(stamp)) ? new Date(Number(stamp) * 1000).toISOString() : undefined);

/** A time in the words of Slack's date tokens, undefined when the stamp is no number. */
export function dateText(stamp, format) {
  if (!Number.isFinite(stamp)) return undefined;
  const when = new Date(stamp * 1000);
  const clock = (options) => when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...options });
  const day = (options) => when.toLocaleDateString([], options);
  return format.replace(/\{(\w+)\}/g, (whole, token) => {
    if (token === "time") return clock({});
    if (token === "time_secs") return clock({ second: "2-digit" });
    if (token === "ago") return ago(when);
    if (token === "date_num") return when.toISOString().slice(0, 10);
    if (token.endsWith("_pretty") && sameDay(when, new Date())) return "today";
    if (token.startsWith("date_short")) return day({ day: "numeric", month: "short", year: "numeric" });
    if (token.startsWith("date_long")) return day({ weekday: "long", day: "numeric", month: "long", year: "numeric" });
    if (token.startsWith("date")) return day({ day: "numeric", month: "long", year: "numeric" });
    return whole;
  });
}

const sameDay = (one, other) => one.toDateString() === other.toDateString();

function ago(when) {
  const seconds = Math.round((Date.now() - when) / 1000);
  const [count, unit] = Math.abs(seconds) < 60 ? [seconds, "second"]
    : Math.abs(seconds) < 3600 ? [Math.round(seconds / 60), "minute"] : [Math.round(seconds / 3600), "hour"];
  return new Intl.RelativeTimeFormat([], { numeric: "auto" }).format(-count, unit);
}

/** The Markdown of a markdown block: headings, lists, quotes, fenced code, and inline styles. */
export function markdown(text) {
  const nodes = [];
  const rows = text.split("\n");
  while (rows.length) nodes.push(markdownPart(rows));
  return nodes.filter(Boolean);
}

function markdownPart(rows) {
  const row = rows.shift();
  if (/^```/.test(row)) return fence(rows);
  const heading = /^(#{1,6})\s+(.*)/.exec(row);
  if (heading) return h(`h${Math.min(6, heading[1].length + 2)}`, {}, markdownInline(heading[2]));
  if (/^\s*([-*]|\d+\.)\s+/.test(row)) return list([row, ...take(rows, /^\s*([-*]|\d+\.)\s+/)]);
  if (/^>\s?/.test(row)) {
    const inside = [row, ...take(rows, /^>\s?/)].map((each) => each.replace(/^>\s?/, ""));
    return h("blockquote", {}, markdownInline(inside.join("\n")));
  }
  if (/^\s*(---|\*\*\*)\s*$/.test(row)) return h("hr");
  if (!row.trim()) return null;
  return h("p", {}, markdownInline([row, ...take(rows, /^(?!```|#{1,6}\s|>|\s*([-*]|\d+\.)\s|\s*$)/)].join("\n")));
}

function take(rows, pattern) {
  const taken = [];
  while (rows.length && pattern.test(rows[0])) taken.push(rows.shift());
  return taken;
}

function fence(rows) {
  const code = take(rows, /^(?!```)/);
  rows.shift();
  return h("pre", {}, h("code", {}, code.join("\n")));
}

function list(rows) {
  const ordered = /^\s*\d/.test(rows[0]);
  const items = rows.map((row) => h("li", {}, markdownInline(row.replace(/^\s*([-*]|\d+\.)\s+/, ""))));
  return h(ordered ? "ol" : "ul", {}, items);
}

const MARKDOWN_INLINE = /`([^`\n]+)`|\[([^\]\n]+)\]\(([^)\s]+)\)|\*\*([^*\n]+)\*\*|(?<!\w)[_*]([^_*\n]+)[_*](?!\w)|~~([^~\n]+)~~/g;

function markdownInline(text) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(MARKDOWN_INLINE)) {
    nodes.push(...lines(text.slice(end, match.index)));
    const [, code, label, address, bold, italic, strike] = match;
    if (code) nodes.push(h("code", {}, code));
    else if (label) nodes.push(link(address, label));
    else if (bold) nodes.push(h("strong", {}, markdownInline(bold)));
    else if (italic) nodes.push(h("em", {}, markdownInline(italic)));
    else nodes.push(h("s", {}, markdownInline(strike)));
    end = match.index + match[0].length;
  }
  return [...nodes, ...lines(text.slice(end))];
}

/** A text object as nodes. */
export function textObject(text) {
  return text.type === "mrkdwn" ? mrkdwn(text.text) : plain(text.text);
}
