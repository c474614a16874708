// Blocks as elements. What can be clicked comes from elements.js.

import { h, personName, channelName } from "./dom.js";
import { control, visible } from "./elements.js";
import { dateText, emoji, groupHandle, link, markdown, mention, textObject } from "./mrkdwn.js";

const STATUS = {
  pending: ["○", "Pending"],
  in_progress: ["", "In progress"],
  complete: ["✓", "Done"],
  error: ["✕", "Failed"],
};

/** Blocks as elements; `act` is told of every click, `user` is who looks. */
export function renderBlocks(blocks, context) {
  return blocks.map((block) => {
    const shown = (KINDS[block.type] ?? unknown)(block, context);
    shown.classList.add("block", `block-${block.type}`);
    return shown;
  });
}

const unknown = (block) => h("div", {}, `(a block of type ${block.type}, which this page cannot show)`);

const image = (block) =>
  h("figure", {},
    block.title && h("figcaption", {}, textObject(block.title)),
    picture(block, "picture"));

function picture(source, name) {
  if (!source.image_url) return h("span", { class: "missing" }, source.alt_text);
  return h("img", { class: name, src: source.image_url, alt: source.alt_text, loading: "lazy" });
}

function section(block, context) {
  return h("div", {},
    h("div", { class: "section-text" },
      block.text && h("div", { class: "text" }, textObject(block.text)),
      block.fields && h("div", { class: "fields" }, block.fields.map((field) => h("div", { class: "text" }, textObject(field))))),
    block.accessory && h("div", { class: "accessory" },
      block.accessory.type === "image" ? picture(block.accessory, "thumb") : control(block, block.accessory, context)));
}

const actions = (block, context) =>
  h("div", {}, block.elements.filter((each) => visible(each, context.user)).map((each) => control(block, each, context)));

const contextBlock = (block) =>
  h("div", {}, block.elements.map((each) =>
    each.type === "image" ? picture(each, "tiny") : h("span", {}, textObject(each))));

function plan(block) {
  const tasks = block.tasks ?? [];
  return h("div", {},
    h("div", { class: "plan-head" }, h("strong", {}, block.title)),
    h("ol", { class: "tasks" }, tasks.map((task) => h("li", {}, taskCard(task)))));
}

function taskCard(task) {
  const [icon, word] = STATUS[task.status] ?? ["?", task.status];
  return h("div", { class: `task task-${task.status}`, data: { task: task.task_id } },
    h("span", { class: "task-icon", "aria-hidden": "true" }, icon),
    h("div", { class: "task-body" },
      h("div", { class: "task-head" },
        h("span", { class: "task-title" }, task.title), " ",
        h("span", { class: "task-word" }, word)),
      task.details && h("div", { class: "task-details" }, richText(task.details)),
      task.output && h("div", { class: "task-output" }, richText(task.output)),
      task.sources?.length > 0 && h("div", { class: "task-sources" }, task.sources.map((each) => link(each.url, each.text)))));
}

function richText(block) {
  return h("div", { class: "rich" }, block.elements.map(richPart));
}

function richPart(part) {
  if (part.type === "rich_text_list") {
    const list = h(part.style === "ordered" ? "ol" : "ul", { start: part.offset ? part.offset + 1 : undefined },
      part.elements.map((each) => h("li", {}, each.elements.map(richInline))));
    list.classList.add(`indent-${part.indent ?? 0}`);
    return list;
  }
  if (part.type === "rich_text_preformatted") return h("pre", {}, h("code", {}, part.elements.map(richInline)));
  if (part.type === "rich_text_quote") return h("blockquote", {}, part.elements.map(richInline));
  return h("p", {}, part.elements.map(richInline));
}

