#!/usr/bin/env python3
"""Lists a long queue while mail goes through it: listing.py QUEUE_MANAGER [SPOOL]

Without SPOOL some thousand messages are put in first; SPOOL is one with many, such as `cargo run --release -p waxseal-spool --example backlog -- SPOOL
1000000` makes, whose mail goes nowhere here. It prints what it measured, and fails where something is missing, not where a machine is slow: but a listing
that had to be finished before the first row comes, or during which nothing is delivered, is wrong on any machine.
"""

import json
import multiprocessing
import os
import socket
import sys
import time
import urllib.parse
import urllib.request

from stage import LIMIT, Server, Stage, closed_port, wait_for

COUNT = int(os.environ.get("LISTING_MESSAGES", "5000"))


def memory(stage):
    """Resident now and at most so far, in MB (proc(5))."""
    with open(f"/proc/{stage.process.pid}/status") as file:
        fields = dict(line.split(":", 1) for line in file if line.startswith("Vm"))
    return tuple(int(fields[name].split()[0]) // 1024 for name in ("VmRSS", "VmHWM"))


def read_octets(stage):
    """What the process has read with system calls so far."""
    with open(f"/proc/{stage.process.pid}/io") as file:
        return int(dict(line.split(": ") for line in file)["rchar"])


def listed(stage, **query):
    """How many rows there are, the first one, and the seconds until the first and until the last."""
    begun, first, row, count, end = time.monotonic(), None, None, 0, None
    query = urllib.parse.urlencode({"format": "ndjson", **query})
    with urllib.request.urlopen(f"{stage.url}/api/v1/queue?{query}", timeout=600) as answer:
        for line in answer:
            if first is None:
                first, row = time.monotonic() - begun, line
            if line.startswith(b'{"queue_id"'):
                count += 1
            else:
                end = json.loads(line)
    assert end == {"end": True, "count": count}, end
    return count, json.loads(row), first, time.monotonic() - begun


def carry(pipe):
    """A server, and whoever sends it one message after the other, in a process of their own: whoever reads a listing in Python shall not be in their way."""
    server = Server()
    pipe.send(server.port)
    port, took = pipe.recv(), []
    # Each question is answered behind a message at least.
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as peer, peer.makefile("rwb") as lines:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def ask(text, replies=1):
            lines.write(text)
            lines.flush()
            return [lines.readline() for _ in range(replies)]

        ask(b"")
        line = ask(b"EHLO others.test\r\n")[0]
        while line[3:4] == b"-":
            line = lines.readline()
        while True:
            if took and pipe.poll(0.002):
                if pipe.recv() == "end":
                    return
                pipe.send(took)
                took = []
            before = server.taken
            ask(b"MAIL FROM:<other@sender.test>\r\nRCPT TO:<somebody@good.test>\r\nDATA\r\n", 3)
            begun = time.monotonic()
            taken = ask(b"Subject: other\r\n\r\nOther mail.\r\n.\r\n")[0]
            durable = time.monotonic()
            while taken.startswith(b"250") and server.taken == before and time.monotonic() - durable < LIMIT:
                time.sleep(0.0005)
            took.append((durable - begun, time.monotonic() - durable))


class Others:
    """Mail for elsewhere, one message after the other: how long each waited for its 250, and then for its server to have it."""

    def __init__(self):
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=carry, args=(theirs,), daemon=True)
        self.process.start()
        self.port = self.pipe.recv()

    def begin(self, smtp):
        self.pipe.send(smtp)

    def end(self):
        """Before the daemon ends: a traceback of whoever lost it would read as this script's failure."""
        self.pipe.send("end")
        self.process.join(LIMIT)

    def since(self):
        """What was delivered since this was asked last."""
        self.pipe.send("tell")
        took = self.pipe.recv()
        assert took, "nothing was delivered meanwhile"

        def told(times):
            times = sorted(times)
            return f"{times[len(times) // 2] * 1000:.1f} ms at the median, {times[-1] * 1000:.1f} ms at most"

        return f"{len(took)} delivered meanwhile; accepted in {told([one for one, _ in took])}, delivered {told([two for _, two in took])} later"


def main():
    binary, spool = os.path.abspath(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None
    others, dead = Others(), closed_port()
    stage = Stage(binary, {"good.test": f"[127.0.0.1]:{others.port}", "*": f"[127.0.0.1]:{dead}"}, spool=spool)
    try:
        if not spool:
            stage.inject(COUNT, lambda n: f"recipient-{n}@destination-{n % 100}.test")
        begun = time.monotonic()

        def settled():
            code, glance = stage.call("/api/v1/overview")
            queue = glance["queue"] if code == 200 else {}
            return queue.get("active") == 0 and queue.get("messages", 0) > 0 and queue

        if not spool:
            wait_for("the queue", lambda: (settled() or {}).get("messages") == COUNT)
        else:
            wait_for("recovery", lambda: (settled() or {}).get("messages", 0) >= COUNT, limit=600)
        total = stage.call("/api/v1/overview")[1]["queue"]["messages"]
        print(f"{total} messages, counted {time.monotonic() - begun:.1f} s after the start of the wait; memory (now, peak) {memory(stage)} MB", flush=True)

        others.begin(stage.smtp)
        time.sleep(3 if spool else 1)
        print(f"nothing is listed: {others.since()}", flush=True)

        octets = read_octets(stage)
        count, row, first, took = listed(stage)
        octets = read_octets(stage) - octets
        print(f"all: {count} rows, the first after {first:.3f} s, the last after {took:.2f} s ({count / took:.0f} a second), {octets / count:.0f} octets read a row; "
              f"memory (now, peak) {memory(stage)} MB; {others.since()}", flush=True)
        assert count >= total, f"{count} of {total}"
        assert count < 2000 or first < took / 2, "the first row came as late as the last"

        recipient, destination = row["recipients"][0], row["destination"]
        domain = recipient.split("@")[1]
        for query, expected in (({"id": row["queue_id"]}, 1), ({"recipient": recipient}, 1), ({"sender": "nobody@nowhere.test"}, 0), ({"domain": domain}, None),
                                ({"destination": destination, "state": "held"}, 0), ({"older_than": "365d"}, 0), ({"reason": "no such words"}, 0)):
            found, _, _, took = listed(stage, **query)
            print(f"{query}: {found} found in {took:.3f} s; {others.since()}", flush=True)
            assert expected in (None, found), (query, found)
            assert found < count, "a filter that lets everything pass is none"
        code, done = stage.call("/api/v1/actions", {"action": "hold", "select": {"domain": domain}, "dry_run": True})
        assert code == 200 and done["messages"] > 0, done
        others.end()
    finally:
        stage.close()
    print("ok listing", flush=True)


if __name__ == "__main__":
    main()
