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


def main():
    binary = os.path.abspath(sys.argv[1])
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
