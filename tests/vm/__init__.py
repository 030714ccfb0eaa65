# SPDX-License-Identifier: Apache-2.0
"""A test vehicle that really boots: an emulated machine with U-Boot, a kernel, and the Debian of tests/container on a disk.

images.py adds a kernel, an initramfs and a line to the outside; disk.py makes a disk of a sysroot; machine.py is QEMU;
vehicle.py is a vehicle on such a machine. Which deployment boots is decided by boot.cmd, which U-Boot runs, and by nobody else.
"""
