# SPDX-License-Identifier: Apache-2.0
"""PID 1 of a test vehicle: makes a deployment the root of this mount and PID namespace, as libostree sees a booted
system, and runs what a vehicle runs: a system bus, a logind that reboots, the helpers behind their sockets, uptaned, and
Secondaries. Ends, and everything with it, when a reboot is asked for.

Its only argument is a JSON file: see Vehicle._plan().
"""
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

REBOOT_STATUS = 133


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def enter(plan):
    new, sysroot, deployment = plan["mount_point"], plan["sysroot"], plan["deployment"]
    mount("--bind", deployment, new)
    mount("--bind", sysroot, new + "/sysroot")
    mount("--bind", plan["var"], new + "/var")
    mount("--bind", sysroot + "/boot", new + "/boot")
    for directory in ("/usr", "/etc", "/tmp"):
        mount("--bind", directory, new + directory)
    mount("-t", "tmpfs", "run", new + "/run")
    open(new + "/run/ostree-booted", "w").close()
    os.makedirs(new + "/run/build")
    mount("--bind", plan["build"], new + "/run/build")
    mount("-t", "proc", "proc", new + "/proc")
    mount("--bind", plan["boot_id"], new + "/proc/sys/kernel/random/boot_id")
    mount("--rbind", "/dev", new + "/dev")
    os.chroot(new)
    os.chdir("/")


def is_listening(port, pid):
    """Whether somebody does in the network of this process. Without connecting: a Secondary serves few connections."""
    try:
        with open("/proc/%d/net/tcp" % pid, encoding="ascii") as f:
            return any(line.split()[1].endswith(":%04X" % port) and line.split()[3] == "0A" for line in f.readlines()[1:])
    except OSError:
        return False  # it has ended


def is_up(service, pid):
    """Whether it is there for others, as far as its plan says how to see that."""
    if "wait_for" in service:
        return os.path.exists(service["wait_for"])
    return "wait_port" not in service or is_listening(service["wait_port"], pid)


def enter_network(fd):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, 0) < 0:
        raise OSError(ctypes.get_errno(), "setns")


class Services:
    def __init__(self, plan, networks):
        self.plan, self.networks = plan, networks
        self.running = {}  # name -> Popen
        self.held = set()  # stopped on purpose
        self.environment = dict(os.environ, **plan["environment"])

    def start(self, name):
        service = self.plan["services"][name]
        network = self.networks.get(service.get("network"))
        log = open(service["log"], "ab", 0)
        environment = dict(self.environment, **service.get("environment", {}))
        self.running[name] = subprocess.Popen(service["command"], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                              preexec_fn=None if network is None else lambda: enter_network(network))
        log.close()
        deadline = time.monotonic() + 20
        while not is_up(service, self.running[name].pid):
            if time.monotonic() > deadline or self.running[name].poll() is not None:
                sys.exit("%s did not come up" % name)
            time.sleep(0.01)

    def reap(self):
        """Starts again what ended by itself and is to be restarted, as the service manager would."""
        for name, process in list(self.running.items()):
            if process.poll() is None:
                continue
            del self.running[name]
            if self.plan["services"][name].get("restart") and name not in self.held:
                time.sleep(0.1)
                self.start(name)
        try:
            while os.waitpid(-1, os.WNOHANG)[0] > 0:
                pass  # orphans are PID 1's to bury
        except ChildProcessError:
            pass

    def command(self, words):
        verb, name = words[0], words[1] if len(words) > 1 else None
        if verb == "kill":
            self.running[name].send_signal(int(words[2]))
            self.running[name].wait()
        elif verb == "stop":
            self.held.add(name)
            if name in self.running:
                self.running[name].terminate()
                self.running.pop(name).wait()
        elif verb == "start":
            self.held.discard(name)
            self.start(name)
        elif verb == "pid":
            return str(self.running[name].pid)
        elif verb in ("reboot", "off"):
            os._exit(REBOOT_STATUS if verb == "reboot" else 0)
        return "ok"


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        plan = json.load(f)
    control = socket.socket(socket.AF_UNIX)
    control.bind(plan["control"])
    control.listen(8)
    networks = {path: os.open(path, os.O_RDONLY) for path in {s["network"] for s in plan["services"].values() if "network" in s}}
    enter(plan)
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write)
    services = Services(plan, networks)
    for name in plan["order"]:
        services.start(name)
    while True:
        ready, _, _ = select.select([control, wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
        if control in ready:
            connection, _ = control.accept()
            with connection:
                try:
                    answer = services.command(connection.recv(4096).decode().split())
                except (KeyError, OSError) as e:
                    answer = "error %r" % e
                connection.sendall(answer.encode())
        services.reap()


if __name__ == "__main__":
    main()
