"""A queue-manager with its servers and its mail, for the tests of the page and of the API. Nothing but the standard library."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

LIMIT = 120


def wait_for(what, condition, limit=LIMIT):
    """What `condition` comes to, once it is something; it is asked again and again."""
    end = time.monotonic() + limit
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit} s in vain for {what}")
        time.sleep(0.05)


class Server(threading.Thread):
    """A mail server that says `answer` to each RCPT."""

    def __init__(self, answer=b"250 2.1.5 Ok"):
        super().__init__(daemon=True)
        self.answer, self.taken = answer, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            peer, _ = self.listener.accept()
            threading.Thread(target=self.attend, args=(peer,), daemon=True).start()

    def attend(self, peer):
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with peer, peer.makefile("rwb") as lines:
            def say(text):
                lines.write(text + b"\r\n")
                lines.flush()

            say(b"220 stage.test ESMTP")
            for line in lines:
                verb = line[:4].upper()
                if verb in (b"EHLO", b"HELO"):
                    say(b"250-stage.test\r\n250 PIPELINING" if verb == b"EHLO" else b"250 stage.test")
                elif verb == b"RCPT":
                    say(self.answer)
                elif verb == b"DATA":
                    if not self.answer.startswith(b"250"):
                        say(b"554 5.5.1 no valid recipients")
                        continue
                    say(b"354 go on")
                    for text in lines:
                        if text == b".\r\n":
                            break
                    self.taken += 1
                    say(b"250 2.0.0 taken")
                elif verb == b"QUIT":
                    say(b"221 2.0.0 bye")
                    return
                else:
                    say(b"250 2.0.0 Ok")


class Stage:
    """The daemon in a folder of its own, which goes with it."""

    def __init__(self, binary, routes, token=None, extra="", spool=None):
        self.folder = tempfile.TemporaryDirectory()
        path = self.folder.name
        routes = routes or {"nobody.test": "[127.0.0.1]:9"}
        entries = ", ".join(f"{{ {domain} = smtp:{nexthop} }}" for domain, nexthop in routes.items())
        admin = ""
        if token:
            with open(os.open(f"{path}/token", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
                file.write(token + "\n")
            admin = f'[admin]\ntoken_file = "{path}/token"\n'
        spool = spool or f"{path}/spool"
        with open(f"{path}/waxseal.toml", "w") as file:
            file.write(f'''hostname = "queue.test"
[spool]
path = "{spool}"
[listen]
smtp = ["127.0.0.1:0"]
admin = "127.0.0.1:0"
client_connection_limit = 200
[dns]
servers = ["127.0.0.1:9"]
dnssec = "off"
[tls]
security_level = "may"
[transport]
maps = ["inline:{{ {entries} }}"]
[queue]
minimal_backoff = "300s"
[log]
level = "info,waxseal_telemetry=warn"
delivery_events = "{path}/events.jsonl"
{admin}{extra}''')
        self.log = open(f"{path}/log", "w+")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("WAXSEAL_")}
        self.process = subprocess.Popen([binary, "--config", f"{path}/waxseal.toml"], stderr=self.log, env=environment)
        self.token = token
        self.url = wait_for("the page's address", lambda: self.said(r"are at (http://\S+)/"))
        self.smtp = int(wait_for("the intake's address", lambda: self.said(r"taken on 127\.0\.0\.1:(\d+)")))

    def text(self):
        with open(self.log.name) as file:
            return re.sub(r"\x1b\[[0-9;]*m", "", file.read())

    def said(self, pattern):
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with {self.process.returncode}:\n{self.text()}")
        found = re.search(pattern, self.text())
        return found and found[1]

    def inject(self, count, recipient, sender="news@sender.test", subject="Hello", text="A letter.\r\n" * 20):
        """Submits `count` messages over one connection; `recipient(n)` is to whom the n-th goes."""
        with socket.create_connection(("127.0.0.1", self.smtp), timeout=LIMIT) as peer, peer.makefile("rwb") as lines:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            lines.readline()
            lines.write(b"EHLO stage.test\r\n")
            lines.flush()
            while lines.readline()[3:4] == b"-":
                pass
            for number in range(count):
                head = f"Subject: {subject}\r\nMessage-ID: <{number}.{os.getpid()}@sender.test>\r\n\r\n"
                lines.write(f"MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient(number)}>\r\nDATA\r\n".encode())
                lines.flush()
                replies = [lines.readline() for _ in range(3)]
                if not replies[2].startswith(b"354"):
                    raise AssertionError(f"refused: {replies}")
                lines.write((head + text + ".\r\n").encode())
                lines.flush()
                if not lines.readline().startswith(b"250"):
                    raise AssertionError("not taken")

    def call(self, path, body=None, headers=None):
        """Status and answer of a request."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data)
        request.add_header("X-Waxseal", "test")
        if data:
            request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        for key, value in (headers or {}).items():
            if value is None:
                request.remove_header(key.capitalize())
            else:
                request.add_header(key, value)
        try:
            with urllib.request.urlopen(request, timeout=LIMIT) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.folder.cleanup()
        return self.process.returncode


def closed_port():
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
