# SPDX-License-Identifier: Apache-2.0
"""The back-end that the other tests trust: what it signs is checked with the openssl program, what it refuses is refused, and
its faults do what they say.
"""
import base64
import copy
import hashlib
import http.client
import json
import os
import ssl
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from backend import Backend  # noqa: E402
from backend.keys import Key, canonical, envelope, verify  # noqa: E402
from backend.repository import Repository, after  # noqa: E402
from vehicle import wait_for  # noqa: E402

SHA = hashlib.sha256(b"x").hexdigest()


@pytest.fixture
def backend(tmp_path):
    treehub = tmp_path / "treehub"
    treehub.mkdir()
    (treehub / "config").write_text("[core]\n")
    (tmp_path / "secret").write_text("not for devices")
    b = Backend(str(tmp_path / "backend"), ostree=str(treehub))
    yield b
    b.stop()


class Device:
    """Speaks to a back-end over one connection, as a vehicle does."""

    def __init__(self, backend, tmp_path, name="dev-1"):
        folder = str(tmp_path / name)
        backend.authority.device(name, folder)
        context = ssl.create_default_context(cafile=folder + "/ca.pem")
        context.load_cert_chain(folder + "/device.crt", folder + "/device.key")
        self.connection = http.client.HTTPSConnection("127.0.0.1", backend.port, context=context, timeout=10)

    def ask(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body, headers or {})
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def get(self, path, **headers):
        return self.ask("GET", path, headers=headers)


@pytest.fixture
def device(backend, tmp_path):
    d = Device(backend, tmp_path)
    yield d
    d.connection.close()


# ---- signatures ----

