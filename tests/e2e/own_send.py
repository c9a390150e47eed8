"""A mill-send of the stack's configuration with options of a test's own, in the place of the stack's.

    lab.local("ctl", "stop", "send"), then OwnSend("--providers", "smtp"), .end(), and "start".
"""
import os
import re
import subprocess

import lab
import requests


class OwnSend:
    def __init__(self, *options: str):
        state = lab.state_dir()
        conf = state / "conf/send.conf"
        port = re.search(r"^status-listen = (.*)$", conf.read_text(), re.M)
        self.status = "http://" + port[1].strip()
        self.log = open(state / "log/send-own.log", "ab")
        self.proc = subprocess.Popen([lab.BUILD / "bin/mill-send", "--config", conf, *options],
                                     env={**os.environ, **lab.ENV}, stdout=self.log,
                                     stderr=self.log)
        lab.wait_for("send to be ready", self.ready, 60)

    def ready(self) -> bool:
        try:
            return requests.get(self.status + "/readyz", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def metric(self, name: str, provider: str = "") -> float:
        return lab.metric(self.status, name, f'provider="{provider}"' if provider else "")

    def end(self) -> None:
        if self.log.closed:
            return
        self.proc.terminate()
        code = self.proc.wait(60)
        self.log.close()
        assert code == 0, f"mill-send exited {code}"
