#!/usr/bin/env python3
"""Draws how throughput, memory and latency grow with the queue and with the number of destinations.

    cargo build --release --bins
    tests/benches/growth.py --program target/release/queue-manager --tools DIR --out docs

writes growth.json, growth.svg and growth.md. DIR holds `benchsink` and `benchsource` of the bench (see README). Everything runs on
loopback, needs no root and no DNS: a table sends each domain to an address of its own. --most 10000 leaves the largest sizes out.

What was measured stays in growth.json: a call goes on where the last one ended, and --steps 1 makes it end after one step, so that a machine need be quiet for
some minutes at a time only (a size of the queue is two steps, to fill it and what comes after; its spool waits in --workdir meanwhile). --fresh begins anew.

For each size of the queue: so many messages of 4 kB for 1,000 destinations are refused with 450 and wait; then other mail, 50 messages a second, is
timed from its 250 to its arrival, before and after a restart. For each number of destinations: messages of 4 kB for all of them in turn.
"""

import argparse
import json
import math
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

QUEUED = [1_000, 10_000, 100_000, 1_000_000]
DESTINATIONS = [1, 100, 10_000, 100_000]
# Domain numbers have six digits, from which an address in 127/8 is made: d123456 is 127.123.145.106.
FIRST_DOMAIN = 100_000
SIZE = 4_000
# Nothing is retried while it is measured.
BACKOFF = "7200s"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Sink:
    """A server on every address of loopback; `busy` refuses all recipients for now."""

    def __init__(self, tools, folder, busy):
        self.port, self.control = free_port(), free_port()
        group = "name=all,net=0.0.0.0/0" + (",rcpt450=1" if busy else "")
        argv = [os.path.join(tools, "benchsink"), "--listen", "0.0.0.0", "--port", str(self.port), "--tls", "off", "--group", group,
                "--control", "127.0.0.1:%d" % self.control, "--log-stream", "probe", "--log-stream", "first"]
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.folder = folder
        self.line = None
        until = time.time() + 10
        while self.line is None:
            try:
                self.line = socket.create_connection(("127.0.0.1", self.control), 5).makefile("rw")
            except OSError:
                if time.time() > until:
                    raise SystemExit("the sink does not start")
                time.sleep(0.02)

    def ask(self, words):
        self.line.write(words + "\n")
        self.line.flush()
        return self.line.readline()

    def group(self):
        return json.loads(self.ask("GET"))["groups"].get("all", {})

    def arrivals(self, stream):
        path = os.path.join(self.folder, "arrivals")
        self.ask("DUMP " + path)
        rows = (line.split() for line in open(path))
        return {seq: int(at) for name, seq, at in rows if name == stream}


class Daemon:
    """The program under test."""

    def __init__(self, program, folder, healthy, busy):
        self.program, self.folder, self.port = program, folder, free_port()
        routes = os.path.join(folder, "routes")
        with open(routes, "w") as f:
            f.write("".join("/@%s1([0-9][0-9])([0-9][0-9])([0-9])[.]/ smtp:[127.1$1.1$2.10$3]:%d\n" % (letter, port)
                            for letter, port in (("d", healthy), ("q", busy))))
        # A table is read once it has been quiet for a second; no start shall wait for that.
        time.sleep(1.2)
        self.config = os.path.join(folder, "waxseal.toml")
        with open(self.config, "w") as f:
            f.write('hostname = "growth.test"\n[spool]\npath = "%s/spool"\n[listen]\nsmtp = ["127.0.0.1:%d"]\n' % (folder, self.port)
                    + '[dns]\nservers = ["127.0.0.1:9"]\ndnssec = "off"\n[tls]\nsecurity_level = "none"\n'
                    + '[transport]\nmaps = ["regexp:%s"]\n' % routes
                    + '[queue]\nminimal_backoff = "%s"\nmaximal_backoff = "%s"\n[log]\nlevel = "info"\n' % (BACKOFF, BACKOFF))
        self.process = self.began = self.ready = None

    def start(self):
        log = open(os.path.join(self.folder, "log"), "w")
        self.began = time.time()
        self.process = subprocess.Popen([self.program, "--config", self.config], stdout=log, stderr=log, cwd=self.folder)
        until = time.time() + 60
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                    if s.recv(3) == b"220":
                        self.ready = time.time() - self.began
                        return
            except OSError:
                pass
            if time.time() > until or self.process.poll() is not None:
                raise SystemExit("the program does not start: see its log\n" + open(log.name).read()[-2000:])
            time.sleep(0.01)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(120) != 0:
            raise SystemExit("the program did not end well")

    def memory(self):
        """Octets of its own, without the pages of files."""
        status = open("/proc/%d/status" % self.process.pid).read()
        return int(re.search(r"RssAnon:\s+(\d+) kB", status).group(1)) * 1024

    def cpu(self):
        fields = open("/proc/%d/stat" % self.process.pid).read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def size_of(folder):
    """Octets of disk."""
    files = (os.path.join(path, name) for path, _, names in os.walk(folder) for name in names)
    return sum(os.lstat(name).st_blocks * 512 for name in files)


