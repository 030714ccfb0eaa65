# SPDX-License-Identifier: Apache-2.0
"""The link protected by a key that both ends were given: the right key, and everything else."""
import os
import socket
import subprocess
import threading

import pytest
from der import message
from helpers_fixture import Activator, program
from tap import Tap
from test_secondary_ip import FIRMWARE, HARDWARE, SERIAL, Ecu, files_of, put_image
from test_secondary_tls import TlsEcu, fails, tell
from test_secondary_tls import Helper as Client
from vehicle import wait_for

from backend.pki import Authority

KEY, OTHER = os.urandom(32).hex(), os.urandom(32).hex()


def write(path, *lines, mode=0o600):
    path.parent.mkdir(exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="ascii") as f:
        f.write("".join(line + "\n" for line in lines))
    os.chmod(path, mode)
    return path


@pytest.fixture
def start(tmp_path):
    """start(lines of its key file): a Secondary that is stopped in the end."""
    ecus = []

    def start_ecu(*lines, **settings):
        ecus.append(Ecu(tmp_path, **{"tls": "psk", "tls-psk": write(tmp_path / "secondary.psk", *lines), **settings}).start())
        return ecus[-1]
    yield start_ecu
    for ecu in ecus:
        ecu.stop()


@pytest.fixture
def helper_at(tmp_path):
    """helper_at(address, lines of the Primary's key file)"""
    opened = []

    def open_helper(address, *lines, mode=0o600):
        write(tmp_path / "primary" / "secondaries.psk", *lines, mode=mode)
        if not opened:
            opened.append(Activator(tmp_path, [program("secondary-ip", "uptane-secondary-ip"), "--connect-timeout=2", "--silence-timeout=2",
                                               "--exchange-timeout=4", "--install-timeout=5"], CREDENTIALS_DIRECTORY=tmp_path / "primary"))
        opened.append(Client(opened[0].socket, address))
        return opened[-1]
    yield open_helper
    for helper in opened[1:]:
        helper.close()
    for activator in opened[:1]:
        activator.stop()


def at(ecu, serial=SERIAL):
    return f"psk://{serial}@{ecu.address}"


def test_a_whole_update_goes_over_the_link_and_nothing_of_it_is_readable(start, helper_at):
    ecu = start(f"{SERIAL} {KEY}")
    tap = Tap(int(ecu.address.rsplit(":", 1)[1]))
    helper = helper_at(f"psk://{SERIAL}@{tap.address}", "# of this vehicle", "", f"other {OTHER}", f"{SERIAL} {KEY}")
    assert helper.ask("GetInfo", reply="(ssss)")[:2] == (SERIAL, HARDWARE)
    ecu.assign()
    helper.ask("PutMetadata", "a(ssay)", (files_of(ecu),))
    put_image(helper, ecu.folder, FIRMWARE)
    assert helper.ask("Install", "s", ("brake.bin",), "(ss)") == ("OK", "")
    assert ecu.firmware.read_bytes() == FIRMWARE
    tap.close()
    said = [bytes(s) for s in tap.said]
    assert all(s[0] == 0x16 for s in said), "begins with a handshake"
    assert not any(b"brake.bin" in s or b"snapshot" in s or FIRMWARE[:256] in s for s in said)


def test_a_wrong_key_or_an_unknown_identity_is_refused_by_both_sides(start, helper_at):
    ecu = start(f"{SERIAL} {KEY}")
    assert SERIAL in fails(helper_at(at(ecu), f"{SERIAL} {OTHER}"), "Tls")
    fails(helper_at(at(ecu, "brake-0002"), f"brake-0002 {KEY}"), "Tls")
    assert helper_at(at(ecu), f"{SERIAL} {KEY}").ask("GetInfo", reply="(ssss)")[0] == SERIAL
    assert "closing a connection" in ecu.log() and KEY not in ecu.log()


def test_a_key_is_for_the_secondary_that_it_names(start, helper_at):
    ecu = start(f"brake-0002 {KEY}")
    assert "brake-0002" in fails(helper_at(at(ecu, "brake-0002"), f"brake-0002 {KEY}"), "Tls"), "it says to be another than its key does"


def test_plain_peers_are_not_spoken_to(start, helper_at, tmp_path):
    ecu = start(f"{SERIAL} {KEY}")
    assert ecu.exchange(message(19, b"\x0a\x01\x01"))[:1] in (b"", b"\x15"), "at most a TLS alert"
    (tmp_path / "plain").mkdir()
    plain = Ecu(tmp_path / "plain").start()
    tap = Tap(int(plain.address.rsplit(":", 1)[1]))
    fails(helper_at(f"psk://{SERIAL}@{tap.address}", f"{SERIAL} {KEY}"), "Tls")
    tap.close()
    plain.stop()
    assert all(s[:1] == b"\x16" for s in tap.said), "something was said in the clear"


