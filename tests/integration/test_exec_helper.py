# SPDX-License-Identifier: Apache-2.0
"""uptane-exec as it runs, with good handlers and with bad ones: those that hang, flood, crash, lie, or leave something behind."""
import os
import subprocess
import threading
import time

import pytest

from helpers_fixture import Activator, ExecClient, RemoteError, program


@pytest.fixture
def folder(tmp_path):
    """Where handlers may be. What pytest makes is for its user alone; above is /tmp."""
    path = tmp_path / "handlers"
    path.mkdir(mode=0o755)
    return path


@pytest.fixture
def helper(tmp_path, folder):
    activator = Activator(tmp_path, [program("exec", "uptane-exec"), f"--handlers={folder}"], SECRET="do not tell",
                          STATE_DIRECTORY=tmp_path / "state")
    yield activator.socket
    activator.stop()


@pytest.fixture
def client(helper):
    with ExecClient(helper) as c:
        yield c


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.bin"
    path.write_bytes(b"firmware " * 100_000)
    with open(path, "rb") as f:
        yield f


def handler(folder, text, name="handler", mode=0o755):
    path = folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(mode)
    return path


def fails(name, f, *args, **kwargs):
    with pytest.raises(RemoteError) as caught:
        f(*args, **kwargs)
    assert caught.value.name == name, str(caught.value)
    return caught.value.message


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


# ---- what it does ----

def test_each_action_is_told_by_name_and_answered(client, folder, image):
    h = handler(folder, """
        case $1 in
        get-firmware-info) echo '{"status":"ok","name":"mcu-1.bin","length":9,"sha256":"'$(printf '%064d' 7)'"}' ;;
        install) echo '{"status":"need-completion","message":"after a restart"}' ;;
        complete-install) echo '{"status":"ok"}' ;;
        rollback) exit 65 ;;
        esac
        """)
    assert client.firmware_info(h) == ("ok", "mcu-1.bin", "7".zfill(64), 9)
    assert client.install(h, image) == ("need-completion", "after a restart")
    assert client.complete_install(h) == ("ok", "")
    assert client.rollback(h) == ("not-handled", "")


def test_the_image_is_the_descriptor_and_not_a_name(client, folder, image, tmp_path):
    """T-44: what was verified is what is installed, whatever lies under its name by then."""
    good = image.read()
    image.seek(0)
    h = handler(folder, f"""cat "$UPTANE_IMAGE_PATH" > {tmp_path}/first && cat <&3 > {tmp_path}/second && echo '{{"status":"ok"}}'""")
    os.unlink(image.name)
    with open(image.name, "wb") as f:
        f.write(b"evil")
    assert client.install(h, image) == ("ok", "")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes() == good


def test_t59_names_of_ecus_and_images_are_never_commands(client, folder, image, tmp_path):
    words = f"a';$(touch {tmp_path}/mark)`touch {tmp_path}/mark`;touch {tmp_path}/mark\n&"
    h = handler(folder, f"""
        printf %s "$UPTANE_ECU_SERIAL" > {tmp_path}/serial
        [ "$UPTANE_IMAGE_NAME" = "$UPTANE_ECU_SERIAL" ] && echo '{{"status":"ok"}}'
        """)
    assert client.install(h, image, ECU_SERIAL=words, IMAGE_NAME=words) == ("ok", "")
    assert (tmp_path / "serial").read_text() == words
    assert not (tmp_path / "mark").exists()


def test_nothing_of_the_helpers_own_reaches_it(client, folder, tmp_path):
    h = handler(folder, f"""env > {tmp_path}/environment; ls -l /proc/self/fd > {tmp_path}/fds; echo '{{"status":"ok"}}'""")
    client.complete_install(h, HARDWARE_ID="mcu")
    environment = (tmp_path / "environment").read_text()
    assert "SECRET" not in environment and "LISTEN_FDS" not in environment
    assert "UPTANE_HARDWARE_ID=mcu\n" in environment and f"STATE_DIRECTORY={tmp_path}/state\n" in environment
    assert "socket:" not in (tmp_path / "fds").read_text()


def test_variables_that_would_change_the_program_itself_cannot_be_given(client, folder):
    h = handler(folder, "exit 65")
    for name in ("LD-PRELOAD", "PATH=x", "path", ""):
        fails("InvalidArgument", client.complete_install, h, **{name: "/evil"})
    assert client.complete_install(h, PATH="/evil", LD_PRELOAD="/evil.so")[0] == "not-handled"  # these are UPTANE_PATH, ...


# ---- what it does not run ----

def test_t59_a_handler_others_can_write_is_refused(client, folder, image, tmp_path):
    mark = tmp_path / "mark"
    h = handler(folder, f"""touch {mark}; echo '{{"status":"ok"}}'""")
    for mode, folder_mode in ((0o757, 0o755), (0o775, 0o755), (0o755, 0o777), (0o755, 0o1777)):
        h.chmod(mode)
        folder.chmod(folder_mode)
        assert "can be written by others" in fails("Handler", client.install, h, image)
        assert "can be written by others" in fails("Handler", client.firmware_info, h)
    h.chmod(0o755)
    folder.chmod(0o755)
    assert not mark.exists()
    assert client.complete_install(h) == ("ok", "") and mark.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="chown needs root")
