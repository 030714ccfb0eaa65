# SPDX-License-Identifier: Apache-2.0
"""What a vehicle shows on D-Bus and takes from there, whatever kind of test vehicle it is."""
import os
import subprocess
import time

from gi.repository import Gio, GLib

NAME, PATH = "org.uptane.Primary1", "/org/uptane/Primary1"


class Timeout(AssertionError):
    pass


def wait_for(condition, what, seconds=30, pause=0.02):
    """The first true value of condition()."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Timeout("%s: not within %d s" % (what() if callable(what) else what, seconds))
        time.sleep(pause)


class Remote:
    """Of a subclass are bus_address(), .backend (for check()) and .build (for ctl(), if that is not the subclass's own)."""

    def call(self, method, signature=None, arguments=(), path=PATH, interface=NAME, timeout=10, name=NAME):
        connection = Gio.DBusConnection.new_for_address_sync(
            self.bus_address(),
            Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
        try:
            value = GLib.Variant(signature, tuple(arguments)) if signature else None
            return connection.call_sync(name, path, interface, method, value, None, Gio.DBusCallFlags.NO_AUTO_START,
                                        int(timeout * 1000), None).unpack()
        finally:
            try:
                connection.close_sync(None)
            except GLib.Error:
                pass  # a reboot that was asked for took the bus along

    def verb(self, method, signature=None, arguments=(), seconds=20):
        """A call that is made again while the daemon does not know yet what booted."""
        def attempt():
            try:
                self.call(method, signature, arguments)
                return True
            except GLib.Error as e:
                if "still starting" not in e.message:
                    raise
                return False
        wait_for(attempt, method, seconds)

    def property(self, name, path=PATH, interface=NAME):
        return self.call("Get", "(ss)", (interface, name), path=path, interface="org.freedesktop.DBus.Properties")[0]

    def ecu(self, label, name):
        return self.property(name, path="%s/ecu/%s" % (PATH, label), interface=NAME + ".Ecu")

    def state(self):
        try:
            return self.property("State")
        except GLib.Error as e:
            return "(%s)" % e.message

    def error(self):
        """(name without prefix, message) of LastError."""
        name, message, _ = self.property("LastError")
        return name.replace("org.uptane.Error.", ""), message

    def wait_state(self, *states, seconds=60):
        return wait_for(lambda: self.state() if self.state() in states else None,
                        lambda: "state %s; it is %s, error %s" % (states, self.state(), self._error_text()), seconds)

    def _error_text(self):
        try:
            return self.error()
        except GLib.Error:
            return "unknown"

    def check(self, seconds=60):
        """A whole poll: returns when it is over and nothing is left to do for now."""
        before = self.property("LastCheck"), self.property("LastError")
        self.wait_state("idle", "awaiting-consent", "ready", seconds=seconds)
        count = len(self.backend.requests("director/manifest"))
        self.verb("CheckForUpdates")
        wait_for(lambda: (self.property("LastCheck"), self.property("LastError")) != before
                 or len(self.backend.requests("director/manifest")) > count, "a check", seconds)
        return self.wait_state("idle", "awaiting-consent", "reboot-required", seconds=seconds)

    def ctl(self, *arguments, timeout=30):
        environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.bus_address())
        return subprocess.run([os.path.join(self.build, "daemon/uptanectl/uptanectl"), *arguments], env=environment, capture_output=True,
                              text=True, timeout=timeout, check=False)
