// What was typed and is not saved is kept in this tab, so that a page that is loaded again, or a log-in that has ended
// meanwhile, loses nothing. Whoever leaves is asked first, unless the text was handed out as it stands.

const key = (address) => `studio desk ${new URL(address).pathname}`;
const KEY = key(location.href);

/** The keeper of what stands in these fields of the form; `saved` is what the page was opened with. */
export function keeper(fields) {
  const now = () => fields.map((each) => each.value);
  const saved = now();
  let safe = saved;
  const differs = (from) => now().some((each, place) => each !== from[place]);

  addEventListener("beforeunload", (event) => {
    if (differs(safe)) event.preventDefault();
  });
  return {
    saved,
    now,
    keep: () => sessionStorage.setItem(KEY, JSON.stringify(now())),
    handedOut: () => (safe = now()),
    forget() {
      safe = now();
      sessionStorage.removeItem(KEY);
    },
    /** The page at this address has what was sent; what was typed since is kept for it. */
    savedAs(address, sent) {
      sessionStorage.removeItem(KEY);
      if (differs(sent)) sessionStorage.setItem(key(address), JSON.stringify(now()));
      safe = now();
    },
    /** Put back what was kept; whether it is anything else than what is saved. */
    restore() {
      const kept = JSON.parse(sessionStorage.getItem(KEY)) ?? saved;
      fields.forEach((each, place) => (each.value = kept[place]));
      return differs(saved);
    },
  };
}
