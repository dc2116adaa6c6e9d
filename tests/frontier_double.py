"""A test double of a frontier model: a process that speaks the OpenAI chat protocol on loopback.

``python frontier_double.py SCRIPT`` prints its port. The script is JSON:

- ``plan``: what the first requests get, one each: ``{"status", "headers", "body"}``, ``{"raw": text}`` with
  status 200, ``{"cut": true}`` (half an answer, then silence), ``{"slow": seconds}``, or ``{}`` (as usual).
- ``answers``: reply by the last user message; a list is drawn from by the request's seed; ``"*"``: others.
- ``calls``: by the last user message, calls ``[name, arguments]`` that it makes first, if there are tools.
- ``usage``: false leaves the count of tokens out. ``echo``: true repeats the Authorization header.
- ``window``: conversations of more characters are refused as too long.

``GET /requests`` gives all requests so far: body and Authorization header.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar


class Double(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: ClassVar[dict] = {}
    requests: ClassVar[list] = []
    lock = threading.Lock()
    active = most = 0

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.send(200, json.dumps({"requests": self.requests, "most_at_once": Double.most}))

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.lock:
            number = len(self.requests)
            self.requests.append(
                {"path": self.path, "body": body, "authorization": self.headers.get("Authorization")}
            )
            Double.active += 1
            Double.most = max(Double.most, Double.active)
        try:
            plan = self.script.get("plan", [])
            self.act(plan[number] if number < len(plan) else {}, body)
        finally:
            with self.lock:
                Double.active -= 1

    def act(self, step, body):
        if self.path != "/v1/chat/completions":
            return self.send(404, json.dumps({"error": {"message": f"no such path {self.path}"}}))
        if "slow" in step:
            time.sleep(step["slow"])
        time.sleep(self.script.get("always_slow", 0))
        if "cut" in step:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"choices": [')
            self.wfile.flush()
            self.close_connection = True
            return None
        if "raw" in step:
            return self.send(200, step["raw"])
        if "status" in step:
            return self.send(step["status"], json.dumps(step.get("body", {})), step.get("headers", {}))
        length = sum(len(message.get("content") or "") for message in body["messages"])
        if length > self.script.get("window", 1e9):
            error = {"message": "maximum context length exceeded", "code": "context_length_exceeded"}
            return self.send(400, json.dumps({"error": error}))
        return self.send(200, json.dumps(self.reply(body, length)))

    def reply(self, body, length):
        last = body["messages"][-1]
        question = next(m["content"] for m in reversed(body["messages"]) if m["role"] == "user")
        calls = self.script.get("calls", {}).get(question, [])
        message = {"role": "assistant", "content": None}
        reason = "stop"
        if calls and body.get("tools") and last["role"] != "tool":
            reason = "tool_calls"
            message["tool_calls"] = [
                {"id": f"random-{index}", "type": "function", "function": {"name": name, "arguments": given}}
                for index, (name, given) in enumerate(calls)
            ]
        elif last["role"] == "tool":
            message["content"] = last["content"]
        else:
            answers = self.script.get("answers", {})
            answer = answers.get(question, answers.get("*", "I do not know."))
            if isinstance(answer, list):
                answer = answer[body.get("seed", 0) % len(answer)]
            message["content"] = answer
        if self.script.get("thought"):
            message["reasoning_content"] = self.script["thought"]
        if self.script.get("echo"):
            message["content"] = f"{message['content']} {self.headers.get('Authorization')}"
        words = len((message["content"] or "").split())
        if words > body.get("max_tokens", 1e9):
            message["content"] = " ".join(message["content"].split()[: body["max_tokens"]])
            reason = "length"
        answer = {"choices": [{"message": message, "finish_reason": reason}]}
        if self.script.get("usage", True):
            answer["usage"] = {"prompt_tokens": length, "completion_tokens": words}
        return answer

    def send(self, status, text, headers=()):
        data = text.encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # a client that gave up waiting


if __name__ == "__main__":
    Double.script = json.loads(Path(sys.argv[1]).read_text())
    server = Server(("127.0.0.1", 0), Double)
    print(server.server_address[1], flush=True)
    server.serve_forever()
