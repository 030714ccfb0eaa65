# SPDX-License-Identifier: Apache-2.0
"""org.freedesktop.systemd1 of a test: what uptane-health asks of it. The argument is a JSON file, read at every question:
{"states": {unit: ActiveState}, "requires": [units that boot-complete.target requires]}; without it, the target is active.
"""
import json
import os
import sys

from gi.repository import Gio, GLib

MANAGER = """<node><interface name="org.freedesktop.systemd1.Manager">
<method name="LoadUnit"><arg type="s" direction="in"/><arg type="o" direction="out"/></method>
<method name="ListUnitsFiltered"><arg type="as" direction="in"/><arg type="a(ssssssouso)" direction="out"/></method></interface></node>"""
UNIT = """<node><interface name="org.freedesktop.systemd1.Unit"><property name="ActiveState" type="s" access="read"/>
<property name="Requires" type="as" access="read"/></interface></node>"""
TARGET = "boot-complete.target"
units = {}  # path -> name


def facts():
    if not os.path.exists(sys.argv[1]):
        return {"states": {TARGET: "active"}, "requires": []}
    with open(sys.argv[1], encoding="utf-8") as f:
        return json.load(f)


def on_property(connection, sender, path, interface, name):
    if name == "Requires":
        return GLib.Variant("as", facts()["requires"])
    return GLib.Variant("s", facts()["states"].get(units[path], "inactive"))


def object_path(name):
    return "/org/freedesktop/systemd1/unit/" + "".join(c if c.isalnum() else "_%02x" % ord(c) for c in name)


def on_call(connection, sender, path, interface, method, arguments, invocation):
    if method == "ListUnitsFiltered":
        wanted = arguments.unpack()[0]
        found = [(name, "", "loaded", state, "", "", object_path(name), 0, "", "/") for name, state in facts()["states"].items()
                 if state in wanted]
        invocation.return_value(GLib.Variant("(a(ssssssouso))", (found,)))
        return
    name = arguments.unpack()[0]
    unit = object_path(name)
    if unit not in units:
        units[unit] = name
        connection.register_object(unit, Gio.DBusNodeInfo.new_for_xml(UNIT).interfaces[0], None, on_property, None)
    invocation.return_value(GLib.Variant("(o)", (unit,)))


def on_bus(connection, name):
    connection.register_object("/org/freedesktop/systemd1", Gio.DBusNodeInfo.new_for_xml(MANAGER).interfaces[0], on_call, None, None)


Gio.bus_own_name(Gio.BusType.SYSTEM, "org.freedesktop.systemd1", Gio.BusNameOwnerFlags.NONE, on_bus, None, None)
GLib.MainLoop().run()
