"""Holds `waxseal explain --json` against the delivery events of a lab run: explain_lab.py WAXSEAL KEPT_FOLDER

Each event of each case is looked up by its queue id, and the story must name the same end, status, reason, reply, level and TLS status."""

import concurrent.futures
import glob
import json
import os
import subprocess
import sys


def story(waxseal, folder, queue_id):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WAXSEAL_")}
    command = [waxseal, "explain", "--json", "--config", folder + "/main.cf", "--config", folder + "/waxseal.toml", queue_id]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        return None, done.stderr.strip()
    return json.loads(done.stdout)["entries"], ""


def told(entries, event):
    """What the story has of an event: a list, since a connection may have failed in the same way twice."""
    found = []
    for entry in entries:
        attempt, settled = entry.get("attempt"), entry.get("settled")
        if event["event"] == "attempt":
            for connection in (attempt or {}).get("connections", []):
                if connection["failure"]:
                    status, reason = connection["failure"].split(" ", 1)
                    found.append(("attempt", status, reason, connection["level"], connection["status"]))
        elif entry["time"] != event["time"]:
            continue
        elif attempt:
            found += [(r["outcome"], r["status"], r["reason"], r["level"], r["tls_status"], r["reply"])
                      for r in attempt["results"] if r["recipient"] == event["recipient"]]
        elif event["recipient"] in settled["recipients"]:
            found.append((settled["outcome"], settled["status"], settled["reason"], None, "none", settled["reply"]))
    return found


def main():
    waxseal, kept = sys.argv[1:]
    events = {}
    for path in glob.glob(kept + "/**/delivery-events.jsonl", recursive=True):
        for line in open(path, encoding="utf-8"):
            event = json.loads(line)
            if event["event"] != "queued":
                events.setdefault((os.path.dirname(path), event["queue_id"]), []).append(event)
    same, different = 0, []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        stories = pool.map(lambda key: story(waxseal, *key), events)
        for ((folder, queue_id), of_message), (entries, error) in zip(events.items(), stories):
            for event in of_message:
                tls = event.get("tls", {})
                wanted = (event["event"], event["dsn"], event.get("reason"), tls.get("level"), tls.get("status", "none"))
                if event["event"] != "attempt":
                    wanted += (event.get("reply"),)
                found = told(entries, event) if entries is not None else error
                if wanted in found:
                    same += 1
                else:
                    different.append("%s %s: event %s, story %s" % (folder, queue_id, wanted, found))
    print("\n".join(different[:40]))
    print("explain names %d events of %d messages as the events do, %d otherwise" % (same, len(events), len(different)))
    sys.exit(0 if same > 500 and not different else 1)


main()
