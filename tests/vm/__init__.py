# SPDX-License-Identifier: Apache-2.0
"""A test vehicle that really boots: an emulated machine with a boot loader, a kernel, and the Debian of tests/container on a disk.

images.py adds a kernel, an initramfs and a line to the outside; loaders.py knows U-Boot and extlinux; disk.py makes a disk of
a sysroot; machine.py is QEMU; vehicle.py is a vehicle on such a machine. Which deployment boots is decided by its boot loader,
and by nobody else. scenarios.py is whole updates; writes.py and cut.py, in powercut.py, are the disk after a power cut.
"""
