# SPDX-License-Identifier: Apache-2.0
"""A test vehicle that is a whole system: Debian with systemd as PID 1, on an OSTree sysroot, in a container that reboots.

rootfs.py makes the Debian and keeps it; images.py makes OSTree commits of it, with what `meson install` installs; machine.py
boots a sysroot in systemd-nspawn; vehicle.py is a vehicle on such a machine, made at the factory.
"""
