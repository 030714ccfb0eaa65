# SPDX-License-Identifier: Apache-2.0
"""The boot loaders that emulated vehicles have: what each wants in /boot, and what it reads there at a boot.

Both read ext4 without looking at its journal. What the journal holds and nothing else, they do not see.
"""
import os
import re
import subprocess

from container.images import _write
from container.rootfs import run

HERE = os.path.dirname(os.path.abspath(__file__))
CHECK = "usr/lib/uptane/health.d/20-counted"
MBR = "/usr/lib/EXTLINUX/mbr.bin"


def _prepare(boot, name):
    """libostree writes its boot loader's file anew if it finds one."""
    _write(boot, "loader.0/" + name, "")
    os.symlink("loader.0", os.path.join(boot, "loader"))


class UBoot:
    """Runs boot.cmd, which counts, and chooses between the deployments in libostree's uEnv.txt."""

    NAME, BACKEND, CONFIG = "uboot", "uboot", "/loader/uEnv.txt"
    FIRMWARE = ("-bios", "/usr/lib/u-boot/qemu-x86/u-boot.rom")
    VARIABLES = "bootcount=0\nupgrade_available=0\nrollback=0\n"
    PLACE, SIZE = 0x80 * 512, 0x4000  # of the variables on the disk, as in boot.cmd
    FILES = {
        "usr/lib/systemd/system/uptane-ostree@.service.d/10-boot.conf":
            "[Service]\nExecStart=\nExecStart=/usr/libexec/uptane/uptane-ostree --boot=uboot-masked\n",
        "usr/etc/fw_env.config": "/dev/vda 0x%x 0x%x\n" % (PLACE, SIZE),
    }
    # U-Boot has counted this boot, and nobody has found it good yet
    CHECKS = {CHECK: "#!/bin/sh\nfor word in uboot.bootcount=1 uboot.upgrade_available=1 uboot.rollback=0; do\n"
                     "        grep -q -w \"$word\" /proc/cmdline || { echo \"not $word\"; exit 1; }\ndone\n"}

    @staticmethod
    def prepare(boot):
        """Before anything is deployed."""
        _prepare(boot, "uEnv.txt")

    @staticmethod
    def fill(boot):
        """What the factory puts beside libostree's files."""
        run("mkimage", "-A", "x86", "-T", "script", "-d", os.path.join(HERE, "boot.cmd"), os.path.join(boot, "boot.scr"))

    @classmethod
    def install(cls, disk, start, size):
        """U-Boot is the machine's firmware; its variables are on the disk."""
        subprocess.run(["mkenvimage", "-s", str(cls.SIZE), "-o", disk + ".env", "-"], input=cls.VARIABLES.encode(), check=True)
        with open(disk + ".env", "rb") as f, open(disk, "r+b") as d:
            d.seek(cls.PLACE)
            d.write(f.read())
        os.unlink(disk + ".env")

    @staticmethod
    def parse(text):
        """[(kernel, initramfs, kernel arguments)] of uEnv.txt or syslinux.cfg, the one that boots in front."""
        values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        return [tuple(values.get(name + suffix, "") for name in ("kernel_image", "ramdisk_image", "bootargs"))
                for suffix in ("", "2", "3") if "kernel_image" + suffix in values]


class Extlinux:
    """Boots the first entry of libostree's syslinux.cfg, and counts nothing."""

    NAME, BACKEND, CONFIG = "extlinux", "syslinux", "/loader/syslinux.cfg"
    FIRMWARE = ()
    FILES, CHECKS = {}, {}

    @staticmethod
    def prepare(boot):
        _prepare(boot, "syslinux.cfg")
        os.mkdir(os.path.join(boot, "syslinux"))
        os.symlink("../loader/syslinux.cfg", os.path.join(boot, "syslinux/syslinux.cfg"))

    @staticmethod
    def fill(boot):
        """Everything is there already."""

    @staticmethod
    def install(disk, start, size):
        """extlinux wants it mounted: here, where nobody else sees it."""
        with open(MBR, "rb") as f, open(disk, "r+b") as d:
            d.write(f.read(440))
        # it cannot read files with holes, and mkfs makes them
        script = ('mount -o loop,offset="$2",sizelimit="$3" "$1" "$4"\n'
                  'for file in "$4"/ostree/*/*; do cp --sparse=never "$file" "$file.whole"; mv "$file.whole" "$file"; done\n'
                  'extlinux --install "$4/syslinux"\numount "$4"\n')
        folder = disk + ".mnt"
        os.mkdir(folder)
        subprocess.run(["unshare", "--mount", "--propagation=private", "sh", "-e", "-c", script, "sh", disk, str(start), str(size), folder],
                       check=True, capture_output=True)
        os.rmdir(folder)

    @staticmethod
    def parse(text):
        found = []
        for line in text.splitlines():
            word, _, value = line.strip().partition(" ")
            if word == "LABEL":
                found.append({})
            elif found:
                found[-1][word] = value
        return [tuple(entry.get(name, "") for name in ("KERNEL", "INITRD", "APPEND")) for entry in found]


LOADERS = {loader.NAME: loader for loader in (UBoot, Extlinux)}


def deployment_link(arguments):
    """What the initramfs looks for: "/ostree/boot.0/..."."""
    found = re.search(r"(?:^|\s)ostree=(\S+)", arguments)
    return found.group(1) if found else ""
