# SPDX-License-Identifier: Apache-2.0
"""The Director: knows the ECUs of each vehicle, checks what they report, assigns images."""
import json
import re
import uuid

from .keys import is_public_key, verify
from .repository import Repository


class Refused(Exception):
    def __init__(self, code, description):
        super().__init__(description)
        self.code, self.description = code, description


class Vehicle:
    """What the Director knows of one device: its ECUs, its own repository of Targets, and every manifest it sent."""

    def __init__(self, device_id, **options):
        self.device_id = device_id
        self.repository = Repository(**options)
        self.primary = None
        self.ecus = {}  # serial -> registration
        self.counters = {}  # serial -> last report counter
        self.manifests = []  # accepted, parsed
        self.refused = []  # why
        self.registrations = 0
        self.assignments = []  # as given to assign()
        self.closes = False  # takes an assignment back once it is done or has failed, as the open-source Directors do

    def register(self, body):
        ecus = {ecu["ecu_serial"]: ecu for ecu in body["ecus"]}
        if len(ecus) != len(body["ecus"]):
            raise Refused("ecu_already_registered", "an ECU is listed twice")
        if body["primary_ecu_serial"] not in ecus:
            raise Refused("primary_is_not_listed_for_device", "the Primary is not among the ECUs")
        for ecu in ecus.values():
            self._check_registration(ecu)
        self.primary, self.ecus = body["primary_ecu_serial"], ecus
        self.registrations += 1

    def _check_registration(self, ecu):
        serial, key = ecu["ecu_serial"], ecu["clientKey"]
        if not 0 < len(serial) <= 64 or not 0 < len(ecu["hardware_identifier"]) <= 200:
            raise Refused("invalid_entity", "ECU %s: a serial or hardware identifier of no acceptable length" % serial[:64])
        if key["keytype"] not in ("RSA", "ED25519", "ECPRIME256V1") or not is_public_key(key):
            raise Refused("invalid_key", "ECU %s: no key of type %s" % (serial, key["keytype"]))
        if serial in self.ecus and self.ecus[serial]["clientKey"] != key:
            raise Refused("ecu_replacement_disabled", "ECU %s is registered with another key" % serial)

    def _check_report(self, serial, report):
        if serial not in self.ecus:
            raise Refused("ecu_not_registered", "ECU %s is not registered" % serial)
        if not verify(report, self.ecus[serial]["clientKey"]):
            raise Refused("signature_not_valid", "the report of ECU %s is not signed by its key" % serial)
        if report["signed"]["ecu_serial"] != serial:
            raise Refused("ecu_serial_mismatch", "the report of %s stands under %s" % (report["signed"]["ecu_serial"], serial))
        if not isinstance(report["signed"]["attacks_detected"], str):
            raise Refused("malformed", "attacks_detected is no string")
        image = report["signed"]["installed_image"]
        if not isinstance(image["filepath"], str) or not re.fullmatch("[0-9a-f]{64}", image["fileinfo"]["hashes"]["sha256"]):
            raise Refused("malformed", "ECU %s: no usable installed_image" % serial)
        counter = report["signed"].get("report_counter")
        if serial == self.primary and (counter is None or int(counter) <= self.counters.get(serial, 0)):
            raise Refused("report_counter", "report counter %s after %s" % (counter, self.counters.get(serial, 0)))

    def take_manifest(self, document):
        signed = document["signed"]
        if self.primary is None or signed["primary_ecu_serial"] != self.primary:
            raise Refused("ecu_not_primary", "%s is not the Primary" % signed["primary_ecu_serial"])
        if not verify(document, self.ecus[self.primary]["clientKey"]):
            raise Refused("signature_not_valid", "the manifest is not signed by the Primary's key")
        for serial, report in signed["ecu_version_manifests"].items():
            self._check_report(serial, report)
        if "installation_report" in signed and not signed["installation_report"]["report"]["correlation_id"].startswith("urn:"):
            raise Refused("malformed", "an installation report without a correlation id")
        for serial, report in signed["ecu_version_manifests"].items():
            self.counters[serial] = int(report["signed"].get("report_counter", 0))
        self.manifests.append(document)
        if self.closes:
            self._close(signed)

    def _close(self, signed):
        """What is installed is assigned no longer; nothing is, where the report says that the update failed."""
        report = signed.get("installation_report", {}).get("report")
        failed = report is not None and not report["result"]["success"] and self.repository.custom == {
            "correlationId": report["correlation_id"]}
        left = [] if failed else [a for a in self.assignments if self.installed(a[2]) != (a[0], a[1]["hashes"]["sha256"])]
        if left != self.assignments:
            self._fill(left, self.repository.custom if left else None)
            self.repository.publish()

    def installed(self, serial):
        """(name, sha256) of the last accepted report about an ECU, or None."""
        for document in reversed(self.manifests):
            report = document["signed"]["ecu_version_manifests"].get(serial)
            if report:
                image = report["signed"]["installed_image"]
                return image["filepath"], image["fileinfo"]["hashes"]["sha256"]
        return None

    def reports(self):
        """The installation reports, oldest first."""
        return [d["signed"]["installation_report"]["report"] for d in self.manifests if "installation_report" in d["signed"]]

    def assign(self, assignments, correlation=True, publish=True):
        """assignments: (name, target entry of the Image repository, serial, hardware id, uri or None)."""
        custom = {"correlationId": "urn:here-ota:mtu:%s" % uuid.uuid4()} if correlation and assignments else None
        self._fill(assignments, custom)
        if publish:
            self.repository.publish()
        return custom["correlationId"] if custom else None

    def _fill(self, assignments, custom):
        repository = self.repository
        self.assignments = list(assignments)
        repository.targets, repository.custom = {}, custom
        for name, entry, serial, hardware_id, uri in assignments:
            target = repository.targets.setdefault(
                name, {"length": entry["length"], "hashes": dict(entry["hashes"]), "custom": {"ecuIdentifiers": {}, "uri": uri}})
            target["custom"]["ecuIdentifiers"][serial] = {"hardwareId": hardware_id}
            for member in ("releaseCounter", "kernelArguments"):
                if member in entry["custom"]:
                    target["custom"][member] = entry["custom"][member]

    def clear(self):
        self.assign([])


def _members(pairs):
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a member occurs twice")
    return dict(pairs)


def parse(body):
    """Strict: a document that two parsers could read differently is none."""
    try:
        return json.loads(body, object_pairs_hook=_members)
    except (ValueError, RecursionError) as e:
        raise Refused("malformed", str(e)) from e
