"""The instance's supervisord: one program per part, started and watched over its RPC socket."""
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
import xmlrpc.client
from dataclasses import dataclass, field
from pathlib import Path
from .base import Fail, tail
from .instance import Instance, write_private

MISSING = "/usr/bin/supervisord is missing: run deploy/local/setup packages"


@dataclass
class Program:
    name: str
    argv: list
    env: dict = field(default_factory=dict)
    stop_s: int = 20   # after SIGTERM, before SIGKILL
    ready_s: int = 90  # how long `up` waits for it


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str):
        super().__init__("localhost", timeout=120)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: str):
        super().__init__()
        self._path = path

    def make_connection(self, host):
        return _Connection(self._path)


def _socket(i: Instance) -> str:
    path = str(i.path("run", "supervisor.sock"))
    if len(path) > 100:
        raise Fail(f"{path}: too long for a Unix socket; set XDG_STATE_HOME or --name shorter")
    return path


def rpc(i: Instance):
    """The supervisor's RPC, None when it does not run."""
    proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=_Transport(_socket(i)))
    try:
        proxy.supervisor.getState()
    except (OSError, http.client.HTTPException):
        return None
    return proxy.supervisor


def running(i: Instance) -> bool:
    return rpc(i) is not None


def _daemon_conf(i: Instance) -> str:
    return f"""[supervisord]
logfile={i.log('supervisord')}
logfile_maxbytes=5MB
logfile_backups=1
pidfile={i.path('run', 'supervisord.pid')}
childlogdir={i.path('log')}
directory={i.dir}
identifier=sendmill-{i.name}
minfds=4096
[unix_http_server]
file={_socket(i)}
chmod=0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[include]
files = {i.path('run', 'programs')}/*.conf
"""


def _quote(text) -> str:
    """One word of a supervisor command line; '%' is its own escape."""
    import shlex
    return shlex.quote(str(text)).replace("%", "%%")


def _program_conf(i: Instance, p: Program) -> str:
    for k, v in p.env.items():
        if '"' in str(v) or "\n" in str(v):
            raise Fail(f"{p.name}: the value of {k} has a quote or a line break")
    env = ",".join(f'{k}="{str(v).replace("%", "%%")}"' for k, v in p.env.items())
    return f"""[program:{p.name}]
command={' '.join(_quote(a) for a in p.argv)}
environment={env}
directory={i.dir}
autostart=false
autorestart=true
startsecs=1
startretries=30
stopwaitsecs={p.stop_s}
redirect_stderr=true
stdout_logfile={i.log(p.name)}
stdout_logfile_maxbytes=50MB
stdout_logfile_backups=1
"""


def ensure_daemon(i: Instance) -> None:
    if running(i):
        return
    if not Path("/usr/bin/supervisord").exists():
        raise Fail(MISSING)
    end_orphans(i)  # they would hold the ports
    i.path("run", "programs").mkdir(exist_ok=True)
    conf = i.path("run", "supervisord.conf")
    write_private(conf, _daemon_conf(i))
    # What programs need they get by their own conf; the rest must not depend on who was first.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MILL_", "AWS_"))
           and not k.endswith("SAN_OPTIONS")}
    subprocess.run(["/usr/bin/supervisord", "-c", conf], check=False, env=env,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    for _ in range(100):
        if running(i):
            return
        time.sleep(0.1)
    raise Fail(f"supervisord did not start; the end of its log:\n{tail(i.log('supervisord'))}")


def install(i: Instance, programs: list[Program]) -> None:
    """Tell the supervisor of the programs; one that changed is stopped, to be started anew."""
    where = i.path("run", "programs")
    where.mkdir(exist_ok=True)
    for p in programs:
        write_private(where / f"{p.name}.conf", _program_conf(i, p))
    api = rpc(i)
    added, changed, removed = api.reloadConfig()[0]
    stop_all(i, changed + removed)
    for name in changed + removed:
        api.removeProcessGroup(name)
    for name in added + changed:
        api.addProcessGroup(name)


def forget(i: Instance, known: set[str]) -> None:
    """Let the next install() stop and remove programs that are not known any more."""
    for path in i.path("run", "programs").glob("*.conf"):
        if path.stem not in known:
            path.unlink()


def states(i: Instance) -> dict[str, dict]:
    api = rpc(i)
    return {s["name"]: s for s in api.getAllProcessInfo()} if api else {}


def start(i: Instance, name: str) -> None:
    try:
        rpc(i).startProcess(name, False)
    except xmlrpc.client.Fault as e:
        if "ALREADY_STARTED" not in e.faultString:
            raise Fail(f"{name}: {e.faultString}; the end of its log:\n{tail(i.log(name))}") from e


def stop(i: Instance, name: str) -> None:
    try:
        rpc(i).stopProcess(name, True)
    except xmlrpc.client.Fault as e:
        if "NOT_RUNNING" not in e.faultString:
            raise Fail(f"{name}: {e.faultString}") from e


def pid(i: Instance, name: str) -> int:
    s = states(i).get(name)
    if s is None:
        raise Fail(f"no part '{name}' in instance '{i.name}'")
    if not s["pid"]:
        raise Fail(f"{name} does not run ({s['statename'].lower()})")
    return s["pid"]


def alive(number: int) -> bool:
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def stop_all(i: Instance, names: list[str], limit_s: int = 60) -> None:
    """Stop these at the same time and wait for the last."""
    api = rpc(i)
    for name in names:
        try:
            api.stopProcess(name, False)
        except xmlrpc.client.Fault as e:
            if "NOT_RUNNING" not in e.faultString:
                raise Fail(f"{name}: {e.faultString}") from e
    end = time.monotonic() + limit_s
    while time.monotonic() < end and \
            any(s["pid"] for n, s in states(i).items() if n in names):
        time.sleep(0.1)


def children(i: Instance) -> list[int]:
    """Every process of the instance, also when its supervisor is gone: it marks them all."""
    mark = f"SUPERVISOR_SERVER_URL=unix://{_socket(i)}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # ended meanwhile, or another user's
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def _signal(pids: list[int], number: int) -> None:
    for p in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(p, number)


def _await_end(pids: list[int], limit_s: int) -> None:
    """Wait until they have ended; what has not by then is killed."""
    end = time.monotonic() + limit_s
    while (pids := [p for p in pids if alive(p)]) and time.monotonic() < end:
        time.sleep(0.1)
    _signal(pids, signal.SIGKILL)


def end_orphans(i: Instance, grace_s: int = 20) -> bool:
    """End what a supervisor that was killed has left. True when there was any."""
    pids = children(i)
    _signal(pids, signal.SIGTERM)
    _signal(pids, signal.SIGCONT)  # one that a test has stopped could not end
    _await_end(pids, grace_s)
    return bool(pids)


def shut_down(i: Instance, last: list[str], grace_s: int = 20) -> bool:
    """Stop everything and the supervisor itself, and leave no process behind. `last`: parts that
    the others need, stopped after them in this order. False when nothing ran."""
    api = rpc(i)
    if api is None:
        return end_orphans(i)
    infos = states(i)
    pids = children(i)
    _signal(pids, signal.SIGCONT)
    daemon = api.getPID()
    stop_all(i, [n for n in infos if n not in last])
    for name in last:
        if name in infos:
            stop_all(i, [name])
    api.shutdown()
    _await_end([daemon, *pids], grace_s)
    return True
