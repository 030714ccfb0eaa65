# SPDX-License-Identifier: Apache-2.0
"""The figures of tests/bench about one update of many IP Secondaries. Run in a network namespace of its own: what goes over
its loopback is the back-end's answers, once, and everything between the Primary and its Secondaries.

Arguments: numbers of Secondaries, separated by commas; sizes of the image in MB, likewise; chunk= of each. All of them:
1,10,50,150 1,50 1K,64K.
"""
import os
import re
import sys
import tempfile
import time

from backend import Backend
from images import Images, remove_tree
from vehicle import Vehicle, wait_for

PARALLEL = 16


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_kib(pid):
    with open("/proc/%d/status" % pid, encoding="utf-8") as f:
        return int(re.search(r"^VmHWM:\s+(\d+)", f.read(), re.M).group(1))


def link_bytes():
    with open("/proc/net/dev", encoding="utf-8") as f:
        return int(re.search(r"^\s*lo:\s*(\d+)", f.read(), re.M).group(1))


def update(vehicle, backend, name, megabytes):
    data = os.urandom(megabytes * 1000 * 1000)
    entry = backend.add_image(name, data, ["test-mcu"])
    vehicle.director.closes = True
    correlation = vehicle.director.assign([(name, entry, s.serial, "test-mcu", None) for s in vehicle.secondaries])
    pid = vehicle.daemon_pid()
    cpu, link, begin = cpu_seconds(pid), link_bytes(), time.monotonic()
    vehicle.call("CheckForUpdates")

    def reported():
        return [r for r in vehicle.director.reports() if r["correlation_id"] == correlation]
    report = wait_for(reported, vehicle.state, 7200, pause=0.1)[0]
    seconds, link = time.monotonic() - begin, link_bytes() - link
    assert report["result"]["success"] and all(s.content() == data for s in vehicle.secondaries)
    total = len(data) * len(vehicle.secondaries)
    print("%4d Secondaries, %2d MB: %7.1f s, %6.2f s CPU and %d KiB peak memory of the daemon, %.1f MB over the link, %.2f times the images"
          % (len(vehicle.secondaries), megabytes, seconds, cpu_seconds(pid) - cpu, peak_kib(pid), link / 1e6, link / total), flush=True)


def fleet(folder, images, count, sizes, chunk):
    backend = Backend(os.path.join(folder, "backend-%d-%s" % (count, chunk)), ostree=images.repo)
    vehicle = Vehicle(backend, images, os.path.join(folder, "vehicle-%d-%s" % (count, chunk)), secondaries=count,
                      config="[update]\nparallel = %d\n[timeouts]\nsecondary = 60\n" % PARALLEL)
    for secondary in vehicle.secondaries:
        secondary.primary_settings["chunk"] = chunk
    vehicle.write_config()
    print("chunks of %s:" % chunk)
    try:
        vehicle.boot(wait=False)
        vehicle.wait_ready(600)
        vehicle.wait_state("idle", seconds=300)
        for megabytes in sizes:
            update(vehicle, backend, "fleet-%d.bin" % megabytes, megabytes)
    finally:
        vehicle.close()
        backend.stop()


def main():
    counts, sizes, chunks = (argument.split(",") for argument in sys.argv[1:] + ["1,10,50,150", "1,50", "1K,64K"][len(sys.argv) - 1:])
    folder = tempfile.mkdtemp(prefix="uptaned-bench.", dir="/tmp")
    images = Images(os.path.join(folder, "images"))
    print("one update of so many IP Secondaries, %d at a time:" % PARALLEL)
    try:
        for chunk in chunks:
            for count in counts:
                fleet(folder, images, int(count), [int(size) for size in sizes], chunk)
    finally:
        remove_tree(folder)


main()
