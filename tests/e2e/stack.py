"""stack.py up|down: the one stack that the e2e tests share, of the build that is tested."""
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = os.environ["MILL_E2E_NAME"]


def main(verb: str) -> int:
    local = ROOT / "deploy/local"
    if verb == "up":
        # Mail in doubt is held after seconds here, not after minutes (inherited by the processes).
        os.environ["MILL_SEND_UNKNOWN_WAIT_MS"] = os.environ["MILL_SEND_INTENT_MAX_MS"] = "12s"
        subprocess.run([local / "down", "--name", NAME, "--wipe"], check=False)
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
        points = {"MILL_FAULT_DIR": str(state / "sendmill" / NAME / "points")}  # faults_short
        return subprocess.run([local / "up", "--name", NAME, "--base", "auto"],
                              env={**os.environ, **points}, check=False).returncode
    return subprocess.run([local / "down", "--name", NAME, "--wipe"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
