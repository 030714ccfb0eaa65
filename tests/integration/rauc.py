# SPDX-License-Identifier: Apache-2.0
"""A RAUC service as far as its D-Bus API shows it: rauc.py FOLDER, on $DBUS_SYSTEM_BUS_ADDRESS.

Two slots, A and B, are files in FOLDER. "primary" there names the one that boots next; the file "falls-back" makes the other one
boot, "last-error" makes installations fail with its words, and every call is a line of "calls". "ready" appears when it can be called.
"""
import os
import sys

from gi.repository import Gio, GLib

INTERFACE = """<node><interface name="de.pengutronix.rauc.Installer">
<method name="InstallBundle"><arg type="s" direction="in"/><arg type="a{sv}" direction="in"/></method>
<method name="Mark"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="s" direction="out"/><arg type="s" direction="out"/></method>
<property name="Operation" type="s" access="read"/><property name="LastError" type="s" access="read"/>
<property name="BootSlot" type="s" access="read"/></interface></node>"""


class Rauc:
    def __init__(self, folder):
        self.folder = folder
        primary = self.read("primary", "A")
        self.booted = self.other(primary) if os.path.exists(self.path("falls-back")) else primary
        self.properties = {"Operation": "idle", "LastError": "", "BootSlot": self.booted}

    @staticmethod
    def other(slot):
        return "B" if slot == "A" else "A"

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name, default=""):
        try:
            with open(self.path(name), encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return default

    def write(self, name, text, mode="w"):
        with open(self.path(name), mode, encoding="utf-8") as f:
            f.write(text)

    def finish(self, bundle):
        """What takes a while on a device."""
        self.properties["LastError"] = self.read("last-error")
        if not self.properties["LastError"]:
            with open(bundle, "rb") as f, open(self.path("slot-" + self.other(self.booted)), "wb") as g:
                g.write(f.read())
            self.write("primary", self.other(self.booted))
        self.properties["Operation"] = "idle"
        return False

    def call(self, _connection, _sender, _path, _interface, method, arguments, invocation):
        words = [word for word in arguments.unpack() if isinstance(word, str)]
        self.write("calls", " ".join([method, *words]) + "\n", "a")
        if method == "InstallBundle":
            if self.properties["Operation"] != "idle":
                invocation.return_dbus_error("org.gtk.GDBus.UnmappedGError.Quark._r_2dinstall_2derror.Code1", "already processing")
                return
            status = os.stat(words[0])
            assert status.st_uid == 0 and not status.st_mode & 0o077, "RAUC takes only bundles that nobody else can change"
            self.properties["Operation"] = "installing"
            GLib.timeout_add(300, self.finish, words[0])
            invocation.return_value(None)
        else:
            slot = self.booted if words[1] == "booted" else self.other(self.booted)
            if words[0] == "active":
                self.write("primary", slot)
            invocation.return_value(GLib.Variant("(ss)", (slot, "marked " + words[0])))


def main():
    rauc = Rauc(sys.argv[1])
    connection = Gio.bus_get_sync(Gio.BusType.SYSTEM)
    info = Gio.DBusNodeInfo.new_for_xml(INTERFACE).interfaces[0]
    connection.register_object("/", info, rauc.call, lambda *a: GLib.Variant("s", rauc.properties[a[4]]), None)
    Gio.bus_own_name_on_connection(connection, "de.pengutronix.rauc", Gio.BusNameOwnerFlags.NONE, lambda *_: rauc.write("ready", ""), None)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
