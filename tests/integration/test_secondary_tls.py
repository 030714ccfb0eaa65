# SPDX-License-Identifier: Apache-2.0
"""The protected link between Primary and Secondary: real certificates, good ones and all kinds of bad ones, on both sides."""
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

from der import enum, message, parse, whole
from helpers_fixture import ROOT, Activator, RemoteError, program
from tap import Tap
from test_secondary_ip import FIRMWARE, HARDWARE, SERIAL, Ecu, Helper, files_of, put_image
from vehicle import wait_for

sys.path.insert(0, str(ROOT / "tests"))
from backend.pki import Authority  # noqa: E402

PRIMARY = "vehicle-1-primary"


class TlsEcu(Ecu):
    """A Secondary whose certificate is by authority; client: a folder with the Primary's."""

    def __init__(self, folder, authority, name=SERIAL, expired=False, ca=None, **settings):
        authority.link(name, True, folder / "link", expired=expired)
        (ca or authority).link("unused", False, folder / "other")
        super().__init__(folder, **{"tls": "yes", "tls-ca": folder / "other" / "secondary-ca.pem",
                                    "tls-certificate": folder / "link" / "secondary.crt", "tls-key": folder / "link" / "secondary.key", **settings})

    def shake(self, client=None, version=None):
        """A connection as of a Primary that believes everything."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if version:
            context.maximum_version = version
        if client:
            context.load_cert_chain(client / "primary.crt", client / "primary.key")
        return context.wrap_socket(self.connect())


def tell(connection, data):
    """The answer; b"" if there is none."""
    answer = b""
    try:
        connection.sendall(data)
        while not whole(answer):
            piece = connection.recv(65536)
            if not piece:
                return b""
            answer += piece
    except (ssl.SSLError, ConnectionError):
        return b""
    return answer


def is_served(ecu, client=None, **options):
    try:
        with ecu.shake(client, **options) as s:
            return tell(s, message(0)) != b""
    except (ssl.SSLError, ConnectionError):
        return False


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "authority")


@pytest.fixture
def helper_at(tmp_path, authority):
    """helper_at(address): a helper whose credentials are those of the Primary."""
    authority.link(PRIMARY, False, tmp_path / "primary")
    activator = Activator(tmp_path, [program("secondary-ip", "uptane-secondary-ip"), "--connect-timeout=2", "--silence-timeout=2",
                                     "--exchange-timeout=4", "--install-timeout=5"], CREDENTIALS_DIRECTORY=tmp_path / "primary")
    opened = []

    def open_helper(address):
        opened.append(Helper(activator.socket, address))
        return opened[-1]
    yield open_helper
    for helper in opened:
        helper.close()
    activator.stop()


@pytest.fixture
def start(tmp_path):
    """start(authority, ...): a TlsEcu that is stopped in the end."""
    ecus = []

    def start_ecu(*arguments, **options):
        ecus.append(TlsEcu(tmp_path, *arguments, **options).start())
        return ecus[-1]
    yield start_ecu
    for ecu in ecus:
        ecu.stop()


def fails(helper, *names):
    with pytest.raises(RemoteError) as caught:
        helper.ask("GetInfo", reply="(ssss)")
    assert caught.value.name in names, caught.value
    return caught.value.message


def test_a_whole_update_goes_over_the_protected_link_and_nothing_of_it_is_readable(start, helper_at, authority):
    ecu = start(authority, **{"tls-primary": PRIMARY})
    tap = Tap(int(ecu.address.rsplit(":", 1)[1]))
    helper = helper_at(f"tls://{tap.address}")
    serial, hardware, _, _ = helper.ask("GetInfo", reply="(ssss)")
    assert (serial, hardware) == (SERIAL, HARDWARE)
    helper.address = f"tls://{SERIAL}@{tap.address}"
    ecu.image.rotate("snapshot")
    ecu.assign()
    assert helper.ask("GetRootVersion", "s", ("image",), "(x)") == (1,)
    helper.ask("PutRoot", "say", ("image", ecu.image.files["2.root.json"]))
    helper.ask("PutMetadata", "a(ssay)", (files_of(ecu),))
    put_image(helper, ecu.folder, FIRMWARE)
    assert helper.ask("Install", "s", ("brake.bin",), "(ss)") == ("OK", "")
    assert ecu.firmware.read_bytes() == FIRMWARE
    tap.close()
    said = [bytes(s) for s in tap.said]
    assert all(s[0] == 0x16 for s in said), "begins with a handshake"
    assert not any(b"brake.bin" in s or b"snapshot" in s or FIRMWARE[:256] in s for s in said)


def test_before_the_name_is_known_only_getinfo_is_asked(start, helper_at, authority):
    ecu = start(authority)
    helper = helper_at(f"tls://{ecu.address}")
    assert helper.ask("GetInfo", reply="(ssss)")[0] == SERIAL
    with pytest.raises(RemoteError) as caught:
        helper.ask("GetManifest", reply="(ay)")
    assert caught.value.name == "InvalidArgument"


# ---- the Secondary is not what it should be ----

def test_a_certificate_for_another_name_is_refused(start, helper_at, authority):
    ecu = start(authority, name="brake-0002")
    assert "brake-0002" in fails(helper_at(f"tls://{SERIAL}@{ecu.address}"), "Tls")
    assert "brake-0002" in fails(helper_at(f"tls://{ecu.address}"), "Tls"), "it says to be another than its certificate does"
    assert SERIAL in fails(helper_at(f"tls://brake-0002@{ecu.address}"), "Tls")


def test_a_certificate_of_another_authority_is_refused(start, helper_at, authority, tmp_path):
    ecu = start(Authority(tmp_path / "foreign"), ca=authority)
    assert "certificate" in fails(helper_at(f"tls://{SERIAL}@{ecu.address}"), "Tls")


def test_an_expired_certificate_is_refused(start, helper_at, authority):
    ecu = start(authority, expired=True)
    assert "expired" in fails(helper_at(f"tls://{SERIAL}@{ecu.address}"), "Tls")


def test_a_client_that_plays_the_server_is_refused(start, helper_at, authority, tmp_path):
    authority.link(SERIAL, False, tmp_path / "link")
    ecu = start(authority, **{"tls-certificate": tmp_path / "link" / "primary.crt", "tls-key": tmp_path / "link" / "primary.key"})
    assert "purpose" in fails(helper_at(f"tls://{SERIAL}@{ecu.address}"), "Tls")


def test_a_secondary_without_tls_is_not_spoken_to(helper_at, tmp_path):
    ecu = Ecu(tmp_path).start()
    tap = Tap(int(ecu.address.rsplit(":", 1)[1]))
    helper = helper_at(f"tls://{SERIAL}@{tap.address}")
    for _ in range(3):
        fails(helper, "Tls")
    tap.close()
    assert len(tap.said) == 3 and all(s[:1] == b"\x16" for s in tap.said), "something was said in the clear"
    ecu.stop()


def test_an_older_version_of_tls_is_not_spoken(helper_at, authority, tmp_path):
    authority.link(SERIAL, True, tmp_path / "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server" / "secondary.crt", tmp_path / "server" / "secondary.key")
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def serve(listener):
        try:
            while True:
                context.wrap_socket(listener.accept()[0], server_side=True)
        except ssl.SSLError:
            serve(listener)
        except OSError:
            pass
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        assert "version" in fails(helper_at(f"tls://{SERIAL}@127.0.0.1:{listener.getsockname()[1]}"), "Tls")


def test_who_is_silent_in_the_handshake_is_not_waited_for(helper_at):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        fails(helper_at(f"tls://{SERIAL}@127.0.0.1:{silent.getsockname()[1]}"), "Timeout")
        assert time.monotonic() - started < 8


def test_without_credentials_the_helper_says_which_are_missing(tmp_path):
    activator = Activator(tmp_path, [program("secondary-ip", "uptane-secondary-ip")])
    with Helper(activator.socket, f"tls://{SERIAL}@127.0.0.1:1") as helper:
        assert "primary.crt" in fails(helper, "Key")
    activator.stop()


@pytest.mark.parametrize("address", ["tls://", "tls://@127.0.0.1:1", "tls://%s@127.0.0.1:1" % ("x" * 65), "tls://a@127.0.0.1", "TLS://127.0.0.1:1"])
def test_an_address_that_is_none_is_refused(helper_at, address):
    fails(helper_at(address), "InvalidArgument")


# ---- the Primary is not what it should be ----

def test_who_has_no_good_certificate_is_not_answered(start, authority, tmp_path):
    ecu = start(authority, **{"tls-primary": PRIMARY})
    authority.link(PRIMARY, False, tmp_path / "good")
    authority.link(PRIMARY, False, tmp_path / "expired", expired=True)
    authority.link("another-client", False, tmp_path / "name")
    Authority(tmp_path / "foreign").link(PRIMARY, False, tmp_path / "ca")
    authority.link(PRIMARY, True, tmp_path / "server")
    for file in ("crt", "key"):  # what another Secondary has
        (tmp_path / "server" / f"secondary.{file}").rename(tmp_path / "server" / f"primary.{file}")
    assert is_served(ecu, tmp_path / "good")
    for bad in ("expired", "name", "ca", "server"):
        assert not is_served(ecu, tmp_path / bad), bad
    assert not is_served(ecu), "without a certificate"
    assert not is_served(ecu, tmp_path / "good", version=ssl.TLSVersion.TLSv1_2), "TLS 1.2"
    assert is_served(ecu, tmp_path / "good")
    for word in ("expired", "another-client", "did not return a certificate"):
        assert word in ecu.log()


def test_questions_in_the_clear_are_not_answered(start, helper_at, authority):
    ecu = start(authority)
    answer = ecu.exchange(message(19, enum(1)))
    assert answer == b"" or answer[0] == 0x15, "at most a TLS alert"
    fails(helper_at(ecu.address), "Timeout")  # getInfo is shorter than the head of a TLS record, the rest is waited for
    helper = helper_at(f"tls://{SERIAL}@{ecu.address}")
    assert helper.ask("GetInfo", reply="(ssss)")[0] == SERIAL


def test_silence_and_nonsense_in_the_handshake_keep_nobody_out(start, helper_at, authority):
    ecu = start(authority)
    silent = [ecu.connect() for _ in range(5)]
    silent[1].sendall(b"\x16\x03\x01")
    silent[2].sendall(b"GET / HTTP/1.1\r\n\r\n")
    helper = helper_at(f"tls://{SERIAL}@{ecu.address}")
    assert helper.ask("GetInfo", reply="(ssss)")[0] == SERIAL
    silent[0].settimeout(20)
    assert silent[0].recv(1) == b"", "silence is hung up on"
    assert helper.ask("GetInfo", reply="(ssss)")[0] == SERIAL


def test_any_primary_of_the_authority_will_do_where_none_is_named(start, authority, tmp_path):
    ecu = start(authority)
    authority.link("whoever", False, tmp_path / "good")
    with ecu.shake(tmp_path / "good") as s:
        for _ in range(3):
            assert parse(tell(s, message(0)))[1][0] == SERIAL.encode()


@pytest.mark.parametrize("broken", ["tls-ca", "tls-certificate", "tls-key"])
def test_without_its_files_it_does_not_start(authority, tmp_path, broken):
    (tmp_path / "empty").write_text("none")
    ecu = TlsEcu(tmp_path, authority, **{broken: tmp_path / "empty"})
    r = subprocess.run([program("secondary", "uptane-secondary"), "--config", str(ecu.config)], capture_output=True, text=True, timeout=10)
    assert r.returncode == 65 and str(tmp_path / "empty") in r.stderr


# ---- a vehicle ----

@pytest.mark.world(secondaries=2)
def test_a_vehicle_whose_second_secondary_is_protected_is_updated_and_never_speaks_to_it_otherwise(world):
    v = world.vehicle
    plain, protected = v.secondaries
    authority = Authority(v.path("authority"))
    authority.link(v.serial, False, v.path("credentials"))
    authority.link(protected.serial, True, v.path("link"))
    protected.settings = {"tls": "yes", "tls-primary": v.serial, "tls-ca": v.path("link", "secondary-ca.pem"),
                          "tls-certificate": v.path("link", "secondary.crt"), "tls-key": v.path("link", "secondary.key")}
    protected.prepare(v.path("roots"))
    tap = Tap(protected.port)
    protected.primary_settings = {"address": tap.address, "tls": "yes"}
    v.write_config()
    v.boot()
    v.wait_state("idle")

    def assign(name, data):
        target = world.publish_firmware(name, data)[1]
        world.director.assign([(name, target, s.serial, s.hardware_id, None) for s in v.secondaries])
    assign("one.bin", b"one\n" * 1000)
    v.check()
    v.wait_state("idle")
    assert v.error() == ("", "")
    assert plain.content() == protected.content() == b"one\n" * 1000
    # it comes back without protection: nothing is said to it
    protected.settings = {}
    protected.prepare(v.path("roots"))
    v.control("kill", protected.label, 9)
    wait_for(lambda: is_plain(protected), "the Secondary without TLS")
    assign("two.bin", b"two\n" * 1000)
    v.check()
    wait_for(lambda: v.ecu(protected.label, "Reachable") is False, "the Primary's view of it")
    assert protected.content() == b"one\n" * 1000
    tap.close()
    assert all(s[:1] == b"\x16" for s in tap.said) and not any(b"one.bin" in s for s in tap.said)


def is_plain(secondary):
    try:
        with socket.create_connection(("127.0.0.1", secondary.port), timeout=1) as s:
            return tell(s, message(0)) != b""
    except OSError:
        return False
