"""A real YAML language server, spoken to as an editor does: LSP over its standard input and output."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from queue import Empty, Queue
from typing import Any

SECONDS = 60


class LanguageServer:
    """One server process. Positions are lines and columns from 0."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._process = subprocess.Popen(
            ["node", str(program), "--stdio"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._ids = 0
        self._answers: dict[int, Queue[Any]] = {}
        self._told: Queue[dict[str, Any]] = Queue()
        threading.Thread(target=self._read, daemon=True).start()
        snippets = {"completionItem": {"snippetSupport": True, "documentationFormat": ["markdown"]}}
        hover = {"contentFormat": ["markdown"]}
        capabilities = {"textDocument": {"completion": snippets, "hover": hover}, "workspace": {"configuration": True}}
        self.ask("initialize", {"processId": None, "rootUri": folder.as_uri(), "capabilities": capabilities})
        self._send({"method": "initialized", "params": {}})

    def open(self, uri: str, text: str) -> list[dict[str, Any]]:
        """Open a document, and return what is wrong with it."""
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        while True:
            told = self._told.get(timeout=SECONDS)
            if told["method"] == "textDocument/publishDiagnostics" and told["params"]["uri"] == uri:
                found: list[dict[str, Any]] = told["params"]["diagnostics"]
                return found

    def completion(self, uri: str, line: int, column: int) -> list[dict[str, Any]]:
        """What may stand there."""
        found = self.ask("textDocument/completion", _at(uri, line, column))
        items: list[dict[str, Any]] = found["items"] if isinstance(found, dict) else found
        return items

    def hover(self, uri: str, line: int, column: int) -> str:
        """What is told of what stands there, "" for nothing."""
        found = self.ask("textDocument/hover", _at(uri, line, column))
        return str(found["contents"]["value"]) if found else ""

    def ask(self, method: str, params: Any) -> Any:
        """The answer to a request. Raises TimeoutError and, where the server refuses it, ValueError."""
        self._ids += 1
        answer: Queue[Any] = Queue()
        self._answers[self._ids] = answer
        self._send({"id": self._ids, "method": method, "params": params})
        try:
            said = answer.get(timeout=SECONDS)
        except Empty:
            raise TimeoutError(f"{method} was not answered within {SECONDS} s") from None
        if "error" in said:
            raise ValueError(f"{method}: {said['error']}")
        return said["result"]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        stream = self._process.stdout
        while header := stream.readline():
            if header.lower().startswith(b"content-length:"):
                size = int(header.split(b":")[1])
                while stream.readline().strip():
                    pass
                self._take(json.loads(stream.read(size)))

    def _take(self, message: dict[str, Any]) -> None:
        if "method" not in message:
            self._answers.pop(message["id"]).put(message)
        elif "id" in message:
            self._send({"id": message["id"], "result": self._configured(message)})
        else:
            self._told.put(message)

    def _configured(self, request: dict[str, Any]) -> Any:
        """What an editor answers: nothing is fetched from the catalogue of schemas on the internet."""
        if request["method"] != "workspace/configuration":
            return None
        yaml = {"schemaStore": {"enable": False}, "completion": True, "hover": True, "validate": True}
        return [yaml if each.get("section") == "yaml" else {} for each in request["params"]["items"]]


def _at(uri: str, line: int, column: int) -> dict[str, Any]:
    return {"textDocument": {"uri": uri}, "position": {"line": line, "character": column}}
