# SPDX-License-Identifier: Apache-2.0
"""The Director: knows each vehicle's ECUs, decides what they install, and checks what they report (Uptane 5.4.2)."""
import copy
import hashlib
import threading
import uuid

from . import canonical
from .keys import load_public, verify
from .repository import Publication, RootChain

EMPTY_SHA256 = hashlib.sha256(b'').hexdigest()
HARDWARE_ID_MAX = 200


class Refused(Exception):
    """An answer to a device that is no success."""

    def __init__(self, status, code, description):
        super().__init__(description)
        self.status, self.code, self.description = status, code, description


class RegisteredEcu:
    def __init__(self, serial, hardware_id, key, primary):
        self.serial, self.hardware_id, self.key, self.primary = serial, hardware_id, key, primary
        self.installed = None       # (file path, sha256) it reported last
        self.attacks_detected = ''  # as it reported last


class Device:
    """One vehicle."""

    def __init__(self, device_id, chain):
        self.id = device_id
        self.ecus = {}
        self.assignments = {}  # serial -> (target name, entry)
        self.correlation_id = None
        self.report_counter = 0
        self.manifests = []  # accepted, as parsed
        self.refused = []    # (body, Refused)
        self.reports = []    # installation reports
        self.cancelled = []  # (correlation id, why)
        self.publication = Publication(chain)

    @property
    def primary(self):
        return next((ecu for ecu in self.ecus.values() if ecu.primary), None)

    def installed(self, serial):
        """(file path, sha256) an ECU reported last; None if it did not."""
        return self.ecus[serial].installed


def _require(condition, code, description, status=400):
    if not condition:
        raise Refused(status, code, description)


def _parse(body):
    try:
        return canonical.decode(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, 'invalid_json', str(error)) from error


def _check_signed(envelope, key, what):
    """The document in an envelope signed by exactly this registered key. The key id is not looked at."""
    _require(isinstance(envelope, dict) and isinstance(envelope.get('signed'), dict), 'invalid_entity', f'{what}: no "signed"')
    signatures = envelope.get('signatures')
    _require(isinstance(signatures, list) and signatures, 'signature_not_valid', f'{what}: no signature')
    message = canonical.encode(envelope['signed'])
    for signature in signatures:
        _require(isinstance(signature, dict) and all(isinstance(signature.get(name), str) for name in ('keyid', 'method', 'sig')),
                 'invalid_entity', f'{what}: a signature lacks keyid, method or sig')
        keyid = signature['keyid']
        _require(len(keyid) == 64 and all(c in '0123456789abcdef' for c in keyid), 'invalid_entity', f'{what}: key id "{keyid}"')
    _require(any(verify(key, s['method'], message, s['sig']) for s in signatures), 'signature_not_valid',
             f'{what}: not signed by its registered key')
    return envelope['signed']


def _check_image(report, what):
    image = report.get('installed_image')
    info = image.get('fileinfo') if isinstance(image, dict) else None
    good = (isinstance(info, dict) and isinstance(image.get('filepath'), str) and isinstance(info.get('length'), int)
            and info['length'] >= 0 and isinstance(info.get('hashes'), dict) and isinstance(info['hashes'].get('sha256'), str))
    _require(good, 'invalid_entity', f'{what}: no usable installed_image')
    return image['filepath'], info['hashes']['sha256'].lower()


