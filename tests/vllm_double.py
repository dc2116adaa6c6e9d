"""A test double of a vLLM server: a process that speaks its protocol on loopback, without a model.

``python vllm_double.py SCRIPT [--port N] [arguments of vLLM, not looked at]`` prints its port. Its "model"
draws each token from a hash of weights, seed and what stands before it, so that equal requests get equal
answers from every double with the same weights. The script is JSON:

- ``model``, ``length``, ``vocabulary``, ``processed``: what it says of its model.
- ``tokens``: what it reads in any text; none: the numbers of its letters.
- ``shift``: added to the tokens that it reads in a text; not 0: another tokenizer.
- ``closed``: paths that it answers with 404. ``scale_out``: false answers 403 to the token endpoint.
- ``plan``: what the first requests for tokens get, one each: ``{"die": true}``, ``{"slow": seconds}``,
  ``{"status": n}``, ``{"raw": text}``, ``{"set": {"choices.0.token_ids": …}}``, or ``{}`` (as usual).
- ``pace``: seconds that each request for tokens takes.

``GET /log`` gives paths and bodies so far; those that find out the kind of log-probabilities are left out.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

DEFAULTS = {
    "model": "policy", "length": 64, "vocabulary": 61, "processed": True, "shift": 0, "closed": [],
    "scale_out": True, "tokens": None, "plan": [], "pace": 0.0,
}  # fmt: skip


class Double(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: ClassVar[dict] = {}
    log: ClassVar[list] = []
    state: ClassVar[dict] = {"version": "default", "weights": "first", "paused": False, "asked": 0}
    lock = threading.Lock()

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.act({})

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.act(json.loads(self.rfile.read(length) or b"null") or {})

    def act(self, body):
        path = urlsplit(self.path).path
        script, state = self.script, self.state
        if path == "/log":
            return self.send(200, {"log": self.log, **state})
        probe = path.endswith("/generate") and body.get("token_ids") == [0]
        if not probe:
            with self.lock:
                self.log.append({"path": self.path, "body": body, "key": self.headers.get("Authorization")})
        if path in script["closed"]:
            return self.send(404, {"detail": "Not Found"})
        if path == "/v1/models":
            return self.send(200, {"data": [{"id": script["model"], "max_model_len": script["length"]}]})
        if path == "/tokenize":
            read = script["tokens"] or [ord(c) + script["shift"] for c in body["prompt"]]
            return self.send(200, {"tokens": read})
        if path == "/weight_info":
            return self.send(200, {"weight_version": state["version"]})
        if path == "/update_weight_version":
            state["version"] = body["new_version"]
        elif path == "/finish_weight_update":
            state["version"] = body["weight_version"]
        elif path == "/collective_rpc":
            state["weights"] = (Path(body["kwargs"]["weights_path"]) / "weights.txt").read_text()
        elif path == "/get_world_size":
            return self.send(200, {"world_size": 2})
        elif path in ("/pause", "/resume"):
            state["paused"] = path == "/pause"
        elif path == "/inference/v1/generate":
            return self.generate(body, probe)
        return self.send(200, {"success": True})

    def generate(self, body, probe):
        script = self.script
        if not script["scale_out"]:
            return self.send(403, {"error": {"message": "Scale-out endpoints are disabled."}})
        if body["model"] != script["model"] and not probe:
            return self.send(404, {"error": {"message": "no such model"}})
        step = {}
        if not probe:
            with self.lock:
                number = self.state["asked"]
                self.state["asked"] += 1
            step = script["plan"][number] if number < len(script["plan"]) else {}
            if any("die" in earlier for earlier in script["plan"][:number]):
                # What is asked after that is never answered, however long dying takes.
                time.sleep(60)
        time.sleep(script["pace"])
        if "die" in step:
            os._exit(9)
        time.sleep(step.get("slow", 0))
        if "status" in step:
            return self.send(step["status"], {"error": {"message": "planned"}})
        answer = self.answer(body["token_ids"], body["sampling_params"])
        for place, value in step.get("set", {}).items():
            *way, last = [int(part) if part.isdigit() else part for part in place.split(".")]
            target = answer
            for part in way:
                target = target[part]
            target[last] = value
        return self.send(200, step.get("raw", answer))

    def answer(self, prompt, params):
        sampled, reason, stop = [], "length", None
        for _ in range(params["max_tokens"]):
            token = draw(self.state["weights"], self.script["vocabulary"], [*prompt, *sampled], params)
            sampled.append(token)
            if token in params.get("stop_token_ids", ()):
                reason, stop = "stop", token
                break
            text = "".join(chr(97 + token % 26) for token in sampled)
            found = [string for string in params.get("stop", ()) if string in text]
            if found:
                reason, stop = "stop", found[0]
                break
        cut = "allowed_token_ids" in params and self.script["processed"]
        value = 0.0 if cut else -math.log(self.script["vocabulary"])
        choice = {
            "index": 0,
            "token_ids": sampled,
            "logprobs": {"content": [{"token_id": token, "logprob": value} for token in sampled]},
            "finish_reason": reason,
            "stop_reason": stop,
            "weight_versions": [{"version": self.state["version"], "start": 0, "end": len(sampled)}],
        }
        usage = {"prompt_tokens": len(prompt), "completion_tokens": len(sampled)}
        return {"model": self.script["model"], "choices": [choice], "usage": usage}

    def send(self, status, value):
        data = (value if isinstance(value, str) else json.dumps(value)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def draw(weights, vocabulary, before, params):
    seed = None if params["temperature"] == 0 else params["seed"]
    key = json.dumps([weights, seed, before]).encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=4).digest(), "big") % vocabulary


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        pass  # a client that gave up waiting


if __name__ == "__main__":
    Double.script = DEFAULTS | json.loads(Path(sys.argv[1]).read_text())
    port = int(sys.argv[sys.argv.index("--port") + 1]) if "--port" in sys.argv else 0
    server = Server(("127.0.0.1", port), Double)
    print(server.server_address[1], flush=True)
    server.serve_forever()
