"""``toolwise serve`` as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"id": "a", "title": "Arden", "text": "A town."}\n')
    return path


def test_it_serves_until_it_is_stopped(corpus, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    arguments = [sys.executable, "-m", "toolwise.cli", "serve", "--corpus", str(corpus), "--port", "0"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        try:
            url = process.stdout.readline().split()[-1]
            body = json.dumps({"queries": ["town"], "topk": 1, "return_scores": True}).encode()
            with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=60) as response:
                ((found,),) = json.loads(response.read())["result"]
            assert found["document"] == {"id": "a", "contents": "Arden\nA town."}
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
