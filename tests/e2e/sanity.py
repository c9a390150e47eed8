"""One mail through the deployment that the environment names (as `deploy/local/env` prints it),
followed to the lake, in under a minute. Sends a real mail where the deployment sends real mails:
MILL_SANITY_FROM and MILL_SANITY_TO say from and to whom."""
import os
import sys
import time
import uuid

if "INGEST" not in os.environ:
    sys.exit('sanity: no deployment in the environment; for the local one: eval "$(deploy/local/env)"')

import lab  # noqa: E402

LIMIT_S = 60


def step(began: float, what: str) -> None:
    print(f"{time.monotonic() - began:6.2f} s  {what}", flush=True)


def main() -> int:
    began = time.monotonic()
    body = {"from": os.environ.get("MILL_SANITY_FROM", "sanity@example.com"),
            "to": os.environ.get("MILL_SANITY_TO", "sanity@example.org"),
            "subject": f"sanity {uuid.uuid4()}", "text": "Nothing to do: this mail is a test."}
    answer = lab.post(body)
    if answer.status_code != 202:
        print(f"not accepted: {answer.status_code} {answer.text}", file=sys.stderr)
        return 1
    message = answer.json()["message_ids"][0]
    step(began, f"accepted as {message}")
    try:
        if os.environ.get("PROVIDER"):
            lab.wait_for("the provider's call", lambda: lab.calls().get(message), LIMIT_S)
            step(began, "called at the provider, once")
        for topic, state in (("mail.status", "state"), ("mail.events", "type")):
            rows = lab.wait_for(f"{topic} in the lake", lambda t=topic, s=state: lab.lake(
                f"select distinct {s} from lake('{t}') where message_id = '{message}'"),
                LIMIT_S - (time.monotonic() - began), 0.5)
            step(began, f"{topic} in the lake: {', '.join(sorted(r[0] for r in rows))}")
    except AssertionError as e:
        print(f"sanity: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