class Bench:
    def __init__(self, program, tools, folder):
        self.tools, self.folder = tools, folder
        self.healthy, self.busy = Sink(tools, folder, False), Sink(tools, folder, True)
        self.daemon = Daemon(program, folder, self.healthy.port, self.busy.port)
        self.daemon.start()

    def close(self):
        for process in (self.daemon.process, self.healthy.process, self.busy.process):
            if process and process.poll() is None:
                process.kill()
                process.wait()

    def send(self, count, stream, domains, letter="d", sessions=40, *more):
        argv = [os.path.join(self.tools, "benchsource"), "--to", "127.0.0.1:%d" % self.daemon.port, "--messages", str(count),
                "--sessions", str(sessions), "--size", str(SIZE), "--domains", str(domains), "--domain-base", str(FIRST_DOMAIN),
                "--domain-fmt", letter + "{}.growth.test", "--stream", stream, "--max-seconds", "1800", *more]
        done = subprocess.run(argv, capture_output=True, check=True, text=True)
        return json.loads(done.stdout.strip().splitlines()[-1])

    def wait(self, condition, what, seconds=1800):
        until = time.time() + seconds
        while not condition():
            if time.time() > until:
                raise SystemExit("waited in vain: " + what)
            time.sleep(0.02)

    def latency(self, count):
        """Milliseconds from the 250 to the arrival: median and 99th percentile."""
        log = os.path.join(self.folder, "sent")
        self.healthy.ask("RESET")
        self.send(count, "probe", 20, "d", 30, "--rate", "50", "--seq-log", log)
        self.wait(lambda: self.healthy.group().get("messages", 0) >= count, "other mail", 120)
        sent = {line.split()[1]: int(line.split()[2]) for line in open(log)}
        arrived = self.healthy.arrivals("probe")
        late = sorted((at - sent[seq]) / 1e6 for seq, at in arrived.items() if seq in sent)
        return late[len(late) // 2], late[int(len(late) * 0.99)]

    def warm(self):
        self.send(200, "warm", 20)
        self.wait(lambda: self.healthy.group().get("messages", 0) >= 200, "the first messages", 60)

    def fill(self, count):
        self.warm()
        idle, p50_before = self.daemon.memory(), self.latency(100)[0]
        began, cpu = time.time(), self.daemon.cpu()
        source = self.send(count, "fill", 1_000, "q")
        self.wait(lambda: self.busy.group().get("rcpt_450", 0) >= count, "the first tries")
        taken = time.time() - began
        cpu = self.daemon.cpu() - cpu
        time.sleep(2)
        memory = self.daemon.memory()
        p50, p99 = self.latency(250)
        self.daemon.stop()
        return {
            "queued": count, "accepted_per_s": source["accept_rate"], "tried_per_s": count / taken, "cpu_ms": cpu / count * 1e3,
            "memory_mb": memory / 1e6, "memory_per_message": (memory - idle) / count, "p50_before_ms": p50_before, "p50_ms": p50,
            "p99_ms": p99, "disk_per_message": size_of(os.path.join(self.folder, "spool")) / count, "idle": idle,
        }

    def restart(self, row):
        """A daemon that was just started with the queue of `fill`."""
        self.send(1, "first", 1)
        self.wait(lambda: self.healthy.group().get("messages", 0) >= 1, "the first message after the restart", 120)
        first = time.time() - self.daemon.began
        self.wait(lambda: "in the queue again" in open(os.path.join(self.folder, "log")).read(), "the queue", 300)
        whole = time.time() - self.daemon.began
        time.sleep(2)
        restarted, idle = self.daemon.memory(), row.pop("idle")
        return {
            **row, "restart_ready_s": self.daemon.ready, "restart_first_s": first, "restart_whole_s": whole, "restarted_mb": restarted / 1e6,
            "restarted_per_message": (restarted - idle) / row["queued"], "restarted_p50_ms": self.latency(100)[0],
        }

    def destinations(self, count):
        self.warm()
        messages = max(20_000, count)
        self.healthy.ask("RESET")
        idle, cpu, peak = self.daemon.memory(), self.daemon.cpu(), 0
        began = time.time()
        source = self.send(messages, "main", count)
        until = time.time() + 600
        while self.healthy.group().get("messages", 0) < messages:
            peak = max(peak, self.daemon.memory())
            if time.time() > until:
                raise SystemExit("not everything arrived")
            time.sleep(0.02)
        taken = time.time() - began
        memory, cpu = max(peak, self.daemon.memory()), self.daemon.cpu() - cpu
        group = self.healthy.group()
        time.sleep(3)
        p50, p99 = self.latency(100)
        return {"destinations": count, "messages": messages, "accepted_per_s": source["accept_rate"],
                "delivered_per_s": messages / taken, "cpu_ms": cpu / messages * 1e3, "memory_mb": memory / 1e6,
                "above_idle_mb": (memory - idle) / 1e6, "connections": group.get("connections"), "p50_ms": p50, "p99_ms": p99}


def machine():
    cpu = re.search(r"model name\s*:\s*(.*)", open("/proc/cpuinfo").read())
    memory = int(re.search(r"MemTotal:\s+(\d+)", open("/proc/meminfo").read()).group(1)) / 2**20
    return "%d cores (%s), %.0f GiB of memory, Linux %s; server, clients and program on the same cores" % (
        os.cpu_count(), cpu.group(1).strip() if cpu else platform.machine(), memory, platform.release().split("-")[0])


def short(value):
    for limit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return "%g%s" % (value / limit, letter)
    return "%.3g" % value


class Drawing:
    """Panels with a logarithmic axis each way."""
    WIDTH, HEIGHT, LEFT, BOTTOM = 300, 210, 48, 34
    COLOURS = ["#1f5fa8", "#c4561a", "#3c8a4e"]

    def __init__(self):
        self.parts = []

    def panel(self, column, row, title, rows, x, lines, axis):
        """`lines` are pairs of a key and its name."""
        left, top = column * self.WIDTH + self.LEFT, row * self.HEIGHT + 26
        wide, high = self.WIDTH - self.LEFT - 14, self.HEIGHT - 26 - self.BOTTOM
        values = [max(r[key], 1e-3) for r in rows for key, _ in lines]
        low, top_value = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)
        top_value = max(top_value, low + 1)
        first, last = math.log10(rows[0][x]), max(math.log10(rows[-1][x]), math.log10(rows[0][x]) + 1)

        def at(a, b):
            return (left + (math.log10(a) - first) / (last - first) * wide,
                    top + high - (math.log10(max(b, 1e-3)) - low) / (top_value - low) * high)
        self.text(left, top - 10, title, weight="bold")
        for power in range(low, top_value + 1):
            y = at(rows[0][x], 10**power)[1]
            self.parts.append('<path d="M%d %.1fh%d" stroke="#ddd"/>' % (left, y, wide))
            self.text(left - 5, y + 3, short(10**power), anchor="end")
        for r in rows:
            self.text(at(r[x], 10**low)[0], top + high + 14, short(r[x]), anchor="middle")
        self.text(left + wide / 2, top + high + 28, axis, anchor="middle")
        for number, (key, name) in enumerate(lines):
            colour, points = self.COLOURS[number], [at(r[x], r[key]) for r in rows]
            self.parts.append('<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>' % (
                colour, " ".join("%.1f,%.1f" % p for p in points)))
            self.parts.extend('<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (*p, colour) for p in points)
            self.text(left + wide, top + 10 + 13 * number, name, anchor="end", fill=colour)

    def text(self, x, y, words, **how):
        words = words.replace("&", "&amp;").replace("<", "&lt;")
        style = "".join(' %s="%s"' % ({"anchor": "text-anchor", "weight": "font-weight"}.get(k, k), v) for k, v in how.items())
        self.parts.append('<text x="%.1f" y="%.1f"%s>%s</text>' % (x, y, style, words))

    def svg(self):
        size = (3 * self.WIDTH, 2 * self.HEIGHT)
        return ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">\n'
                '<rect width="100%%" height="100%%" fill="white"/>\n' % (size * 2)) + "\n".join(self.parts) + "\n</svg>\n"


