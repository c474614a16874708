// Buttons, menus, pickers and inputs. `control` is for elements that act at once, `field` for those a form collects.

import { directory, h, post } from "./dom.js";
import { confirmFirst } from "./confirm.js";
import { plain, textObject } from "./mrkdwn.js";

/** Whether Slack shows this element to the person. */
export const visible = (element, user) => !element.visible_to_user_ids?.length || element.visible_to_user_ids.includes(user);

const label = (text) => plain(text.text).join("");

/** An element that acts when used: it asks for confirmation where it should, then tells `context.act`. */
export function control(block, element, context) {
  const act = async (source, chosen) => {
    if (element.confirm && !(await confirmFirst(element.confirm))) return false;
    await context.act(block, element, chosen, source);
    return true;
  };
  if (["button", "icon_button", "workflow_button"].includes(element.type)) return button(element, act);
  if (element.type === "overflow") return overflow(element, act);
  if (element.type === "feedback_buttons") return feedback(element, act);
  return acting(block, element, context, act);
}

function button(element, act) {
  const style = { primary: "primary", danger: "danger" }[element.style] ?? "";
  return h("button", {
    type: "button", class: `button ${style}`, "aria-label": element.accessibility_label, data: { action: element.action_id },
    onclick: async (event) => {
      const source = event.currentTarget;
      source.setAttribute("aria-busy", "true");
      if (element.url && /^https?:/.test(element.url)) window.open(element.url, "_blank", "noopener");
      try {
        await act(source);
      } finally {
        source.removeAttribute("aria-busy");
      }
    },
  }, textObject(element.text));
}

function feedback(element, act) {
  return h("span", {}, [element.positive_button, element.negative_button].map((each) =>
    h("button", { type: "button", class: "button", onclick: (event) => act(event.currentTarget, each.value) }, label(each.text))));
}

function overflow(element, act) {
  const items = element.options.map((option) =>
    h("button", {
      type: "button", class: "menu-item", role: "menuitem",
      onclick: (event) => {
        details.open = false;
        if (option.url && /^https?:/.test(option.url)) window.open(option.url, "_blank", "noopener");
        act(event.currentTarget, option.value);
      },
    }, label(option.text), option.description && h("small", {}, label(option.description))));
  const details = h("details", { class: "overflow", data: { action: element.action_id } },
    h("summary", { class: "button", "aria-label": "More actions" }, "⋯"),
    h("div", { class: "menu", role: "menu" }, items));
  details.addEventListener("keydown", (event) => {
    if (event.key === "Escape") details.open = false;
  });
  details.addEventListener("focusout", (event) => {
    if (!details.contains(event.relatedTarget)) details.open = false;
  });
  return details;
}

function acting(block, element, context, act) {
  const shown = field(element, context.values?.[block.block_id]?.[element.action_id], context);
  shown.node.classList.add("acting-field");
  shown.focusable?.setAttribute("aria-label", element.placeholder ? label(element.placeholder) : element.action_id);
  shown.node.addEventListener("change", (event) => act(event.target, shown.read()));
  return shown.node;
}

/** A form field: its node, `read` for what the person entered, and `focusable` for where a label points. */
export function field(element, entry, context = {}) {
  const build = FIELDS[element.type];
  if (!build) return still(element);
  const built = build(element, entry ?? {}, context);
  built.node.dataset.action = element.action_id;
  return built;
}

const still = (element) => ({ node: h("span", { class: "missing" }, `(${element.type} cannot be used here)`), read: () => null });

function typed(type, extra = () => ({})) {
  return (element, entry) => {
    const value = entry.value ?? element.initial_value ?? "";
    const input = h("input", { type, value, placeholder: element.placeholder && label(element.placeholder), ...extra(element) });
    return { node: input, focusable: input, read: () => input.value };
  };
}

function textField(element, entry, context) {
  if (!element.multiline) return typed("text", (each) => ({ maxlength: each.max_length }))(element, entry, context);
  const area = h("textarea", { rows: 4, maxlength: element.max_length, placeholder: element.placeholder && label(element.placeholder) });
  area.value = entry.value ?? element.initial_value ?? "";
  return { node: area, focusable: area, read: () => area.value };
}

function richInput(element, entry) {
  const text = (node) => node?.text ?? node?.elements?.map(text).join("") ?? "";
  const area = h("textarea", { rows: element.min_lines ?? 4 });
  area.value = text(entry.rich_text_value ?? element.initial_value);
  return { node: area, focusable: area, read: () => area.value };
}

function select(element, groups, chosen, { multiple = false } = {}) {
  const option = (each) => h("option", { value: each.value, selected: chosen.includes(each.value) }, each.label);
  const node = h("select", { multiple, size: multiple ? Math.min(6, Math.max(3, groups.flatMap((group) => group.options).length)) : undefined },
    !multiple && h("option", { value: "" }, element.placeholder ? label(element.placeholder) : "Choose…"),
    groups.flatMap((group) => (group.label ? [h("optgroup", { label: group.label }, group.options.map(option))] : group.options.map(option))));
  const read = () => (multiple ? [...node.selectedOptions].map((each) => each.value) : node.value || null);
  return { node, focusable: node, read };
}