def test_t59_a_handler_of_another_user_is_refused(client, folder, image):
    h = handler(folder, "exit 65")
    os.chown(h, 4711, 4711)
    assert "belongs to user 4711" in fails("Handler", client.install, h, image)


def test_t59_only_what_lies_in_the_folders_for_handlers_is_run(client, folder, image, tmp_path):
    outside = handler(tmp_path, "exit 65", "outside")
    (folder / "link").symlink_to(outside)
    for path in ("/bin/sh", "/usr/bin/env", outside, f"{folder}/../outside", folder, "handler", ""):
        fails("Handler", client.install, path, image)
    assert "links are not followed" in fails("Handler", client.install, folder / "link", image)
    assert "No such file" in fails("Handler", client.install, folder / "missing", image)
    not_executable = handler(folder, "exit 65", "plain", 0o644)
    assert "cannot be started" in fails("Handler", client.install, not_executable, image)


# ---- handlers that misbehave ----

@pytest.mark.parametrize("script,error,text", [
    ("""echo '{"status":"failed","message":"no answer from the bootloader"}'; exit 7""", "InstallFailed",
     "no answer from the bootloader (exit code 7)"),
    ("""echo '{"status":"failed","message":"wrong board"}'""", "InstallFailed", "wrong board"),
    ("""echo '{"status":"ok"}'; exit 2""", "InstallFailed", "exit code 2"),
    ("exit 64", "InstallFailed", "exit code 64"),
    ("echo installed", "Handler", "its answer"),
    ("""echo '{"status":"ok"}' '{"status":"ok"}'""", "Handler", "its answer"),
    ("""echo '{"status":"ok","status":"failed"}'""", "Handler", "its answer"),
    ("true", "Handler", "its answer"),
    ("kill -ABRT $$", "Handler", "signal 6"),
    ("cat /dev/zero", "Handler", "more than 65536 bytes"),
    ("yes >&2", "Handler", "within 1 s"),
    ("sleep 100", "Handler", "within 1 s"),
    ("trap '' TERM; while :; do sleep 1; done", "Handler", "within 1 s"),
])
def test_a_bad_end_is_an_error_and_the_next_call_works(client, folder, image, script, error, text):
    h = handler(folder, script)
    begin = time.monotonic()
    assert text in fails(error, client.install, h, image, seconds=1)
    assert time.monotonic() - begin < 10
    assert client.complete_install(handler(folder, """echo '{"status":"ok"}'""")) == ("ok", "")


def test_what_it_leaves_behind_ends_with_it(client, folder, tmp_path):
    """In its own session, or not; and with our pipe still open."""
    h = handler(folder, f"""
        sleep 1000 & echo $! > {tmp_path}/near
        setsid sh -c 'echo $$ > {tmp_path}/far; exec sleep 1000' &
        while ! [ -s {tmp_path}/far ]; do sleep 0.01; done
        echo '{{"status":"ok"}}'
        """)
    begin = time.monotonic()
    assert client.complete_install(h) == ("ok", "")
    assert time.monotonic() - begin < 10
    for name in ("near", "far"):
        assert not is_running(int((tmp_path / name).read_text()))


def test_what_it_has_started_ends_with_it_at_its_time(client, folder, tmp_path):
    h = handler(folder, f"setsid sh -c 'echo $$ > {tmp_path}/far; exec sleep 1000' & sleep 1000")
    fails("Handler", client.complete_install, h, seconds=1)
    assert not is_running(int((tmp_path / "far").read_text()))


def test_closing_the_connection_stops_it(helper, folder, tmp_path):
    h = handler(folder, f"""
        trap 'echo cleaned up > {tmp_path}/trap; exit 1' TERM
        echo $$ > {tmp_path}/pid; while :; do sleep 0.05; done""")
    client = ExecClient(helper)

    def call():
        try:
            client.complete_install(h, seconds=1000)
        except Exception:  # pylint: disable=broad-except
            pass  # that the connection ends is what this is about

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    client.close()
    wait_until(lambda: not is_running(int((tmp_path / "pid").read_text())))
    assert (tmp_path / "trap").exists()
    thread.join(10)


def test_a_time_limit_that_is_none_is_refused(client, folder):
    h = handler(folder, "exit 65")
    for seconds in (0, 8 * 86400, (1 << 32) - 1):
        fails("InvalidArgument", client.complete_install, h, seconds=seconds)


def test_wrong_arguments_are_told(folder):
    for argv in (["--handlers=relative"], ["--other"], ["word"]):
        done = subprocess.run([program("exec", "uptane-exec"), *argv], capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "Usage" in done.stderr