class Director:
    def __init__(self, **chain_options):
        self.chain = RootChain(**chain_options)
        self.devices = {}
        self.lock = threading.RLock()

    def device(self, device_id):
        with self.lock:
            if device_id not in self.devices:
                self.devices[device_id] = Device(device_id, self.chain)
            return self.devices[device_id]

    # -- what the operator does

    def assign(self, device_id, images, correlation_id=None, tweak=None):
        """Assigns images: {ECU serial: (name, Image repository entry)}; replaces what was assigned. Returns the correlation id."""
        with self.lock:
            device = self.device(device_id)
            device.correlation_id = correlation_id or f'urn:here-ota:mtu:{uuid.uuid4()}'
            device.assignments = dict(images)
            self.publish(device_id, tweak)
            return device.correlation_id

    def cancel(self, device_id):
        with self.lock:
            device = self.device(device_id)
            device.assignments, device.correlation_id = {}, None
            self.publish(device_id)

    def publish(self, device_id, tweak=None, only=None):
        with self.lock:
            device = self.device(device_id)
            if only is None:
                self._fill_targets(device)
            device.publication.publish(tweak, only)

    def _fill_targets(self, device):
        targets = {}
        for serial, (name, image) in device.assignments.items():
            entry = targets.setdefault(name, {'length': image['length'], 'hashes': copy.deepcopy(image['hashes']),
                                              'custom': {'ecuIdentifiers': {}, 'uri': None}})
            hardware_id = device.ecus[serial].hardware_id if serial in device.ecus else image['custom']['hardwareIds'][0]
            entry['custom']['ecuIdentifiers'][serial] = {'hardwareId': hardware_id}
            if 'releaseCounter' in image['custom']:
                entry['custom']['releaseCounter'] = image['custom']['releaseCounter']
        device.publication.targets = targets
        device.publication.custom = {'correlationId': device.correlation_id} if targets else None

    # -- what a device does

    def register(self, device_id, body):
        """POST director/ecus. Returns the HTTP status."""
        document = _parse(body)
        ecus = {}
        _require(isinstance(document, dict) and isinstance(document.get('ecus'), list), 'invalid_entity', 'no list of ECUs')
        primary_serial = document.get('primary_ecu_serial')
        for entry in document['ecus']:
            ecu = self._parse_ecu(entry, primary_serial)
            _require(ecu.serial not in ecus, 'ecu_already_registered', f'ECU {ecu.serial} is listed twice', 409)
            ecus[ecu.serial] = ecu
        _require(primary_serial in ecus, 'primary_is_not_listed_for_device', f'Primary {primary_serial} is not in the list')
        with self.lock:
            return self._store_ecus(self.device(device_id), ecus)

    @staticmethod
    def _parse_ecu(entry, primary_serial):
        try:
            serial, hardware_id, key = entry['ecu_serial'], entry['hardware_identifier'], entry['clientKey']
            load_public(key)
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(400, 'invalid_entity', f'an ECU cannot be understood: {error}') from error
        _require(isinstance(serial, str) and 0 < len(serial) <= 64, 'invalid_entity', 'a serial is empty or too long')
        _require(isinstance(hardware_id, str) and 0 < len(hardware_id) <= HARDWARE_ID_MAX, 'invalid_entity',
                 f'ECU {serial}: hardware identifier')
        return RegisteredEcu(serial, hardware_id, key, serial == primary_serial)

    @staticmethod
    def _store_ecus(device, ecus):
        if not device.ecus:
            device.ecus = ecus
            return 201
        for serial, ecu in ecus.items():
            known = device.ecus.get(serial)
            _require(known and (known.key, known.hardware_id, known.primary) == (ecu.key, ecu.hardware_id, ecu.primary),
                     'ecu_replacement_disabled', f'ECU {serial} is not the one that was registered', 409)
        _require(len(ecus) == len(device.ecus), 'ecu_replacement_disabled', 'ECUs are missing', 409)
        return 200

    def put_manifest(self, device_id, body):
        """PUT director/manifest: every check, then what follows from it. Raises Refused."""
        with self.lock:
            device = self.device(device_id)
            try:
                document, reports = self._check_manifest(device, body)
            except Refused as refusal:
                device.refused.append((body, refusal))
                raise
            device.manifests.append(document)
            device.report_counter = int(reports[device.primary.serial]['report_counter'])
            for serial, report in reports.items():
                device.ecus[serial].installed = _check_image(report, serial)
                device.ecus[serial].attacks_detected = report['attacks_detected']
            self._follow(device, document['signed'])

    def _check_manifest(self, device, body):
        _require(device.ecus, 'missing_entity', 'this device has registered no ECU', 404)
        document = _parse(body)
        signed = _check_signed(document, device.primary.key, 'vehicle manifest')
        _require(signed.get('primary_ecu_serial') == device.primary.serial, 'ecu_not_primary',
                 f'{signed.get("primary_ecu_serial")} is not the Primary')
        entries = signed.get('ecu_version_manifests')
        _require(isinstance(entries, dict) and device.primary.serial in entries, 'invalid_entity', 'no report of the Primary')
        reports = {}
        for serial, envelope in entries.items():
            _require(serial in device.ecus, 'missing_entity', f'ECU {serial} is not registered')
            report = _check_signed(envelope, device.ecus[serial].key, f'report of {serial}')
            _require(report.get('ecu_serial') == serial, 'invalid_entity', f'report of {serial} names another ECU')
            _require(isinstance(report.get('attacks_detected'), str), 'invalid_entity', f'report of {serial}: attacks_detected')
            _check_image(report, f'report of {serial}')
            reports[serial] = report
        counter = reports[device.primary.serial].get('report_counter')
        _require(isinstance(counter, str) and counter.isdigit(), 'invalid_entity', 'report_counter is no decimal string')
        _require(int(counter) > device.report_counter, 'report_counter_not_rising',
                 f'report_counter {counter} is not above {device.report_counter}')
        return document, reports

    def _follow(self, device, signed):
        """Strikes off what is done, cancels what failed, and publishes what is left."""
        before = dict(device.assignments)
        done = [serial for serial, (name, entry) in before.items()
                if serial in device.ecus and device.ecus[serial].installed == (name, entry['hashes']['sha256'])]
        for serial in done:
            del device.assignments[serial]
        report = signed.get('installation_report')
        if report is not None:
            self._follow_report(device, report, bool(done))
        if not device.assignments:
            device.correlation_id = None
        if device.assignments != before:
            self.publish(device.id)

    @staticmethod
    def _follow_report(device, report, any_done):
        try:
            body = report['report']
            correlation_id, success, code = body['correlation_id'], body['result']['success'], body['result']['code']
            good = (correlation_id.startswith('urn:') and isinstance(success, bool) and isinstance(code, str)
                    and all(isinstance(item['ecu'], str) and isinstance(item['result']['success'], bool) for item in body['items']))
        except (KeyError, TypeError, AttributeError):
            good = False
        if not good:
            device.cancelled.append((device.correlation_id, 'the installation report cannot be understood'))
            device.assignments = {}
            return
        device.reports.append(body)
        if correlation_id == device.correlation_id and (not success or (device.assignments and not any_done)):
            device.cancelled.append((correlation_id, code))
            device.assignments = {}
