"""The sample incident: people of the practice workspace act in its channel, which is told line by line."""

from __future__ import annotations

import re
import time
from typing import Any

import httpx

Json = dict[str, Any]

CHANNEL = "C0INC0001"
CAROL, ALICE, DAVE = "U0CAROL01", "U0ALICE01", "U0DAVE001"
RUNBOOK = "restart-checkout"
LIMIT_S = 30.0
_MARKS = re.compile(r"<!date\^[^|>]*\|([^>]*)>|<([^|>]*\|)?([^>]*)>")
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}


class Incident:
    """Plays against the practice workspace at `page`, by the same doors that a person's browser uses."""

    def __init__(self, page: str) -> None:
        self._http = httpx.Client(base_url=page, timeout=10, trust_env=False)
        people = self._get("/control/people")["people"]
        self._names = {
            person["id"]: person["name"] if person["bot"] else person["name"].split()[0] for person in people
        }
        self._printed: dict[str, str] = {}
        self._tasks: dict[str, str] = {}

    def play(self) -> bool:
        """Approve the runbook, run it, decide its gate, and watch it end. True when it succeeded."""
        self._say(CAROL, "checkout answers every second request with an error. I'll restart it.")
        self._command(ALICE, f"admin approve {RUNBOOK}")
        self._click(ALICE, "version.approve")
        self._command(CAROL, f'run {RUNBOOK} service=checkout reason="checkout answers with errors"')
        self._click(ALICE, "gate.approve")
        self._click(DAVE, "gate.approve")
        return self._follow_to_end()

    def _say(self, user: str, text: str) -> None:
        self._post("/control/say", user=user, channel=CHANNEL, text=text)
        self._read_messages()

    def _command(self, user: str, text: str) -> None:
        self._line(self._names[user], f"/runbook {text}")
        self._post("/control/command", user=user, channel=CHANNEL, text=text)

    def _click(self, user: str, action: str) -> None:
        """Click the newest button of this kind that the person sees, waiting for it to appear."""
        found = self._wait_for(lambda: self._button(user, action))
        label = found["element"]["text"]["text"]
        self._line(self._names[user], f"clicks [{label}]")
        self._post(
            "/control/click",
            user=user,
            channel=CHANNEL,
            message_ts=found["ts"],
            action_id=found["element"]["action_id"],
        )
        time.sleep(0.7)  # a person needs a moment, and whoever watches wants to see one thing after the other
        self._read_messages()

    def _follow_to_end(self) -> bool:
        def ended() -> Json | None:
            texts = [message["text"] for message in self._messages(CAROL)]
            last = [text for text in texts if re.search(r"· (Succeeded|Failed|Cancelled)$", text)]
            return {"text": last[-1]} if last else None

        found = self._wait_for(ended)
        time.sleep(1.0)
        self._read_messages()
        return str(found["text"]).endswith("Succeeded")

    def _wait_for(self, look: Any) -> Json:
        until = time.monotonic() + LIMIT_S
        while time.monotonic() < until:
            self._read_messages()
            found: Json | None = look()
            if found is not None:
                return found
            time.sleep(0.2)
        raise TimeoutError("it did not go on as it should; the logs are in var/demo")

    def _button(self, user: str, action: str) -> Json | None:
        for message in reversed(self._messages(user)):
            for block in message.get("blocks", []):
                for element in block.get("elements", []) if block["type"] == "actions" else []:
                    if element.get("action_id") == action:
                        return {"ts": message["ts"], "element": element}
        return None

    def _read_messages(self) -> None:
        """Tell what is new in the channel and its threads."""
        for user in (CAROL, ALICE, DAVE):
            for message in self._messages(user):
                self._print(message, private_to=user)

    def _print(self, message: Json, private_to: str) -> None:
        if self._printed.get(message["ts"]) != message["text"]:
            self._printed[message["ts"]] = message["text"]
            whom = f" (only to {self._names[private_to]})" if message.get("ephemeral") else ""
            thread = "  ↳ " if message.get("thread_ts") not in (None, message["ts"]) else ""
            who = self._names.get(message.get("user", ""), "Runbook Bot")
            shared = [f"[{file['title']}]" for file in message.get("files", [])]
            self._line(f"{thread}{who}{whom}", " ".join(filter(None, [self._plain(message["text"]), *shared])))
        for block in message.get("blocks", []):
            for task in block.get("tasks", []) if block["type"] == "plan" else []:
                self._print_task(task)

    def _print_task(self, task: Json) -> None:
        words = {"in_progress": "…", "complete": "done", "error": "failed"}
        if self._tasks.get(task["task_id"]) != task["status"] and task["status"] in words:
            self._tasks[task["task_id"]] = task["status"]
            self._line("", f"    {task['title']}: {words[task['status']]}")

    def _line(self, who: str, text: str) -> None:
        first, *rest = text.splitlines() or [""]
        print(f"{time.strftime('%H:%M:%S')}  {who + ': ' if who else ''}{first}", flush=True)
        for line in rest:
            print(f"{'':10}{line}", flush=True)

    def _plain(self, text: str) -> str:
        shown = _MARKS.sub(lambda found: str(found[1] or self._names.get(found[3].lstrip("@#!"), found[3])), text)
        for entity, character in _ENTITIES.items():
            shown = shown.replace(entity, character)
        return shown.replace("`", "").replace("*", "")

    def _messages(self, user: str) -> list[Json]:
        top: list[Json] = self._get("/control/messages", channel=CHANNEL, user=user)["messages"]
        found = []
        for message in top:
            found.append(message)
            if message.get("reply_count"):
                replies = self._get("/control/messages", channel=CHANNEL, user=user, thread_ts=message["ts"])[
                    "messages"
                ]
                found += [reply for reply in replies if reply["ts"] != message["ts"]]
        return found

    def _get(self, path: str, **query: str) -> Any:
        return self._http.get(path, params=query).raise_for_status().json()

    def _post(self, path: str, **body: str) -> Any:
        return self._http.post(path, json=body).raise_for_status().json()
