# SPDX-License-Identifier: Apache-2.0
"""The images of the container vehicle, with a kernel and an initramfs that start, and a line to the outside."""
import glob
import os
import shutil
import subprocess

from backend.pki import ELSEWHERE
from container import rootfs
from container.images import FILES, SystemImages, _write

from vm import loaders

HERE = os.path.dirname(os.path.abspath(__file__))
BUSYBOX = "/bin/busybox"  # of busybox-static
DRIVERS = ("virtio_pci", "virtio_blk", "ext4")  # of the disk
NETWORK_ADDRESS, BACKEND_ADDRESS = "10.0.2.15/24", "10.0.2.100"

# Every service costs an emulated machine a part of a second, and these do nothing for this one.
MASKED = ("dev-hugepages.mount", "dev-mqueue.mount", "kmod-static-nodes.service", "modprobe@configfs.service", "modprobe@dm_mod.service",
          "modprobe@drm.service", "modprobe@efi_pstore.service", "modprobe@fuse.service", "modprobe@loop.service",
          "proc-sys-fs-binfmt_misc.automount", "sys-fs-fuse-connections.mount", "sys-kernel-config.mount", "sys-kernel-debug.mount",
          "sys-kernel-tracing.mount", "systemd-network-generator.service", "systemd-pcrphase.service", "systemd-pcrphase-sysinit.service",
          "systemd-random-seed.service", "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-user-sessions.service")

# Says which commit has come up. Then runs what comes over the line, a command in each; answers with its status and what it wrote.
AGENT = """#!/bin/bash
exec 3<> /dev/virtio-ports/control
link=$(grep --only-matching 'ostree=[^ ]*' /proc/cmdline)
deployment=$(basename "$(readlink -f "/sysroot${link#ostree=}")")
printf '\\nup %s\\n' "${deployment%.*}" >&3
while read -r command <&3; do
        output=$(bash -c "$command" 2>&1 < /dev/null)
        printf '%s %s\\n' $? "$(base64 --wrap=0 <<< "$output")" >&3
done
"""
VM_FILES = {
    "usr/lib/test-agent": AGENT,
    "usr/lib/systemd/system/test-agent.service": "[Service]\nExecStart=/usr/lib/test-agent\nRestart=always\n",
    "usr/lib/udev/rules.d/90-test.rules":
        'SUBSYSTEM=="virtio-ports", ATTR{name}=="control", TAG+="systemd", ENV{SYSTEMD_WANTS}+="test-agent.service"\n',
    "usr/lib/systemd/network/10-test.network": "[Match]\nName=e*\n[Network]\nAddress=%s\nLinkLocalAddressing=no\n" % NETWORK_ADDRESS,
    # nobody falls into an emergency shell because this machine has other work
    "usr/lib/systemd/system.conf.d/10-test.conf":
        "[Manager]\nDefaultTimeoutStartSec=15min\nDefaultTimeoutStopSec=15min\nDefaultDeviceTimeoutSec=15min\n",
    "usr/etc/fstab": "LABEL=boot /boot ext4 defaults 0 0\n",
    "usr/etc/hosts": "127.0.0.1 localhost\n%s %s\n" % (BACKEND_ADDRESS, ELSEWHERE),
}


class VmImages(SystemImages):
    """loader: what boots them, of loaders.py."""

    # a panic is the end of this boot, and the next one is the boot loader's; QUICK is for a processor that is emulated
    QUICK = ("mitigations=off", "nokaslr", "init_on_alloc=0", "cryptomgr.notests", "audit=0", "nowatchdog", "apparmor=0", "tsc=reliable")
    CHECKED = True  # has the boot loader's own health checks
    KERNEL_ARGUMENTS = ("root=LABEL=root", "console=ttyS0", "loglevel=4", "panic=1", *QUICK)

    def __init__(self, directory, build, loader=loaders.UBoot):
        self.loader, self.BOOTLOADER = loader, loader.BACKEND
        self.FILES = {**{name: text for name, text in FILES.items() if "container" not in name}, **VM_FILES, **loader.FILES,
                      **(loader.CHECKS if self.CHECKED else {})}
        super().__init__(directory, build)

    @staticmethod
    def make_base():
        return rootfs.base(kernel=True)

    def add_kernel(self, root, version):
        """Another one for every version: the same kernel, and the same initramfs with a word behind it that nobody reads."""
        words = os.path.join(self.directory, "words")
        _write(words, "version", version + "\n")
        image = os.path.join(root, self.initramfs)
        os.makedirs(os.path.dirname(image))
        shutil.copy(os.path.join(self.directory, "initramfs.img"), image)
        self._archive(words, image)
        shutil.rmtree(words)

    def prepare_boot(self, boot):
        self.loader.prepare(boot)

    def add_files(self, root):
        super().add_files(root)
        wants = os.path.join(root, "usr/etc/systemd/system/multi-user.target.wants")
        os.makedirs(wants)
        os.symlink("/lib/systemd/system/systemd-networkd.service", os.path.join(wants, "systemd-networkd.service"))
        for unit in MASKED:
            os.symlink("/dev/null", os.path.join(root, "usr/etc/systemd/system", unit))
        debian = os.path.join(self.directory, "debian")
        rootfs.run("ostree", "--repo=" + self.base, "checkout", "-H", rootfs.BRANCH, debian)
        try:
            [modules] = glob.glob(os.path.join(debian, "usr/lib/modules/*"))
            self.initramfs = "usr/lib/modules/%s/initramfs.img" % os.path.basename(modules)
            self._make_initramfs(debian, modules, os.path.join(self.directory, "initramfs.img"))
        finally:
            shutil.rmtree(debian)

    def _make_initramfs(self, debian, modules, image):
        root = os.path.join(self.directory, "initramfs")
        for name in ("bin", "dev", "modules", "proc", "run", "sys", "sysroot", "usr/lib/ostree"):
            os.makedirs(os.path.join(root, name))
        shutil.copy(BUSYBOX, os.path.join(root, "bin"))
        shutil.copy(os.path.join(HERE, "initramfs-init"), os.path.join(root, "init"))
        os.chmod(os.path.join(root, "init"), 0o755)
        program = "/usr/lib/ostree/ostree-prepare-root"
        for line in rootfs.run("chroot", debian, "ldd", program).splitlines():
            path = next((word for word in line.split() if word.startswith("/")), None)
            if path:
                os.makedirs(root + os.path.dirname(path), exist_ok=True)
                shutil.copy(debian + path, root + path)
        shutil.copy(debian + program, root + program)
        order = []
        for driver in DRIVERS:
            for line in rootfs.run("modprobe", "--show-depends", "--dirname=" + debian, "--set-version=" + os.path.basename(modules), driver).splitlines():
                what, path = line.split()[:2]
                if what == "insmod" and path not in order:  # otherwise it is in the kernel itself
                    order.append(path)
        for path in order:
            shutil.copy(path, os.path.join(root, "modules"))
        _write(root, "modules/order", "".join(os.path.basename(path) + "\n" for path in order))
        self._archive(root, image)
        shutil.rmtree(root)

    @staticmethod
    def _archive(root, image):
        """Behind what is there: the kernel unpacks all of it."""
        with open(image, "ab") as f:
            names = subprocess.run(["find", "."], cwd=root, check=True, capture_output=True).stdout
            subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=root, input=names, stdout=f, check=True)
