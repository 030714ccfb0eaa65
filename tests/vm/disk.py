# SPDX-License-Identifier: Apache-2.0
"""A disk as the factory writes it: /boot, which U-Boot can read and write, and the sysroot. Nothing is mounted for it."""
import os
import subprocess

from container.rootfs import run

MIB = 1 << 20
BOOT_START, BOOT_SIZE, ROOT_SIZE = 1, 128, 2048  # MiB
VARIABLES = "bootcount=0\nupgrade_available=0\nrollback=0\n"
ENVIRONMENT_SIZE = 0x4000  # as in boot.cmd and fw_env.config


def _make_boot(boot, folder):
    text = os.path.join(folder, "variables")
    with open(text, "w", encoding="utf-8") as f:
        f.write(VARIABLES)
    run("mkenvimage", "-s", str(ENVIRONMENT_SIZE), "-o", os.path.join(boot, "uboot.env"), text)
    os.chmod(os.path.join(boot, "uboot.env"), 0o644)
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "boot.cmd")
    run("mkimage", "-A", "x86", "-T", "script", "-d", script, os.path.join(boot, "boot.scr"))


def make(sysroot, folder):
    """Returns its path, in folder. What was in the sysroot's /boot is below folder then."""
    disk, boot = os.path.join(folder, "disk.img"), os.path.join(folder, "boot")
    os.rename(os.path.join(sysroot, "boot"), boot)
    os.mkdir(os.path.join(sysroot, "boot"))
    _make_boot(boot, folder)
    with open(disk, "wb") as f:
        f.truncate((BOOT_START + BOOT_SIZE + ROOT_SIZE) * MIB)
    table = "label: dos\nstart=%dMiB, size=%dMiB, type=83, bootable\nstart=%dMiB, type=83\n" % (BOOT_START, BOOT_SIZE, BOOT_START + BOOT_SIZE)
    subprocess.run(["sfdisk", "--quiet", disk], input=table, text=True, check=True)
    # U-Boot's ext4 knows neither of the two
    run("mkfs.ext4", "-q", "-F", "-L", "boot", "-O", "^64bit,^metadata_csum", "-d", boot, "-E", "offset=%d" % (BOOT_START * MIB), disk,
        "%dM" % BOOT_SIZE)
    run("mkfs.ext4", "-q", "-F", "-L", "root", "-d", sysroot, "-E", "offset=%d" % ((BOOT_START + BOOT_SIZE) * MIB), disk, "%dM" % ROOT_SIZE)
    return disk
