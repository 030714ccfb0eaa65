# SPDX-License-Identifier: Apache-2.0
"""org.freedesktop.PolicyKit1 of a test: polkit.py FOLDER. Every question is a file there, NUMBER.asked, with the action's name
in it, and is answered when there is a file NUMBER.answer, which says "yes" or "no". "ready" appears when it can be asked.
"""
import os
import sys

from gi.repository import Gio, GLib

XML = """<node><interface name="org.freedesktop.PolicyKit1.Authority"><method name="CheckAuthorization">
<arg type="(sa{sv})" direction="in"/><arg type="s" direction="in"/><arg type="a{ss}" direction="in"/><arg type="u" direction="in"/>
<arg type="s" direction="in"/><arg type="(bba{ss})" direction="out"/></method></interface></node>"""
waiting = {}


def path(name):
    return os.path.join(sys.argv[1], name)


def on_call(_connection, _sender, _path, _interface, _method, arguments, invocation):
    number = len(waiting) + 1
    waiting[number] = invocation
    with open(path("%d.new" % number), "w", encoding="utf-8") as f:
        f.write(arguments.unpack()[1])
    os.rename(path("%d.new" % number), path("%d.asked" % number))


def look():
    for number, invocation in waiting.items():
        if invocation and os.path.exists(path("%d.answer" % number)):
            with open(path("%d.answer" % number), encoding="utf-8") as f:
                invocation.return_value(GLib.Variant("((bba{ss}))", ((f.read() == "yes", False, {}),)))
            waiting[number] = None
    return True


def on_bus(connection, _name):
    connection.register_object("/org/freedesktop/PolicyKit1/Authority", Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0], on_call, None, None)


def on_name(_connection, _name):
    with open(path("ready"), "w", encoding="utf-8"):
        pass


Gio.bus_own_name(Gio.BusType.SYSTEM, "org.freedesktop.PolicyKit1", Gio.BusNameOwnerFlags.NONE, on_bus, on_name, None)
GLib.timeout_add(20, look)
GLib.MainLoop().run()