def draw(result):
    d, q, n = Drawing(), result["queued"], result["destinations"]
    d.panel(0, 0, "Messages a second", q, "queued", [("accepted_per_s", "taken"), ("tried_per_s", "taken and tried")], "messages queued")
    d.panel(1, 0, "Memory, MB", q, "queued", [("memory_mb", "with the queue"), ("restarted_mb", "after a restart")], "messages queued")
    d.panel(2, 0, "Other mail, 250 to arrival, ms", q, "queued", [("p50_ms", "median"), ("p99_ms", "99 %")], "messages queued")
    d.panel(0, 1, "Messages a second", n, "destinations", [("delivered_per_s", "delivered")], "destinations")
    d.panel(1, 1, "Memory, MB, at most", n, "destinations", [("memory_mb", "while delivering")], "destinations")
    d.panel(2, 1, "Mail afterwards, 250 to arrival, ms", n, "destinations", [("p50_ms", "median"), ("p99_ms", "99 %")], "destinations")
    return d.svg()


def page(result):
    lines = ["# Growth", "",
             "How throughput, memory and latency grow with the queue and with the number of destinations: made by `tests/benches/growth.py`, "
             "whose head says how.", "", "![curves](growth.svg)", "",
             "Machine: %s. Measured %s%s." % (result["machine"], result["date"], "; " + result["note"] if result["note"] else ""), "",
             "## Messages queued (for 1,000 destinations, 4 kB each)", "",
             "| queued | taken /s | taken and tried /s | CPU ms each | memory MB | bytes each | after restart MB | bytes each |"
             " disk bytes each |"
             " after restart: first delivery s | whole queue s | other mail p50 ms: before, with queue, after restart | p99 ms |",
             "|" + " ---: |" * 13]
    for r in result["queued"]:
        lines.append("| {queued:,} | {accepted_per_s:,.0f} | {tried_per_s:,.0f} | {cpu_ms:.3f} | {memory_mb:.0f} | {memory_per_message:.0f} |"
                     " {restarted_mb:.0f} | {restarted_per_message:.0f} | {disk_per_message:,.0f} | {restart_first_s:.2f} | {restart_whole_s:.2f} |"
                     " {p50_before_ms:.2f}, {p50_ms:.2f},"
                     " {restarted_p50_ms:.2f} | {p99_ms:.2f} |".format(**r))
    lines += ["", "Bytes each are what the process has more than when it was idle, over the number of messages: at 1,000 that is mostly the memory of the work "
              "itself.", "", "## Destinations (4 kB each, all of them in turn)", "",
              "| destinations | messages | delivered /s | CPU ms each | connections | memory MB at most | mail afterwards p50 ms | p99 ms |",
              "|" + " ---: |" * 8]
    for r in result["destinations"]:
        lines.append("| {destinations:,} | {messages:,} | {delivered_per_s:,.0f} | {cpu_ms:.3f} | {connections:,} | {memory_mb:.0f} |"
                     " {p50_ms:.2f} | {p99_ms:.2f} |".format(**r))
    return "\n".join(lines) + "\n"


