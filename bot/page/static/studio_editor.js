// The editor. It stands in a shadow root: there CodeMirror's styles are adopted, where the page's policy would keep an
// inline style out.

import {
  EditorState, EditorView, keymap, lineNumbers, highlightActiveLine, highlightActiveLineGutter, drawSelection,
  hoverTooltip, defaultKeymap, history, historyKeymap, indentWithTab, HighlightStyle, syntaxHighlighting, tags,
  indentOnInput, bracketMatching, foldGutter, foldKeymap, autocompletion, completionKeymap, lintGutter, lintKeymap,
  setDiagnostics, searchKeymap, yaml,
} from "./codemirror.js";

const COLOURS = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--accent)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--good)" },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword, tags.atom], color: "var(--busy)" },
  { tag: [tags.comment, tags.lineComment, tags.meta], color: "var(--soft)", fontStyle: "italic" },
]);
const LOOK = EditorView.theme({
  "&": { color: "var(--ink)", backgroundColor: "var(--raised)", fontSize: "13.5px", maxHeight: "70vh" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace", overflow: "auto" },
  ".cm-content": { caretColor: "var(--ink)" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-gutters": { color: "var(--soft)", backgroundColor: "var(--sunken)", borderRight: "1px solid var(--line)" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--idle-wash)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--busy-wash)" },
  ".cm-tooltip, .cm-panels": { color: "var(--ink)", backgroundColor: "var(--raised)", border: "1px solid var(--line)", borderRadius: "6px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": { color: "var(--raised)", backgroundColor: "var(--accent)" },
  ".cm-completionDetail": { color: "inherit", fontStyle: "normal", opacity: ".8" },
  ".cm-completionInfo": { padding: ".4em .7em", maxWidth: "22rem" },
  ".cm-meaning": { padding: ".4em .7em", maxWidth: "26rem" },
  // CodeMirror's own marks are images in its styles, which the page's policy keeps out.
  ".cm-lint-marker-error, .cm-lint-marker-warning": { content: "normal", fontWeight: "700", lineHeight: "1.2" },
  ".cm-lint-marker-error::before": { content: '"✕"', color: "var(--bad)" },
  ".cm-lint-marker-warning::before": { content: '"!"', color: "var(--wait)" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--bad)" },
  ".cm-lintRange-warning": { backgroundImage: "none", textDecoration: "underline wavy var(--wait)" },
  // Where there is no room beside the list, what a key means would cover it.
  "@media (max-width: 40rem)": { ".cm-tooltip.cm-completionInfo": { display: "none" } },
  ".cm-diagnosticSource": { opacity: "1", color: "var(--soft)" },
});

/**
 * An editor of what stands in the form's field `name`, in `host`. `label` is what a screen reader says of it, `height`
 * the least there is of it; `changed` is told each new text, `ask` asks the bot, `save` is for Ctrl+S.
 */
export function editor(host, text, { name, label, height, changed, ask, save }) {
  const root = host.attachShadow({ mode: "open" });
  const place = root.appendChild(document.createElement("div"));
  const view = new EditorView({
    root,
    parent: place,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(), foldGutter(), lintGutter(), history(), drawSelection(), indentOnInput(), bracketMatching(),
        highlightActiveLine(), highlightActiveLineGutter(), yaml(), syntaxHighlighting(COLOURS), LOOK,
        EditorView.theme({ "&, .cm-scroller": { minHeight: height } }),
        autocompletion({ override: [(context) => suggestions(context, name, ask)], activateOnTypingDelay: 150 }),
        hoverTooltip((shown, at) => meaning(shown, at, name, ask)),
        EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" }),
        EditorView.domEventHandlers({ beforeinput: typedOver }),
        EditorState.tabSize.of(2),
        keymap.of([
          { key: "Mod-s", run: () => (save(), true), preventDefault: true },
          ...completionKeymap, ...lintKeymap, ...searchKeymap, ...foldKeymap, ...historyKeymap, ...defaultKeymap,
          indentWithTab,
        ]),
        EditorView.updateListener.of((update) => update.docChanged && changed(update.state.doc.toString())),
      ],
    }),
  });
  return {
    mark: (found) => view.dispatch(setDiagnostics(view.state, found.map((each) => diagnostic(view.state, each)))),
    show: (now) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: now } }),
    go(line, column) {
      const at = position(view.state, line, column);
      view.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: "center" }) });
      view.focus();
    },
  };
}

/** Typing over a selection: a browser would keep the look of what goes by an inline style, which the policy forbids. */
function typedOver(event, view) {
  if (event.inputType !== "insertText" || !event.data || view.composing || view.state.selection.main.empty) return false;
  view.dispatch(view.state.replaceSelection(event.data), { userEvent: "input.type", scrollIntoView: true });
  event.preventDefault();
  return true;
}

/** Where a line and a column stand that count from 1, columns by characters as the bot counts them. */
function position(state, line, column) {
  const there = state.doc.line(Math.max(1, Math.min(line, state.doc.lines)));
  return there.from + [...there.text].slice(0, column - 1).join("").length;
}

function diagnostic(state, { line, column, severity, message, source }) {
  const from = position(state, line, column);
  const word = /^[\w$./{}-]+/.exec(state.doc.lineAt(from).text.slice(from - state.doc.lineAt(from).from));
  return { from, to: from + (word ? word[0].length : 0), severity, message, source };
}

async function suggestions(context, name, ask) {
  const typed = context.matchBefore(/[\w$-]+|\{\{ ?|\| ?|\.|^ *(- )?|: /);
  if (!typed && !context.explicit) return null;
  if (!context.explicit && !typed.text.trim() && typed.from === context.pos) return null;
  const line = context.state.doc.lineAt(context.pos);
  const found = await ask("complete", {
    field: name, [name]: context.state.doc.toString(), row: line.number - 1,
    before: line.text.slice(0, context.pos - line.from),
  });
  if (!found.suggestions?.length) return null;
  const options = found.suggestions.map((each, place) => ({
    label: each.label, apply: each.puts, detail: each.sort, info: each.meaning || undefined, boost: -place / 100,
  }));
  return { from: context.pos - found.replaces, options, validFor: /^[\w$-]*$/ };
}

async function meaning(view, at, name, ask) {
  const line = view.state.doc.lineAt(at);
  const found = await ask("explain", {
    field: name, [name]: view.state.doc.toString(), row: line.number - 1, column: at - line.from,
  });
  if (!found.meaning) return null;
  return {
    pos: at,
    create() {
      const dom = document.createElement("div");
      dom.className = "cm-meaning";
      dom.textContent = found.meaning;
      return { dom };
    },
  };
}