def test_certificates_and_keys_are_never_offered_both(start, helper_at, tmp_path):
    authority = Authority(tmp_path / "authority")
    authority.link("vehicle-1-primary", False, tmp_path / "primary")
    ecu = start(f"{SERIAL} {KEY}")
    fails(helper_at(f"tls://{SERIAL}@{ecu.address}", f"{SERIAL} {KEY}"), "Tls")
    (tmp_path / "certified").mkdir()
    certified = TlsEcu(tmp_path / "certified", authority).start()
    fails(helper_at(at(certified), f"{SERIAL} {KEY}"), "Tls")
    with pytest.raises(OSError):
        with certified.shake() as s:  # without a certificate
            assert tell(s, message(0)) == b""
            raise OSError
    certified.stop()


def test_a_server_without_the_key_that_shows_a_certificate_is_refused(helper_at, tmp_path):
    import ssl
    Authority(tmp_path / "authority").link(SERIAL, True, tmp_path / "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server" / "secondary.crt", tmp_path / "server" / "secondary.key")

    def serve(listener):
        for _ in range(4):
            try:
                context.wrap_socket(listener.accept()[0], server_side=True)
            except (ssl.SSLError, OSError):
                pass
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        fails(helper_at(f"psk://{SERIAL}@127.0.0.1:{listener.getsockname()[1]}", f"{SERIAL} {KEY}"), "Tls")


BAD = {"no key": ["# nothing"], "short": [f"{SERIAL} {KEY[:30]}"], "odd": [f"{SERIAL} {KEY[:-1]}"], "not hexadecimal": [f"{SERIAL} {'x' * 64}"],
       "no identity": [f" {KEY}"], "twice": [f"{SERIAL} {KEY}", f"{SERIAL} {OTHER}"], "none": ["none"]}


@pytest.mark.parametrize("name", BAD)
def test_a_key_file_that_is_none_is_named_and_its_keys_are_not(helper_at, tmp_path, name):
    text = fails(helper_at(f"psk://{SERIAL}@127.0.0.1:1", *BAD[name]), "Key")
    assert "secondaries.psk" in text and KEY not in text
    ecu = Ecu(tmp_path, **{"tls": "psk", "tls-psk": write(tmp_path / "bad.psk", *BAD[name])})
    r = subprocess.run([program("secondary", "uptane-secondary"), "--config", str(ecu.config)], capture_output=True, text=True, timeout=10)
    assert r.returncode == 65 and "bad.psk" in r.stderr and KEY not in r.stderr


def test_a_key_that_others_may_read_is_none(helper_at, tmp_path):
    assert "mode" in fails(helper_at(f"psk://{SERIAL}@127.0.0.1:1", f"{SERIAL} {KEY}", mode=0o644), "Key")
    ecu = Ecu(tmp_path, **{"tls": "psk", "tls-psk": write(tmp_path / "open.psk", f"{SERIAL} {KEY}", mode=0o604)})
    r = subprocess.run([program("secondary", "uptane-secondary"), "--config", str(ecu.config)], capture_output=True, text=True, timeout=10)
    assert r.returncode == 65 and "mode" in r.stderr


@pytest.mark.parametrize("settings", [{"tls": "psk", "tls-primary": "p"}, {"tls": "psk", "tls-ca": "/x"}, {"tls": "yes", "tls-psk": "/x"}, {"tls-psk": "/x"}])
def test_settings_of_both_kinds_are_refused(tmp_path, settings):
    ecu = Ecu(tmp_path, **settings)
    r = subprocess.run([program("secondary", "uptane-secondary"), "--config", str(ecu.config)], capture_output=True, text=True, timeout=10)
    assert r.returncode == 64 and "tls" in r.stderr


def test_a_vehicle_registers_and_updates_a_secondary_over_its_key(world):
    v = world.vehicle
    secondary, = v.secondaries
    for path in (v.path("credentials", "secondaries.psk"), os.path.join(secondary.folder, "secondary.psk")):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as f:
            f.write("%s %s\n" % (secondary.serial, KEY))
    secondary.settings = {"tls": "psk", "tls-psk": os.path.join(secondary.folder, "secondary.psk")}
    secondary.prepare(v.path("roots"))
    tap = Tap(secondary.port)
    secondary.primary_settings = {"address": tap.address, "tls": "psk", "serial": secondary.serial}
    v.write_config()
    v.boot()
    v.wait_state("idle")
    world.update_firmware()
    tap.close()
    assert tap.said and all(s[:1] == b"\x16" for s in tap.said)
    with open(os.path.join(secondary.folder, "secondary.psk"), "w", encoding="ascii") as f:
        f.write("%s %s\n" % (secondary.serial, OTHER))
    v.control("kill", "secondary1", 9)
    v.verb("CheckForUpdates")
    wait_for(lambda: not v.ecu("secondary1", "Reachable"), "the Primary's view of it")