def openssl_verifies(tmp_path, key, message, signature):
    """The opinion of a program that shares nothing with the back-end."""
    (tmp_path / "message").write_bytes(message)
    (tmp_path / "signature").write_bytes(signature)
    text = key["keyval"]["public"]
    if key["keytype"] == "ED25519":
        der = bytes.fromhex("302a300506032b6570032100" + text)
        text = "-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n" % base64.b64encode(der).decode()
    (tmp_path / "public.pem").write_text(text + "\n")
    how = {
        "ED25519": ["pkeyutl", "-verify", "-pubin", "-inkey", "public.pem", "-rawin", "-in", "message", "-sigfile", "signature"],
        "RSA": ["dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32", "-verify", "public.pem",
                "-signature", "signature", "message"],
        "ECPRIME256V1": ["dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "message"],
    }[key["keytype"]]
    return subprocess.run(["openssl", *how], cwd=tmp_path, capture_output=True, check=False).returncode == 0


def signed_part(data):
    """The bytes of "signed" as they stand in a document."""
    begin = data.index(b'"signed":') + len(b'"signed":')
    return data[begin:-1]


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_openssl_verifies_every_role_over_the_bytes_served(tmp_path, kind):
    repository = Repository(key_types={role: kind for role in ("root", "timestamp", "snapshot", "targets")}, keys_per_role=2)
    repository.target("grüße.bin", b"data", hardwareIds=["x"])
    repository.publish()
    root = json.loads(repository.files["1.root.json"])["signed"]
    for role in ("root", "timestamp", "snapshot", "targets"):
        data = repository.files["1.root.json" if role == "root" else role + ".json"]
        document = json.loads(data)
        assert len(document["signatures"]) == 2
        for signature in document["signatures"]:
            assert signature["keyid"] in root["roles"][role]["keyids"]
            key = root["keys"][signature["keyid"]]
            raw = base64.b64decode(signature["sig"])
            assert openssl_verifies(tmp_path, key, signed_part(data), raw)
            assert not openssl_verifies(tmp_path, key, signed_part(data) + b" ", raw)


def test_documents_are_served_in_canonical_form():
    repository = Repository()
    for data in repository.files.values():
        assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert canonical({"b": 1, "a": ["\n", "ü"]}) == '{"a":["\\n","ü"],"b":1}'.encode()


def test_what_lists_a_file_describes_its_bytes():
    repository = Repository()
    repository.publish()
    for lister, listed in (("timestamp", "snapshot"), ("snapshot", "targets")):
        meta = json.loads(repository.files[lister + ".json"])["signed"]["meta"][listed + ".json"]
        data = repository.files[listed + ".json"]
        assert meta["length"] == len(data) and meta["hashes"]["sha256"] == hashlib.sha256(data).hexdigest()
        assert meta["version"] == json.loads(data)["signed"]["version"] == 2


def test_a_rotated_root_is_signed_by_the_old_and_the_new_keys(tmp_path):
    repository = Repository()
    repository.rotate("root")
    data = repository.files["2.root.json"]
    keys = json.loads(repository.files["1.root.json"])["signed"]["keys"] | json.loads(data)["signed"]["keys"]
    signers = [s["keyid"] for s in json.loads(data)["signatures"]]
    old = json.loads(repository.files["1.root.json"])["signed"]["roles"]["root"]["keyids"]
    new = json.loads(data)["signed"]["roles"]["root"]["keyids"]
    assert set(signers) == {*old, *new} and old != new
    for signature in json.loads(data)["signatures"]:
        assert openssl_verifies(tmp_path, keys[signature["keyid"]], signed_part(data), base64.b64decode(signature["sig"]))


# ---- who may ask ----

def test_the_certificate_says_which_device_it_is(backend, device, tmp_path):
    other = Device(backend, tmp_path, "dev-2")
    assert device.get("/director/1.root.json")[0] == 200
    mine, others = device.get("/director/targets.json")[1], other.get("/director/targets.json")[1]
    assert mine != others
    assert set(backend.vehicles) == {"dev-1", "dev-2"}
    wait_for(lambda: {entry["device"] for entry in backend.requests()} == {"dev-1", "dev-2"}, "both in the log", 5)
    other.connection.close()


def test_nothing_is_told_without_a_certificate_but_what_is_open_to_all(backend, tmp_path):
    backend.open_files["x"] = b"open"
    context = ssl.create_default_context(cafile=backend.authority.ca)
    connection = http.client.HTTPSConnection("127.0.0.1", backend.port, context=context, timeout=10)
    for path, status in (("/director/targets.json", 403), ("/repo/targets.json", 403), ("/open/x", 200)):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    connection.close()


def test_a_certificate_of_somebody_else_is_not_taken(backend, tmp_path):
    stranger = Backend(str(tmp_path / "stranger"))
    stranger.stop()
    stranger.authority.device("dev-1", str(tmp_path / "forged"))
    context = ssl.create_default_context(cafile=backend.authority.ca)
    context.load_cert_chain(str(tmp_path / "forged/device.crt"), str(tmp_path / "forged/device.key"))
    connection = http.client.HTTPSConnection("127.0.0.1", backend.port, context=context, timeout=10)
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        connection.request("GET", "/director/targets.json")
        connection.getresponse()
    connection.close()


def test_the_ostree_repository_is_served_and_nothing_beside_it(device):
    assert device.get("/treehub/config") == (200, b"[core]\n")
    for path in ("/treehub/../secret", "/treehub/%2e%2e/secret", "/treehub/", "/treehub/absent"):
        assert device.get(path)[0] == 404


# ---- registration and manifests ----

class Ecus:
    """A Primary and a Secondary with their keys, and the manifests they would send."""

    def __init__(self, kind="ed25519"):
        self.keys = {"P": Key(kind), "S": Key(kind)}

    def registration(self):
        return {"primary_ecu_serial": "P", "ecus": [
            {"ecu_serial": serial, "hardware_identifier": "hw", "clientKey": key.public()} for serial, key in self.keys.items()]}

    def report(self, serial, counter=1, image="unknown", sha256=SHA, **changes):
        signed = {"ecu_serial": serial, "attacks_detected": "", "report_counter": str(counter),
                  "installed_image": {"filepath": image, "fileinfo": {"length": 1, "hashes": {"sha256": sha256}}},
                  "timeserver_time": "1970-01-01T00:00:00Z", "previous_timeserver_time": "1970-01-01T00:00:00Z"}
        signed.update(changes)
        return json.loads(envelope(signed, [self.keys[serial]]))

    def manifest(self, counter=1, reports=None, **more):
        reports = reports or {serial: self.report(serial, counter) for serial in self.keys}
        return envelope(dict({"primary_ecu_serial": "P", "ecu_version_manifests": reports}, **more), [self.keys["P"]])


@pytest.fixture
def ecus(device):
    e = Ecus()
    assert device.ask("POST", "/director/ecus", canonical(e.registration()))[0] == 201
    return e


def refused(device, body):
    status, answer = device.ask("PUT", "/director/manifest", body)
    assert status == 400
    return json.loads(answer)["code"]


def test_a_good_manifest_is_accepted_and_remembered(backend, device, ecus):
    assert device.ask("PUT", "/director/manifest", ecus.manifest())[0] == 200
    assert backend.vehicle("dev-1").installed("S") == ("unknown", SHA)
    assert len(backend.vehicle("dev-1").manifests) == 1 and not backend.vehicle("dev-1").refused


def test_a_manifest_is_refused_for_each_thing_that_can_be_wrong_with_it(backend, device, ecus):
    good = json.loads(ecus.manifest())
    tampered = copy.deepcopy(good)
    tampered["signed"]["extra"] = 1
    assert refused(device, canonical(tampered)) == "signature_not_valid"
    inner = {"P": ecus.report("P"), "S": ecus.report("S")}
    inner["S"]["signed"]["installed_image"]["filepath"] = "better.bin"
    assert refused(device, ecus.manifest(reports=inner)) == "signature_not_valid"
    by_primary = {"P": ecus.report("P"), "S": json.loads(envelope(ecus.report("S")["signed"], [ecus.keys["P"]]))}
    assert refused(device, ecus.manifest(reports=by_primary)) == "signature_not_valid"
    ecus.keys["X"] = Key()
    assert refused(device, ecus.manifest()) == "ecu_not_registered"
    del ecus.keys["X"]
    swapped = {"P": ecus.report("P"), "S": ecus.report("S", ecu_serial="P")}
    assert refused(device, ecus.manifest(reports=swapped)) == "ecu_serial_mismatch"
    assert refused(device, ecus.manifest(primary_ecu_serial="S")) == "ecu_not_primary"
    assert refused(device, ecus.manifest(reports={"P": ecus.report("P", attacks_detected=None)})) == "malformed"
    assert refused(device, ecus.manifest(reports={"P": ecus.report("P", sha256="short")})) == "malformed"
    assert refused(device, canonical(good).replace(b'"signed":{', b'"signed":{"primary_ecu_serial":"Q",', 1)) == "malformed"
    assert refused(device, b"{}") == "malformed"
    assert refused(device, b"[" * 100000) == "malformed"
    assert not backend.vehicle("dev-1").manifests and len(backend.vehicle("dev-1").refused) == 11


def test_a_report_counter_must_rise(device, ecus):
    assert device.ask("PUT", "/director/manifest", ecus.manifest(counter=5))[0] == 200
    for counter in (5, 4, 1):
        assert refused(device, ecus.manifest(counter=counter)) == "report_counter"
    assert device.ask("PUT", "/director/manifest", ecus.manifest(counter=6))[0] == 200


def test_rsa_signs_a_manifest_and_a_method_of_another_key_does_not(tmp_path):
    e = Ecus("rsa")
    document = json.loads(e.manifest())
    assert verify(document, e.keys["P"].public())
    assert not verify(document, e.keys["S"].public())
    document["signatures"][0]["method"] = "ed25519"
    assert not verify(document, e.keys["P"].public())


def test_registration_is_repeated_only_with_the_same_keys(device, ecus):
    assert device.ask("POST", "/director/ecus", canonical(ecus.registration()))[0] == 200
    ecus.keys["S"] = Key()
    status, answer = device.ask("POST", "/director/ecus", canonical(ecus.registration()))
    assert status == 400 and json.loads(answer)["code"] == "ecu_replacement_disabled"


def test_a_registration_that_says_nonsense_is_refused(device):
    for spoil, code in (
            (lambda r: r.update(primary_ecu_serial="Q"), "primary_is_not_listed_for_device"),
            (lambda r: r["ecus"].append(r["ecus"][0]), "ecu_already_registered"),
            (lambda r: r["ecus"][0]["clientKey"].update(keytype="RSA"), "invalid_key"),
            (lambda r: r["ecus"][0]["clientKey"].update(keytype="ed25519"), "invalid_key"),
            (lambda r: r["ecus"][0].update(hardware_identifier="x" * 201), "invalid_entity"),
            (lambda r: r.pop("ecus"), "malformed")):
        registration = Ecus().registration()
        spoil(registration)
        status, answer = device.ask("POST", "/director/ecus", canonical(registration))
        assert status == 400 and json.loads(answer)["code"] == code


# ---- assignments ----

def targets(device):
    return json.loads(device.get("/director/targets.json")[1])["signed"]


def test_an_assignment_says_what_the_image_repository_says(backend, device, ecus):
    entry = backend.add_image("fw-2", b"new", ["hw"], releaseCounter=3)
    correlation = backend.vehicle("dev-1").assign([("fw-2", entry, "S", "hw", None)])
    signed = targets(device)
    assert signed["custom"] == {"correlationId": correlation} and signed["version"] == 2
    target = signed["targets"]["fw-2"]
    assert target["custom"] == {"ecuIdentifiers": {"S": {"hardwareId": "hw"}}, "uri": None, "releaseCounter": 3}
    assert target["hashes"]["sha256"] == hashlib.sha256(b"new").hexdigest() and target["length"] == 3
    assert json.loads(device.get("/repo/targets.json")[1])["signed"]["targets"]["fw-2"]["hashes"] == target["hashes"]
    assert device.get("/repo/targets/fw-2") == (200, b"new")


def test_a_director_that_closes_takes_back_what_is_done_and_all_that_failed(backend, device, ecus):
    vehicle = backend.vehicle("dev-1")
    vehicle.closes = True
    entry = backend.add_image("fw-2", b"new", ["hw"])
    new = {"image": "fw-2", "sha256": entry["hashes"]["sha256"]}
    correlation = vehicle.assign([("fw-2", entry, "S", "hw", None), ("fw-2", entry, "P", "hw", None)])
    device.ask("PUT", "/director/manifest", ecus.manifest(1, {"P": ecus.report("P", 1), "S": ecus.report("S", 1, **new)}))
    assert set(targets(device)["targets"]["fw-2"]["custom"]["ecuIdentifiers"]) == {"P"}
    assert targets(device)["custom"] == {"correlationId": correlation}
    failure = {"content_type": "x", "report": {"correlation_id": correlation, "result": {"success": False, "code": "INSTALL_FAILED"}}}
    device.ask("PUT", "/director/manifest", ecus.manifest(2, {"P": ecus.report("P", 2)}, installation_report=failure))
    assert targets(device)["targets"] == {} and "custom" not in targets(device)
    assert vehicle.reports()[-1]["correlation_id"] == correlation


def test_events_and_system_information_are_taken(backend, device):
    assert device.ask("POST", "/events/", b'[{"id":"1"}]') == (204, b"")
    assert device.ask("PUT", "/system_info/network", b"{}") == (204, b"")
    assert backend.events == [[{"id": "1"}]]
    assert device.get("/repo/targets.json")[0] == 200  # over the same connection
    wait_for(lambda: len(backend.requests()) == 3, "all three in the log", 5)
    assert len({entry["connection"] for entry in backend.requests()}) == 1


# ---- transfers and faults ----

def test_a_download_goes_on_where_it_is_told(backend, device):
    backend.add_image("fw", b"0123456789", ["hw"])
    assert device.get("/repo/targets/fw", Range="bytes=4-") == (206, b"456789")
    assert device.get("/repo/targets/fw", Range="bytes=10-")[0] == 416


def test_a_fault_changes_one_bit_where_it_is_told(backend, device):
    good = device.get("/repo/targets.json")[1]
    backend.faults.add("^/repo/targets.json", "tamper", 7, times=1)
    bad = device.get("/repo/targets.json")[1]
    assert [i for i in range(len(good)) if good[i] != bad[i]] == [7] and bin(good[7] ^ bad[7]).count("1") == 1
    assert device.get("/repo/targets.json")[1] == good


def test_a_fault_hits_only_what_it_names(backend, device):
    backend.faults.add("^/repo/targets.json", "status", 503)
    backend.faults.add("manifest", "status", 500, method="PUT")
    assert device.get("/repo/targets.json")[0] == 503
    assert device.get("/director/targets.json")[0] == 200
    assert device.ask("PUT", "/director/manifest", b"{}")[0] == 500
    backend.faults.clear()
    assert device.get("/repo/targets.json")[0] == 200


def test_a_fault_cuts_off_what_was_promised(backend, device):
    whole = len(device.get("/repo/targets.json")[1])
    backend.faults.add("^/repo/targets.json", "cutoff", 20)
    with pytest.raises(http.client.IncompleteRead) as e:
        device.get("/repo/targets.json")
    assert len(e.value.partial) == 20 and e.value.expected == whole - 20


def test_a_fault_drops_stalls_or_never_ends(backend, device, tmp_path):
    backend.faults.add("^/repo/targets.json", "drop")
    with pytest.raises((ConnectionError, http.client.HTTPException, ssl.SSLError)):
        device.get("/repo/targets.json")
    backend.faults.clear()
    backend.faults.add("^/repo/targets.json", "stall")
    other = Device(backend, tmp_path, "dev-3")
    other.connection.timeout = 0.3
    with pytest.raises(TimeoutError):
        other.get("/repo/targets.json")
    backend.faults.clear()
    backend.faults.add("^/repo/targets.json", "endless")
    endless = Device(backend, tmp_path, "dev-4")
    endless.connection.request("GET", "/repo/targets.json")
    assert len(endless.connection.getresponse().read(3000000)) == 3000000
    backend.faults.clear()
    for d in (other, endless):
        d.connection.close()


@pytest.mark.parametrize("kind", ["timestamp", "snapshot", "targets"])
def test_spoilt_documents_are_what_they_claim_to_be(tmp_path, kind):
    """Expired, and rightly signed; signed by a key that is not the role's; an old version, as it was."""
    repository = Repository()
    saved = repository.save()
    key = json.loads(repository.files["1.root.json"])["signed"]["keys"][repository.keys[kind][0].id]
    repository.expires[kind] = after(days=-1)
    repository.publish()
    data = repository.files[kind + ".json"]
    assert json.loads(data)["signed"]["expires"] < after(seconds=0)
    raw = base64.b64decode(json.loads(data)["signatures"][0]["sig"])
    assert openssl_verifies(tmp_path, key, signed_part(data), raw)
    repository.edit(kind, lambda signed: None, keys=[Key()])
    data = repository.files[kind + ".json"]
    assert not openssl_verifies(tmp_path, key, signed_part(data), base64.b64decode(json.loads(data)["signatures"][0]["sig"]))
    repository.replay(saved, kind)
    assert json.loads(repository.files[kind + ".json"])["signed"]["version"] == 1


# ---- the command line ----

def test_the_back_end_runs_by_itself_and_takes_commands(tmp_path):
    (tmp_path / "fw.bin").write_bytes(b"firmware")
    process = subprocess.Popen([sys.executable, "-m", "backend", "--dir", str(tmp_path / "b")], cwd=os.path.dirname(HERE), text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def command(**arguments):
        process.stdin.write(json.dumps(arguments) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    try:
        assert json.loads(process.stdout.readline())["url"].startswith("https://127.0.0.1:")
        assert command(command="device", id="dev-9", directory=str(tmp_path / "v")) == {"ok": True}
        assert {"ca.pem", "device.crt", "device.key", "director.root.json", "image.root.json"} <= set(os.listdir(tmp_path / "v"))
        assert command(command="add-file", name="fw", path=str(tmp_path / "fw.bin"), hardware_ids=["x"])["ok"]
        assert command(command="images")["images"]["fw"]["length"] == 8
        assert command(command="devices")["devices"]["dev-9"]["ecus"] == {}
        assert not command(command="assign", device="dev-9", images={"nobody": "fw"})["ok"]
        assert "AttributeError" in command(command="nonsense")["error"]
    finally:
        process.stdin.close()
        assert process.wait(10) == 0
