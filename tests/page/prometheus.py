#!/usr/bin/env python3
"""Prometheus itself reads the metrics of a queue-manager, and the alert rules: prometheus.py QUEUE_MANAGER

promtool is of Debian's package prometheus; PROMTOOL names another one.
"""

import os
import shutil
import subprocess
import sys
import urllib.request

from stage import Server, Stage, wait_for


def main():
    binary = os.path.abspath(sys.argv[1])
    promtool = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if not promtool:
        assert "CI" not in os.environ, "no promtool here"
        print("skipped: no promtool here", flush=True)
        return
    rules = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../contrib/prometheus/alerts.yml")
    subprocess.run([promtool, "check", "rules", rules], check=True)
    good = Server()
    stage = Stage(binary, {"good.test": f"[127.0.0.1]:{good.port}"})
    try:
        stage.inject(3, lambda n: f"r{n}@good.test")
        wait_for("the deliveries", lambda: good.taken == 3)
        with urllib.request.urlopen(stage.url + "/metrics", timeout=60) as answer:
            page = answer.read()
        # It complains about words as well as about mistakes; only these end with another status.
        checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True)
        assert checked.returncode == 0 and b"error" not in checked.stderr, checked.stderr.decode()
    finally:
        stage.close()
    print("ok prometheus", flush=True)


if __name__ == "__main__":
    main()