def steps(a):
    """What is to be measured: kind and size, in order."""
    for size in (s for s in QUEUED if s <= a.most):
        yield "fill", size
        yield "queued", size
    for size in (s for s in DESTINATIONS if s <= a.most):
        yield "destinations", size


def measure(a, kind, size, filled):
    """One step; None where an earlier one was lost."""
    folder = os.path.join(a.workdir or tempfile.gettempdir(), "waxseal-growth-%s-%d" % (kind if kind == "destinations" else "queued", size))
    if kind == "queued" and not os.path.isdir(folder):
        return None
    if kind != "queued":
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
    bench = Bench(os.path.abspath(a.program), a.tools, folder)
    try:
        return bench.restart(dict(filled)) if kind == "queued" else getattr(bench, kind)(size)
    finally:
        bench.close()
        if kind != "fill":
            shutil.rmtree(folder, ignore_errors=True)


def go_on(a, kept):
    """Measures what is missing in the file, as many steps as are asked for."""
    result = None if a.fresh or not os.path.exists(kept) else json.load(open(kept))
    # A file of one program is not completed with figures of another.
    program = os.stat(a.program)
    made = [program.st_size, int(program.st_mtime)]
    if result is None or result.get("program") != made:
        result = {"machine": machine(), "date": time.strftime("%Y-%m-%d"), "note": a.note, "program": made,
                  "fill": [], "queued": [], "destinations": []}
    left = a.steps
    for kind, size in steps(a):
        key = "destinations" if kind == "destinations" else "queued"
        done = result[key] + (result["fill"] if kind == "fill" else [])
        if any(row[key] == size for row in done):
            continue
        if left == 0:
            break
        left -= 1
        filled = next((row for row in result["fill"] if row["queued"] == size), None)
        row = measure(a, kind, size, filled)
        if kind == "queued":
            result["fill"].remove(filled)
        if row is None:
            raise SystemExit("the spool of %d messages is gone: run again to fill it anew" % size)
        print(json.dumps(row), flush=True)
        result[kind].append(row)
        with open(kept, "w") as f:
            json.dump(result, f, indent=1)
            f.write("\n")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="queue-manager, built for release")
    parser.add_argument("--tools", required=True, help="folder of benchsink and benchsource")
    parser.add_argument("--out", required=True, help="folder for growth.json, growth.svg and growth.md")
    parser.add_argument("--workdir", help="folder for the spools")
    parser.add_argument("--most", type=int, default=1_000_000, help="the largest number of messages, and of destinations")
    parser.add_argument("--note", default="", help="what the page says of the conditions")
    parser.add_argument("--steps", type=int, default=-1, help="ends after so many steps; the next call goes on")
    parser.add_argument("--fresh", action="store_true", help="measures everything anew")
    parser.add_argument("--draw", action="store_true", help="only draws growth.json anew")
    a = parser.parse_args()
    kept = os.path.join(a.out, "growth.json")
    result = json.load(open(kept)) if a.draw else go_on(a, kept)
    if result["queued"] and result["destinations"]:
        with open(os.path.join(a.out, "growth.svg"), "w") as f:
            f.write(draw(result))
        with open(os.path.join(a.out, "growth.md"), "w") as f:
            f.write(page(result))


if __name__ == "__main__":
    main()
