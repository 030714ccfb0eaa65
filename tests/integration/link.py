# SPDX-License-Identifier: Apache-2.0
"""A network of its own between a Primary's helper and the Secondaries: two namespaces and a wire that can be bad in all ways the
kernel offers without netem. Needs root."""
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
PRIMARY, SECONDARY = "10.77.0.1", "10.77.0.2"
LOSS = """table inet loss {{
        chain in {{
                type filter hook input priority 0
                iifname "wire" numgen random mod 100 < {0} drop
        }}
}}
"""


def run(*words, **options):
    return subprocess.run(words, check=True, capture_output=True, text=True, **options)


def why_not():
    """Why there can be none here; None: there can be."""
    if os.geteuid() != 0:
        return "needs root: a network namespace"
    link = None
    try:
        link = Link("probe")
        link.slow("64kbit")
        link.lossy(1)
    except (OSError, subprocess.CalledProcessError) as e:
        return "no network namespaces with tbf and nftables here: %s" % (getattr(e, "stderr", "") or e)
    finally:
        if link:
            link.close()
    return None


class Link:
    def __init__(self, name):
        self.near, self.far = ["uptaned-%d-%s-%s" % (os.getpid(), name, end) for end in ("near", "far")]
        self.proxies = []
        try:
            for namespace in (self.near, self.far):
                run("ip", "netns", "add", namespace)
                run("ip", "-n", namespace, "link", "set", "lo", "up")
            # segments are as long on the wire as they are in the queue: what is dropped or counted is one packet
            run("ip", "-n", self.near, "link", "add", "wire", "gso_max_segs", "1", "type", "veth", "peer", "name", "wire", "netns", self.far)
            for namespace, address in ((self.near, PRIMARY), (self.far, SECONDARY)):
                run("ip", "-n", namespace, "link", "set", "wire", "gso_max_segs", "1")
                run("ip", "-n", namespace, "address", "add", address + "/24", "dev", "wire")
                run("ip", "-n", namespace, "link", "set", "wire", "up")
        except (OSError, subprocess.CalledProcessError):
            self.close()
            raise

    @staticmethod
    def path(namespace):
        return "/run/netns/" + namespace

    def join(self, vehicle):
        """Before it boots: the helper is at one end, all Secondaries at the other."""
        vehicle.networks = {"secondary-ip": self.path(self.near), **{s.label: self.path(self.far) for s in vehicle.secondaries}}
        for secondary in vehicle.secondaries:
            secondary.host = SECONDARY
            secondary.prepare(vehicle.path("roots"))
            secondary.primary_settings["address"] = secondary.address()
        vehicle.write_config()

    # what can be wrong with it

    def slow(self, rate):
        for namespace in (self.near, self.far):
            run("tc", "-n", namespace, "qdisc", "replace", "dev", "wire", "root", "tbf", "rate", rate, "burst", "3kb", "latency", "500ms")

    def lossy(self, percent):
        for namespace in (self.near, self.far):
            run("ip", "netns", "exec", namespace, "nft", "-f", "-", input=LOSS.format(percent))

    def cut(self):
        run("ip", "-n", self.far, "link", "set", "wire", "down")

    def mend(self):
        """Whatever was wrong with it."""
        run("ip", "-n", self.far, "link", "set", "wire", "up")
        for namespace in (self.near, self.far):
            subprocess.run(["tc", "-n", namespace, "qdisc", "delete", "dev", "wire", "root"], check=False, capture_output=True)
            subprocess.run(["ip", "netns", "exec", namespace, "nft", "flush", "ruleset"], check=False, capture_output=True)

    def delay(self, secondary, seconds):
        """The address at which everything to and from it takes so long."""
        process = subprocess.Popen(["ip", "netns", "exec", self.near, "/usr/bin/python3", os.path.join(HERE, "delay.py"), secondary.address(),
                                    str(seconds)], stdout=subprocess.PIPE, text=True)
        self.proxies.append(process)
        return process.stdout.readline().strip()

    def close(self):
        for process in self.proxies:
            process.kill()
            process.wait()
            process.stdout.close()
        for namespace in (self.near, self.far):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)