const RICH = {
  text: (each) => document.createTextNode(each.text),
  link: (each) => link(each.url, each.text || each.url),
  user: (each) => mention(`@${personName(each.user_id)}`),
  usergroup: (each) => mention(`@${groupHandle(each.usergroup_id)}`),
  channel: (each) => mention(`#${channelName(each.channel_id)}`),
  broadcast: (each) => mention(`@${each.range}`),
  emoji: (each) => document.createTextNode(emoji(each.name)),
  date: (each) => h("time", {}, dateText(each.timestamp, each.format) ?? each.fallback),
  color: (each) => document.createTextNode(each.value),
  team: (each) => document.createTextNode(each.team_id),
};

function richInline(each) {
  let node = RICH[each.type](each);
  const style = each.style ?? {};
  for (const [name, tag] of [["code", "code"], ["bold", "strong"], ["italic", "em"], ["strike", "s"], ["underline", "u"]]) {
    if (style[name]) node = h(tag, {}, node);
  }
  return node;
}

function table(block) {
  const cell = (value, tag, index) => {
    const align = block.column_settings?.[index]?.align ?? "left";
    const inside = value.type === "rich_text" ? richText(value) : value.text ?? `${value.value}`;
    return h(tag, { class: `align-${align}`, scope: tag === "th" ? "col" : undefined }, inside);
  };
  const [head, ...rows] = block.rows;
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": block.caption ?? "Table" },
    h("table", {},
      block.caption && h("caption", {}, block.caption),
      h("thead", {}, h("tr", {}, head.map((value, index) => cell(value, "th", index)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((value, index) => cell(value, "td", index)))))));
}

const card = (block, context) =>
  h("div", {},
    block.hero_image && picture(block.hero_image, "picture"),
    block.title && h("strong", { class: "text" }, textObject(block.title)),
    block.subtitle && h("div", { class: "faint" }, textObject(block.subtitle)),
    block.body && h("div", { class: "text" }, textObject(block.body)),
    block.subtext && h("div", { class: "faint" }, textObject(block.subtext)),
    block.actions && h("div", { class: "block-actions" }, block.actions.filter((each) => visible(each, context.user))
      .map((each) => control(block, each, context))));

function container(block, context) {
  const title = block.rich_text_title ? richText(block.rich_text_title) : textObject(block.title);
  const body = renderBlocks(block.child_blocks, context);
  const head = [h("strong", {}, title), block.subtitle && h("span", { class: "faint" }, " ", textObject(block.subtitle))];
  if (!block.is_collapsible) return h("div", {}, h("div", {}, head), body);
  return h("details", { open: !block.default_collapsed }, h("summary", {}, head), body);
}

function input(block, context) {
  return context.inputBlock ? context.inputBlock(block) : h("div", {}, h("label", {}, textObject(block.label)), control(block, block.element, context));
}

function chart(block) {
  const pie = block.chart.type === "pie";
  const rows = pie
    ? block.chart.segments.map((each) => [each.label, each.value])
    : block.chart.series.flatMap((series) => series.data.map((point) => [`${series.name}: ${point.label}`, point.value]));
  const most = Math.max(...rows.map(([, value]) => value), 1);
  return h("figure", { class: "chart" }, h("figcaption", {}, block.title),
    rows.map(([label, value]) => h("div", { class: "chart-row" }, h("span", {}, label), h("meter", { max: most, value }), h("span", {}, `${value}`))));
}

const KINDS = {
  actions,
  alert: (block) => h("div", { class: `alert-${block.level ?? "default"}` }, textObject(block.text)),
  card,
  carousel: (block, context) => h("div", {}, renderBlocks(block.elements.map((each) => ({ ...each, type: "card" })), context)),
  container,
  context: contextBlock,
  context_actions: actions,
  data_table: table,
  data_visualization: chart,
  divider: () => h("hr"),
  header: (block) => h("h3", {}, textObject(block.text)),
  image,
  input,
  markdown: (block) => h("div", { class: "text" }, markdown(block.text)),
  plan,
  rich_text: richText,
  section,
  table,
  task_card: (block) => h("div", {}, taskCard(block)),
  video: (block) => h("div", {}, link(block.title_url ?? block.video_url, block.title.text)),
};
