# SPDX-License-Identifier: Apache-2.0
"""The configuration, as `uptaned --check-config` sees it: what is wrong is named by file, line and key."""
import os
import subprocess

import pytest
from vehicle import BUILD

UPTANED = os.path.join(BUILD, "daemon/uptaned/uptaned")
GOOD = "[server]\nurl = https://ota.example.com/\n[primary]\nhardware-id = board\n"


def check(tmp_path, text, dropins=()):
    path = tmp_path / "uptaned.conf"
    path.write_text(text, encoding="utf-8")
    for name, content in dropins:
        (tmp_path / "uptaned.conf.d").mkdir(exist_ok=True)
        (tmp_path / "uptaned.conf.d" / name).write_text(content, encoding="utf-8")
    return subprocess.run([UPTANED, "--config", str(path), "--check-config"], capture_output=True, text=True, check=False,
                          env={key: value for key, value in os.environ.items() if key != "JOURNAL_STREAM"})


def test_two_keys_are_enough(tmp_path):
    result = check(tmp_path, GOOD)
    assert result.returncode == 0 and "https://ota.example.com," in result.stdout


def test_more_patterns_of_kernel_arguments_than_are_looked_at_are_an_error(tmp_path):
    assert check(tmp_path, GOOD + "[ostree]\nkernel-arguments = " + "q " * 32 + "\n").returncode == 0
    result = check(tmp_path, GOOD + "[ostree]\nkernel-arguments = " + "q " * 33 + "\n")
    assert result.returncode != 0 and "kernel-arguments has more than 32" in result.stderr


@pytest.mark.parametrize("text,line,key", [
    (GOOD + "colour = red\n", 5, "colour"),
    (GOOD + "[sever]\nurl = https://x\n", 6, "[sever] url"),
    (GOOD + "hardware-id = other\n", 5, "hardware-id"),
    (GOOD + "[update]\npoll-interval = 5m\n", 6, "poll-interval"),
    (GOOD + "[update]\n\n# a comment\njitter = 51\n", 8, "jitter"),
    (GOOD + "[update]\nconsent-reboot = yes\n", 6, "consent-reboot"),
    (GOOD + "[primary]\nkey-type = dsa\n", 6, "key-type"),
    (GOOD + "[paths]\nstate-directory = state\n", 6, "state-directory"),
    (GOOD + "[server]\nostree-url = ftp://x\n", 6, "ostree-url"),
    (GOOD + "[secondary primary]\naddress = 1.2.3.4:5\n", 6, "address"),
    (GOOD + "[secondary a]\naddress = 1.2.3.4\n", 6, "address"),
    (GOOD + "[secondary a]\ndriver = can\n", 6, "driver"),
    (GOOD + "[secondary a]\ncolour = red\n", 6, "colour"),
])
def test_what_is_wrong_is_named_by_file_line_and_key(tmp_path, text, line, key):
    result = check(tmp_path, text)
    assert result.returncode == 64, result
    assert "uptaned.conf, line %d, " % line in result.stderr and key in result.stderr


@pytest.mark.parametrize("text,word", [
    ("[primary]\nhardware-id = board\n", "url is missing"),
    ("[server]\nurl = https://x\n", "hardware-id is missing"),
    (GOOD + "[secondary a]\n", None),
    (GOOD + "[secondary a]\ndriver = ip\n", "address is missing"),
    ("nonsense\n", "line 1"),
])
def test_what_is_missing_is_said(tmp_path, text, word):
    result = check(tmp_path, text)
    assert (result.returncode == 0) == (word is None), result
    assert word is None or word in result.stderr


def test_dropins_win_in_the_order_of_their_names(tmp_path):
    result = check(tmp_path, GOOD, [("20-b.conf", "[primary]\nhardware-id = second\n"), ("10-a.conf", "[primary]\nhardware-id = first\n"),
                                    ("30-ignored.txt", "nonsense\n"), (".40-hidden.conf", "nonsense\n")])
    assert result.returncode == 0 and "hardware id second," in result.stdout
    result = check(tmp_path, GOOD, [("50-bad.conf", "\n[primary]\nvim = x\n")])
    assert result.returncode == 64 and "50-bad.conf, line 3, [primary] vim" in result.stderr


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    result = subprocess.run([UPTANED, "--config", str(tmp_path / "none"), "--check-config"], capture_output=True, text=True, check=False)
    assert result.returncode == 64 and "is missing" in result.stderr


# T-59
@pytest.mark.parametrize("what", ["uptaned.conf", "uptaned.conf.d", "uptaned.conf.d/10-a.conf"])
def test_t59_what_everybody_can_write_is_no_configuration(tmp_path, what):
    assert check(tmp_path, GOOD, [("10-a.conf", "[primary]\nvin = x\n")]).returncode == 0
    (tmp_path / what).chmod(0o777)
    result = check(tmp_path, GOOD)
    assert result.returncode == 64 and "%s can be written by everybody" % (tmp_path / what) in result.stderr
