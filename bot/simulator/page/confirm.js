// A question before something that cannot be taken back.

import { byId, h } from "./dom.js";
import { plain, textObject } from "./mrkdwn.js";

/** Asks first, as a confirm object says. Resolves to whether the person went ahead. */
export function confirmFirst(confirm) {
  const dialog = byId("confirm");
  return new Promise((resolve) => {
    const style = confirm.style === "danger" ? "danger" : "primary";
    const answer = (value) => h("button", { class: `button ${value === "yes" ? style : ""}`, value, type: "submit" },
      plain((value === "yes" ? confirm.confirm : confirm.deny).text));
    dialog.replaceChildren(h("form", { method: "dialog" },
      h("h2", { id: "confirm-title" }, plain(confirm.title.text)),
      h("div", { class: "text" }, textObject(confirm.text)),
      h("div", { class: "dialog-actions" }, answer("no"), answer("yes"))));
    dialog.returnValue = "no";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.showModal();
  });
}
