// Modals. The browser's own <dialog> keeps the focus inside and closes on Escape.

import { byId, h, notify, post } from "./dom.js";
import { field } from "./elements.js";
import { renderBlocks } from "./blocks.js";
import { plain } from "./mrkdwn.js";

let shown = null;

/** Shows the person's stack of modals: the one on top, or none. What was typed stays where inputs keep their ids. */
export function showViews(stack, user) {
  const dialog = byId("modal");
  const view = stack.at(-1);
  if (!view) {
    shown = null;
    if (dialog.open) dialog.close();
    return;
  }
  const typed = shown?.view.id === view.id ? readFields(shown.fields) : {};
  shown = build(view, user, typed);
  dialog.replaceChildren(shown.form);
  dialog.oncancel = (event) => {
    event.preventDefault();
    post("close", { user, view_id: view.id });
  };
  if (!dialog.open) dialog.showModal();
  const first = shown.focus ?? shown.fields.find((each) => each.built.focusable)?.built.focusable;
  if (!dialog.contains(document.activeElement) || document.activeElement === dialog) first?.focus();
}

const readFields = (fields) => Object.fromEntries(fields.map((each) => [each.key, each.built.read()]));

function build(view, user, typed) {
  const state = { view, fields: [], errors: new Map(), focus: null };
  const context = {
    user,
    viewId: view.id,
    values: view.state.values,
    act: (block, element, chosen) => actInView(state, user, block, element, chosen),
    inputBlock: (block) => inputBlock(state, block, typed, context),
  };
  const close = h("button", { class: "quiet", type: "button", "aria-label": "Close", onclick: () => post("close", { user, view_id: view.id }) }, "✕");
  state.trouble = h("p", { class: "trouble", role: "alert" });
  state.form = h("form", { novalidate: true, onsubmit: (event) => submit(event, state, user) },
    h("header", {}, h("h2", { id: "modal-title" }, plain(view.title.text)), close),
    h("div", { class: "modal-body" }, renderBlocks(view.blocks, context)),
    state.trouble,
    h("footer", { class: "dialog-actions" },
      h("button", { class: "button", type: "button", onclick: () => post("close", { user, view_id: view.id }) }, view.close ? plain(view.close.text) : "Cancel"),
      view.submit && h("button", { class: "button primary", type: "submit" }, plain(view.submit.text))));
  return state;
}

function inputBlock(state, block, typed, context) {
  const { element } = block;
  const key = `${block.block_id}\n${element.action_id}`;
  const entry = context.values[block.block_id]?.[element.action_id];
  const built = field(element, entry, { ...context, blockId: block.block_id });
  if (key in typed) restore(built, typed[key]);
  const id = `field-${state.fields.length}`;
  const error = h("p", { class: "field-error", id: `${id}-error`, role: "alert" });
  const hint = block.hint && h("p", { class: "hint", id: `${id}-hint` }, plain(block.hint.text));
  const name = h(built.group ? "span" : "label", { class: "label", id: `${id}-label`, for: built.group ? undefined : id },
    plain(block.label.text), block.optional && h("span", { class: "optional" }, " (optional)"));
  if (built.group) built.node.setAttribute("aria-labelledby", `${id}-label`);
  else built.focusable?.setAttribute("id", id);
  built.focusable?.setAttribute("aria-describedby", `${id}-error ${id}-hint`);
  state.fields.push({ key, block, built });
  state.errors.set(block.block_id, { error, built });
  if (element.focus_on_load) state.focus = built.focusable;
  if (block.dispatch_action) built.node.addEventListener("change", () => context.act(block, element, built.read()));
  return h("div", { class: "input-block", data: { block: block.block_id } }, name, built.node, hint, error);
}

function restore(built, value) {
  const several = Array.isArray(value) ? value : [value];
  if (built.group) built.node.querySelectorAll("input").forEach((each) => { each.checked = several.includes(each.value); });
  else if (built.node.multiple) [...built.node.options].forEach((each) => { each.selected = several.includes(each.value); });
  else if (typeof value === "string" && "value" in built.node) built.node.value = value;
}

const byBlock = (fields) => Object.fromEntries(fields.map((each) => [each.block.block_id, each.built.read()]));

async function actInView(state, user, block, element, chosen) {
  const answer = await post("click", {
    user, view_id: state.view.id, block_id: block.block_id, action_id: element.action_id, value: chosen, values: byBlock(state.fields),
  });
  if (answer.error && !answer.ack_ms) notify(answer.error);
}

async function submit(event, state, user) {
  event.preventDefault();
  const button = event.submitter;
  button?.setAttribute("aria-busy", "true");
  const answer = await post("submit", { user, view_id: state.view.id, values: byBlock(state.fields) });
  button?.removeAttribute("aria-busy");
  showErrors(state, answer.errors ?? {});
  state.trouble.textContent = answer.ok ? "" : answer.trouble ?? (answer.errors ? "" : answer.error ?? "");
}

function showErrors(state, errors) {
  let first = null;
  for (const [blockId, { error, built }] of state.errors) {
    error.textContent = errors[blockId] ?? "";
    built.focusable?.setAttribute("aria-invalid", blockId in errors ? "true" : "false");
    if (blockId in errors) first ??= built.focusable;
  }
  first?.focus();
}
