# SPDX-License-Identifier: Apache-2.0
"""org.freedesktop.login1 of a test vehicle: Reboot() asks PID 1 (its control socket is the argument) for a reboot.

With $REBOOT_REFUSED set to a path that exists, it refuses as logind does; with $REBOOT_SLOW, it makes the file PATH.asked and
answers nobody.
"""
import os
import socket
import sys

from gi.repository import Gio, GLib

XML = """<node><interface name="org.freedesktop.login1.Manager"><method name="Reboot"><arg type="b" direction="in"/></method>
</interface></node>"""


def on_call(connection, sender, path, interface, method, arguments, invocation):
    refused = os.environ.get("REBOOT_REFUSED", "")
    if refused and os.path.exists(refused):
        invocation.return_dbus_error("org.freedesktop.DBus.Error.AccessDenied", "a test says no")
        return
    slow = os.environ.get("REBOOT_SLOW", "")
    if slow and os.path.exists(slow):
        with open(slow + ".asked", "w", encoding="utf-8"):
            return
    invocation.return_value(None)
    connection.flush_sync(None)
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(sys.argv[1])
        control.sendall(b"reboot")
        control.recv(16)


def on_bus(connection, name):
    node = Gio.DBusNodeInfo.new_for_xml(XML)
    connection.register_object("/org/freedesktop/login1", node.interfaces[0], on_call, None, None)


Gio.bus_own_name(Gio.BusType.SYSTEM, "org.freedesktop.login1", Gio.BusNameOwnerFlags.NONE, on_bus, None, None)
GLib.MainLoop().run()