const asOption = (each) => ({ value: each.value, label: label(each.text) });

function offered(element) {
  if (element.option_groups) {
    return element.option_groups.map((group) => ({ label: label(group.label), options: group.options.map(asOption) }));
  }
  return [{ options: (element.options ?? []).map(asOption) }];
}

const people = () => [{ options: [...directory.people.values()].filter((each) => each.can_act).map((each) => ({ value: each.id, label: each.name })) }];
const channels = () => [{ options: [...directory.channels.values()].map((each) => ({ value: each.id, label: `#${each.name}` })) }];

const values = (options) => (options ?? []).map((each) => each.value);
const one = (value) => (value ? [value] : []);

const staticSelect = (element, entry) => select(element, offered(element), values(one(entry.selected_option ?? element.initial_option)));
const staticMulti = (element, entry) =>
  select(element, offered(element), values(entry.selected_options ?? element.initial_options), { multiple: true });

const listSelect = (source, name) => (element, entry) => select(element, source(), one(entry[`selected_${name}`] ?? element[`initial_${name}`]));
const listMulti = (source, name) => (element, entry) =>
  select(element, source(), entry[`selected_${name}`] ?? element[`initial_${name}`] ?? [], { multiple: true });

function choices(type, many) {
  return (element, entry) => {
    const initial = many ? entry.selected_options ?? element.initial_options : one(entry.selected_option ?? element.initial_option);
    const chosen = values(initial);
    const name = `choice-${Math.random()}`;
    const inputs = element.options.map((each) => h("input", { type, name, value: each.value, checked: chosen.includes(each.value) }));
    const node = h("div", { class: "choices", role: many ? "group" : "radiogroup" }, element.options.map((each, index) =>
      h("label", {}, inputs[index], h("span", {}, textObject(each.text), each.description && h("small", {}, textObject(each.description))))));
    const read = () => {
      const checked = inputs.filter((each) => each.checked).map((each) => each.value);
      return many ? checked : checked[0] ?? null;
    };
    return { node, focusable: inputs[0], group: true, read };
  };
}

function dateTime(element, entry) {
  const stamp = entry.selected_date_time ?? element.initial_date_time;
  const local = (date) => new Date(date - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  const input = h("input", { type: "datetime-local", value: stamp ? local(new Date(stamp * 1000)) : undefined });
  return { node: input, focusable: input, read: () => (input.value ? Math.floor(new Date(input.value).getTime() / 1000) : null) };
}

const picker = (type, name) => (element, entry) => {
  const input = h("input", { type, value: entry[`selected_${name}`] ?? element[`initial_${name}`] });
  return { node: input, focusable: input, read: () => input.value || null };
};

/** A menu whose options come from the bot as the person types; what was chosen of several stays while searching on. */
const externalSelect = (multiple) => (element, entry, context) => {
  const chosen = multiple ? entry.selected_options ?? element.initial_options ?? [] : one(entry.selected_option ?? element.initial_option);
  const list = select(element, [{ options: chosen.map(asOption) }], values(chosen), { multiple });
  const search = h("input", { type: "search", placeholder: element.placeholder ? label(element.placeholder) : "Type to search…", "aria-label": "Search the options" });
  let timer;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      if (search.value.length < (element.min_query_length ?? 3)) return;
      const found = await post("options", { user: context.user, view_id: context.viewId, block_id: context.blockId, action_id: element.action_id, value: search.value });
      const kept = multiple ? [...list.node.selectedOptions] : [];
      const fresh = (found.options ?? []).map(asOption).filter((each) => !kept.some((old) => old.value === each.value));
      const told = [`${fresh.length} found`, ...(found.headings ?? [])].join(" · ");
      const counted = multiple && !found.headings?.length ? [] : [h("option", { value: "", disabled: multiple }, told)];
      list.node.replaceChildren(...counted, ...kept, ...fresh.map((each) => h("option", { value: each.value }, each.label)));
    }, 200);
  });
  return { node: h("div", { class: "external" }, search, list.node), focusable: search, read: list.read };
};

const FIELDS = {
  plain_text_input: textField,
  email_text_input: typed("email"),
  url_text_input: typed("url"),
  number_input: typed("text", (element) => ({ inputmode: element.is_decimal_allowed ? "decimal" : "numeric" })),
  rich_text_input: richInput,
  static_select: staticSelect,
  multi_static_select: staticMulti,
  external_select: externalSelect(false),
  multi_external_select: externalSelect(true),
  users_select: listSelect(people, "user"),
  multi_users_select: listMulti(people, "users"),
  channels_select: listSelect(channels, "channel"),
  multi_channels_select: listMulti(channels, "channels"),
  conversations_select: listSelect(channels, "conversation"),
  multi_conversations_select: listMulti(channels, "conversations"),
  checkboxes: choices("checkbox", true),
  radio_buttons: choices("radio", false),
  datepicker: picker("date", "date"),
  timepicker: picker("time", "time"),
  datetimepicker: dateTime,
};
