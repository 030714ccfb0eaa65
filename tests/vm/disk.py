# SPDX-License-Identifier: Apache-2.0
"""A disk as the factory writes it: /boot, which the boot loader can read, and the sysroot."""
import os
import subprocess

from container.rootfs import run

MIB = 1 << 20
BOOT_START, BOOT_SIZE, ROOT_SIZE = 1, 128, 2048  # MiB
ROOT_START = BOOT_START + BOOT_SIZE


def make(sysroot, folder, loader):
    """Returns its path, in folder. What was in the sysroot's /boot is below folder then."""
    disk, boot = os.path.join(folder, "disk.img"), os.path.join(folder, "boot")
    os.rename(os.path.join(sysroot, "boot"), boot)
    os.mkdir(os.path.join(sysroot, "boot"))
    loader.fill(boot)
    with open(disk, "wb") as f:
        f.truncate((ROOT_START + ROOT_SIZE) * MIB)
    table = "label: dos\nstart=%dMiB, size=%dMiB, type=83, bootable\nstart=%dMiB, type=83\n" % (BOOT_START, BOOT_SIZE, ROOT_START)
    subprocess.run(["sfdisk", "--quiet", disk], input=table, text=True, check=True)
    # the boot loaders' ext4 knows neither of the two
    run("mkfs.ext4", "-q", "-F", "-L", "boot", "-O", "^64bit,^metadata_csum", "-d", boot, "-E", "offset=%d" % (BOOT_START * MIB), disk,
        "%dM" % BOOT_SIZE)
    run("mkfs.ext4", "-q", "-F", "-L", "root", "-d", sysroot, "-E", "offset=%d" % (ROOT_START * MIB), disk, "%dM" % ROOT_SIZE)
    loader.install(disk, BOOT_START * MIB, BOOT_SIZE * MIB)
    return disk


def copy(disk, to):
    """Holes stay holes."""
    run("cp", "--sparse=always", "--reflink=auto", disk, to)
    return to
