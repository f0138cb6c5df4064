#!/usr/bin/env python3
"""Has schemathesis ask everything that the API's own description allows, and much that it does not: api.py QUEUE_MANAGER

schemathesis comes from PyPI, into a virtual environment in a folder of its own. It is asked for with a token, so that all answers are there.
"""

import os
import subprocess
import sys
import tempfile
import venv

from stage import Server, Stage, closed_port

VERSION = "4.32.5"
EXAMPLES = os.environ.get("API_EXAMPLES", "20")
# Same inputs every time: a failure is a failure of the change.
SEED = os.environ.get("API_SEED", "20261122")


def refused(stage, expected, headers, path="/api/v1/actions", body=None):
    order = {"action": "remove", "all": True} if body is None else body
    code, answer = stage.call(path, order, headers)
    assert code in expected, f"{headers} to {path}: {code} {answer}"


def guards(binary):
    """Who is not let in, and what is sent for another site, changes nothing."""
    dead = closed_port()
    stage = Stage(binary, {"stuck.test": f"[127.0.0.1]:{dead}"})
    try:
        stage.inject(3, lambda n: f"r{n}@stuck.test")
        for headers in ({"X-Waxseal": None}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil.test"},
                        {"Origin": "null"}, {"Origin": stage.url + ".evil.test"}, {"Origin": "http://127.0.0.1:1"}):
            for path in ("/api/v1/actions", "/api/v1/reload", "/api/v1/switches", "/api/v1/destinations/suspend", "/api/v1/explain"):
                refused(stage, (403,), headers, path)
        for host in ("evil.test", "127.0.0.1.evil.test", "queue.test", "10.0.0.1"):
            refused(stage, (421,), {"Host": host})
            code, _ = stage.call("/api/v1/queue", headers={"Host": host})
            assert code == 421, f"read as {host}: {code}"
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.test"}):
            code, _ = stage.call("/api/v1/queue", headers=headers)
            assert code == 403, f"read with {headers}: {code}"
        code, page = stage.call("/api/v1/queue")
        assert code == 200 and len(page["messages"]) == 3, page
        code, _ = stage.call(f"/api/v1/messages/{page['messages'][0]['queue_id']}/raw")
        assert code == 403, "a text is not for everybody on loopback"
        code, log = stage.call("/api/v1/audit")
        assert log["entries"] == [], "what is refused is no order"
        code, done = stage.call("/api/v1/actions", {"action": "remove", "all": True}, {"Origin": stage.url, "Sec-Fetch-Site": "same-origin"})
        assert code == 200 and done["messages"] == 3, done
        code, log = stage.call("/api/v1/audit")
        assert [entry["event"] for entry in log["entries"]] == ["done", "asked"], log
    finally:
        stage.close()
    stage = Stage(binary, {}, token="correct horse battery staple")
    try:
        for path in ("/api/v1/actions", "/api/v1/queue", "/metrics", "/api/v1/openapi.json"):
            code, _ = stage.call(path, None, {"Authorization": None})
            assert code == 401, f"{path}: {code}"
        codes = [stage.call("/api/v1/queue", headers={"Authorization": f"Bearer wrong horse number {n}"})[0] for n in range(8)]
        assert codes == [401] * 5 + [429] * 3, codes
        # Over the socket in the spool's folder nobody is turned away.
        answer = subprocess.run(["curl", "-sS", "--unix-socket", f"{stage.folder.name}/spool/control.sock", "http://localhost/metrics"],
                                capture_output=True, text=True, check=True).stdout
        assert 'waxseal_bounds_reached_total{bound="admin.tokens"} 3' in answer, [line for line in answer.splitlines() if "bounds" in line]
        assert stage.call("/health/ready", headers={"Authorization": None})[0] == 200
    finally:
        stage.close()
    print("ok guards", flush=True)


def main():
    binary = os.path.abspath(sys.argv[1])
    guards(binary)
    good, dead = Server(), closed_port()
    stage = Stage(binary, {"good.test": f"[127.0.0.1]:{good.port}", "stuck.test": f"[127.0.0.1]:{dead}"}, token="correct horse battery staple")
    with tempfile.TemporaryDirectory() as folder:
        try:
            venv.create(folder, with_pip=True)
            subprocess.run([f"{folder}/bin/pip", "-q", "--disable-pip-version-check", "install", f"schemathesis=={VERSION}"], check=True)
            stage.inject(20, lambda n: f"r{n}@stuck.test")
            # What a next hop or an address may be is not for a schema to say; and the guard comes before it is known which methods there are.
            excluded = "positive_data_acceptance,unsupported_method"
            command = [f"{folder}/bin/schemathesis", "run", f"{stage.url}/api/v1/openapi.json", "--max-examples", EXAMPLES,
                       "--seed", SEED, "--generation-deterministic", "--phases", "examples,coverage,fuzzing", "--workers", "2",
                       "-H", "Authorization: Bearer correct horse battery staple", "--request-timeout", "150",
                       "--exclude-checks", excluded, "--suppress-health-check", "all", "--continue-on-failure", "--no-color"]
            status = subprocess.run(command, cwd=folder).returncode
            assert stage.process.poll() is None, f"the daemon ended:\n{stage.text()[-3000:]}"
            assert "panicked" not in stage.text(), stage.text()[-3000:]
            code, ready = stage.call("/health/ready")
            assert code == 200, ready
        finally:
            stage.close()
    sys.exit(status)


if __name__ == "__main__":
    main()
