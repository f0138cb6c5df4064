#!/usr/bin/env python3
"""Lists a long queue while mail goes through it: listing.py QUEUE_MANAGER [SPOOL]

Without SPOOL some thousand messages are put in first; SPOOL is one with many, such as `cargo run --release -p waxseal-spool --example backlog -- SPOOL
1000000` makes, whose mail goes nowhere here. It prints what it measured, and fails where something is missing, not where a machine is slow: but a listing
that had to be finished before the first row comes, or during which nothing is delivered, is wrong on any machine.
"""

import json
import os
import sys
import threading
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


class Others(threading.Thread):
    """Mail for elsewhere, one message after the other; how long each took until its server had it."""

    def __init__(self, stage, server):
        super().__init__(daemon=True)
        self.stage, self.server, self.took, self.ending, self.failed = stage, server, [], False, None
        self.start()

    def run(self):
        try:
            while not self.ending:
                before, begun = self.server.taken, time.monotonic()
                self.stage.inject(1, lambda n: "somebody@good.test", sender="other@sender.test")
                while self.server.taken == before:
                    if time.monotonic() - begun > LIMIT:
                        raise AssertionError("nothing was delivered")
                    time.sleep(0.0005)
                self.took.append(time.monotonic() - begun)
        except Exception as error:
            self.failed = error

    def end(self):
        self.ending = True
        self.join(LIMIT)
        assert not self.failed, self.failed
        assert self.took, "nothing was delivered meanwhile"
        took = sorted(self.took)
        return f"{len(took)} delivered meanwhile, in {took[len(took) // 2] * 1000:.1f} ms at the median, {took[-1] * 1000:.1f} ms at most"


def main():
    binary, spool = os.path.abspath(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None
    good, dead = Server(), closed_port()
    stage = Stage(binary, {"good.test": f"[127.0.0.1]:{good.port}", "*": f"[127.0.0.1]:{dead}"}, spool=spool)
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

        others = Others(stage, good)
        time.sleep(3 if spool else 1)
        print(f"nothing is listed: {others.end()}", flush=True)

        others, octets = Others(stage, good), read_octets(stage)
        count, row, first, took = listed(stage)
        octets = read_octets(stage) - octets
        print(f"all: {count} rows, the first after {first:.3f} s, the last after {took:.2f} s ({count / took:.0f} a second), {octets / count:.0f} octets read a row; "
              f"memory (now, peak) {memory(stage)} MB; {others.end()}", flush=True)
        assert count >= total, f"{count} of {total}"
        assert count < 2000 or first < took / 2, "the first row came as late as the last"

        recipient, destination = row["recipients"][0], row["destination"]
        domain = recipient.split("@")[1]
        for query, expected in (({"id": row["queue_id"]}, 1), ({"recipient": recipient}, 1), ({"sender": "nobody@nowhere.test"}, 0), ({"domain": domain}, None),
                                ({"destination": destination, "state": "held"}, 0), ({"older_than": "365d"}, 0), ({"reason": "no such words"}, 0)):
            others = Others(stage, good)
            try:
                found, _, _, took = listed(stage, **query)
            finally:
                said = others.end()
            print(f"{query}: {found} found in {took:.3f} s; {said}", flush=True)
            assert expected in (None, found), (query, found)
            assert found < count, "a filter that lets everything pass is none"
        code, done = stage.call("/api/v1/actions", {"action": "hold", "select": {"domain": domain}, "dry_run": True})
        assert code == 200 and done["messages"] > 0, done
    finally:
        stage.close()
    print("ok listing", flush=True)


if __name__ == "__main__":
    main()
