# SPDX-License-Identifier: Apache-2.0
"""uptane-fetch as it runs: on a passed socket, against servers on the loopback interface."""
import os
import ssl
import threading
import time

import pytest
from gi.repository import GLib, Gio

from helpers_fixture import (DEVICE, Activator, Authority, FetchClient, RemoteError, Server, make_credentials, program,
                             unused_port)

BODY = bytes(range(256)) * 1000


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_credentials(tmp_path_factory.mktemp("credentials"))


@pytest.fixture(scope="module")
def strict(tmp_path_factory, authority):
    """As in a vehicle: https only."""
    activator = Activator(tmp_path_factory.mktemp("strict"), [program("fetch", "uptane-fetch")],
                          CREDENTIALS_DIRECTORY=authority.folder)
    yield activator.socket
    activator.stop()


@pytest.fixture(scope="module")
def lax(tmp_path_factory, authority):
    activator = Activator(tmp_path_factory.mktemp("lax"),
                          [program("fetch", "uptane-fetch"), "--allow-http", "--min-speed=1000", "--min-speed-seconds=2"],
                          CREDENTIALS_DIRECTORY=authority.folder)
    yield activator.socket
    activator.stop()


@pytest.fixture
def server(authority):
    with Server(authority) as s:
        s.routes["/body"] = lambda h: h.answer(200, BODY)
        yield s


@pytest.fixture
def other(authority):
    """Another origin: same host, other port."""
    with Server(authority) as s:
        s.routes["/body"] = lambda h: h.answer(200, b"from elsewhere")
        yield s


@pytest.fixture
def plain():
    with Server() as s:
        s.routes["/body"] = lambda h: h.answer(200, BODY)
        yield s


def fails(name, f, *args, **kwargs):
    with pytest.raises(RemoteError) as caught:
        f(*args, **kwargs)
    assert caught.value.name == name, str(caught.value)
    return caught.value.message


def redirect(status, target):
    return lambda h: h.answer(status, b"over there", Location=target)


# ---- Get ----

def test_body_arrives_whole(strict, server):
    with FetchClient(strict) as c:
        assert c.get(server.url("/body")) == (200, 0, BODY)
    assert server.requests[0].headers["User-Agent"].startswith("uptaned/")


def test_exactly_max_bytes_are_allowed(strict, server):
    with FetchClient(strict) as c:
        assert c.get(server.url("/body"), maximum=len(BODY)) == (200, 0, BODY)


def test_missing_file_is_an_answer_without_a_body(strict, server):
    with FetchClient(strict) as c:
        assert c.get(server.url("/nothing"), maximum=3) == (404, 0, b"")


def test_big_page_behind_a_404_is_not_read(strict, server):
    server.routes["/missing"] = lambda h: h.answer(404, b"x" * 10_000_000)
    with FetchClient(strict) as c:
        assert c.get(server.url("/missing")) == (404, 0, b"")
        assert c.get(server.url("/body")) == (200, 0, BODY)


@pytest.mark.parametrize("status", [400, 403, 410, 500, 503])
def test_error_status_is_an_error(strict, server, status):
    server.routes["/error"] = lambda h: h.answer(status, b"sorry")
    with FetchClient(strict) as c:
        assert str(status) in fails("Http", c.get, server.url("/error"))
        assert c.body == b""


def test_one_connection_serves_all_calls(strict, server):
    with FetchClient(strict) as c:
        for path in ("/body", "/nothing", "/body"):
            c.get(server.url(path), authenticate=True)
        c.send("PUT", server.url("/manifest"), b"{}", authenticate=True)
    assert len({r.connection for r in server.requests}) == 1
    assert len(server.requests) == 4


# ---- who is shown the certificate ----

def test_certificate_is_shown_only_on_request(strict, server):
    with FetchClient(strict) as c:
        c.get(server.url("/body"), authenticate=False)
        c.get(server.url("/body"), authenticate=True)
        c.get(server.url("/body"), authenticate=False)
    assert [r.device for r in server.requests] == [None, DEVICE, None]


def test_redirect_within_the_origin_keeps_the_certificate(strict, server):
    server.routes["/old"] = redirect(302, "/body")
    with FetchClient(strict) as c:
        assert c.get(server.url("/old"), authenticate=True) == (200, 0, BODY)
    assert [r.device for r in server.requests] == [DEVICE, DEVICE]


def test_redirect_to_another_origin_does_not_show_the_certificate(strict, server, other):
    server.routes["/away"] = redirect(302, other.url("/body"))
    with FetchClient(strict) as c:
        assert c.get(server.url("/away"), authenticate=True) == (200, 0, b"from elsewhere")
    assert server.requests[0].device == DEVICE
    assert other.requests[0].device is None


def test_certificate_stays_away_once_elsewhere_sent_the_request_back(strict, server, other):
    server.routes["/away"] = redirect(302, other.url("/back"))
    other.routes["/back"] = redirect(302, server.url("/body"))
    with FetchClient(strict) as c:
        assert c.get(server.url("/away"), authenticate=True) == (200, 0, BODY)
    assert [r.device for r in server.requests] == [DEVICE, None]


def test_server_that_demands_a_certificate(strict, authority):
    with Server(authority, demand=True) as s:
        s.routes["/body"] = lambda h: h.answer(200, BODY)
        with FetchClient(strict) as c:
            # TLS 1.3 refuses a client behind the handshake: what libcurl sees of it first, alert or reset, is a race
            with pytest.raises(RemoteError) as caught:
                c.get(s.url("/body"))
            assert caught.value.name in ("Tls", "Network"), str(caught.value)
            assert c.get(s.url("/body"), authenticate=True) == (200, 0, BODY)


def test_missing_device_key_is_named(tmp_path, server, authority):
    (tmp_path / "ca.pem").write_bytes(authority.file.read_bytes())
    activator = Activator(tmp_path, [program("fetch", "uptane-fetch")], CREDENTIALS_DIRECTORY=tmp_path)
    try:
        with FetchClient(activator.socket) as c:
            fails("Key", c.get, server.url("/body"), authenticate=True)
            assert c.get(server.url("/body")) == (200, 0, BODY)
    finally:
        activator.stop()


def test_without_an_authority_nobody_is_trusted(tmp_path, server):
    activator = Activator(tmp_path, [program("fetch", "uptane-fetch")])
    try:
        with FetchClient(activator.socket) as c:
            fails("Tls", c.get, server.url("/body"))
    finally:
        activator.stop()


# ---- redirects ----

@pytest.mark.parametrize("status", [301, 307, 308])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_redirect_keeps_method_and_body(strict, server, status, method):
    server.routes["/events"] = redirect(status, "/events/")
    server.routes["/events/"] = lambda h: h.answer(204)
    with FetchClient(strict) as c:
        assert c.send(method, server.url("/events"), b"[1]", authenticate=True) == (204, b"")
    assert [(r.method, r.body, r.device) for r in server.requests] == [(method, b"[1]", DEVICE)] * 2


def test_sent_body_is_never_turned_into_a_get(strict, server):
    server.routes["/events"] = redirect(303, "/elsewhere")
    with FetchClient(strict) as c:
        assert c.send("POST", server.url("/events"), b"[1]")[0] == 303
    assert server.paths() == ["/events"]


def test_ten_redirects_are_followed_and_no_more(strict, server):
    for i in range(12):
        server.routes[f"/{i}"] = redirect(302, f"/{i + 1}")
    server.routes["/10"] = lambda h: h.answer(200, b"arrived")
    with FetchClient(strict) as c:
        assert c.get(server.url("/0")) == (200, 0, b"arrived")
        server.routes["/10"] = redirect(302, "/0")
        assert "10 times" in fails("Http", c.get, server.url("/0"))


@pytest.mark.parametrize("target", ["http://127.0.0.1/x", "file:///etc/passwd", "https://user:word@127.0.0.1/", "gopher://127.0.0.1/"])
def test_redirect_out_of_https_is_refused(strict, server, target):
    server.routes["/away"] = redirect(302, target)
    with FetchClient(strict) as c:
        fails("Http", c.get, server.url("/away"))


def test_redirect_from_https_to_http_is_refused_even_where_http_is_allowed(lax, server, plain):
    server.routes["/away"] = redirect(302, plain.url("/body"))
    with FetchClient(lax) as c:
        fails("Tls", c.get, server.url("/away"))
    assert plain.requests == []


def test_redirect_without_location(strict, server):
    server.routes["/away"] = lambda h: h.answer(302)
    with FetchClient(strict) as c:
        fails("Http", c.get, server.url("/away"))


# ---- limits ----

def test_announced_excess_is_refused_before_a_byte_is_passed_on(strict, server):
    with FetchClient(strict) as c:
        fails("TooLarge", c.get, server.url("/body"), maximum=len(BODY) - 1)
        assert c.body == b""


def endless(handler):
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    while True:
        handler.wfile.write(b"4000\r\n" + b"y" * 0x4000 + b"\r\n")


def test_endless_body_is_cut(strict, server):
    server.routes["/endless"] = endless
    with FetchClient(strict) as c:
        fails("TooLarge", c.get, server.url("/endless"), maximum=100_000)
        assert len(c.body) <= 100_000
        assert server.broken.wait(10), "the connection was left open"


def test_endless_headers_are_cut(strict, server):
    def headers(h):
        while True:
            h.wfile.write(b"HTTP/1.1 102 Processing\r\nX-Pad: " + b"z" * 1000 + b"\r\n\r\n")

    server.routes["/headers"] = headers
    with FetchClient(strict) as c:
        fails("TooLarge", c.get, server.url("/headers"))


def test_truncated_body_is_a_network_error(strict, server):
    def half(h):
        h.answer(200, BODY[:1000], Content_Length=str(len(BODY)))
        h.close_connection = True

    server.routes["/half"] = half
    with FetchClient(strict) as c:
        fails("Network", c.get, server.url("/half"))
        assert c.body == BODY[:1000]  # kept, to go on from there


def test_truncated_chunks_are_a_network_error(strict, server):
    def half(h):
        h.send_response(200)
        h.send_header("Transfer-Encoding", "chunked")
        h.end_headers()
        h.wfile.write(b"10\r\n0123456789abcdef\r\n")
        h.close_connection = True

    server.routes["/half"] = half
    with FetchClient(strict) as c:
        fails("Network", c.get, server.url("/half"))


# Uptane 5.4 (c)
def test_trickle_is_too_slow(lax, plain):
    def trickle(h):
        h.send_response(200)
        h.send_header("Content-Length", "1000")
        h.end_headers()
        for _ in range(100):
            h.wfile.write(b"x")
            time.sleep(0.1)

    plain.routes["/trickle"] = trickle
    with FetchClient(lax) as c:
        fails("TooSlow", c.get, plain.url("/trickle"))


# T-39: a stall ends, too; it looks like a lost network and is no slow retrieval
@pytest.mark.parametrize("begun", [True, False])
def test_silence_is_a_timeout(lax, plain, begun):
    over = threading.Event()

    def stall(h):
        if begun:
            h.send_response(200)
            h.send_header("Content-Length", "100000")
            h.end_headers()
            h.wfile.write(b"x" * 10)
        over.wait(30)

    plain.routes["/stall"] = stall
    with FetchClient(lax) as c:
        fails("Timeout", c.get, plain.url("/stall"))
    over.set()


def test_nobody_listening_is_a_network_error(strict):
    with FetchClient(strict) as c:
        fails("Network", c.get, f"https://127.0.0.1:{unused_port()}/")


# ---- ranges ----

def ranged(handler):
    first = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    handler.answer(206, BODY[first:], Content_Range=f"bytes {first}-{len(BODY) - 1}/{len(BODY)}")


def test_resume_gets_the_rest(strict, server):
    server.routes["/image"] = ranged
    with FetchClient(strict) as c:
        assert c.get(server.url("/image"), offset=1000, maximum=len(BODY) - 1000) == (206, 1000, BODY[1000:])
    assert server.requests[0].headers["Range"] == "bytes=1000-"


def test_resume_where_ranges_are_unknown_says_that_it_begins_anew(strict, server):
    with FetchClient(strict) as c:
        assert c.get(server.url("/body"), offset=1000) == (200, 0, BODY)


def test_resume_that_begins_elsewhere_says_so(strict, server):
    server.routes["/image"] = lambda h: h.answer(206, BODY[512:], Content_Range=f"bytes 512-{len(BODY) - 1}/{len(BODY)}")
    with FetchClient(strict) as c:
        assert c.get(server.url("/image"), offset=1000) == (206, 512, BODY[512:])


@pytest.mark.parametrize("value", [None, "bytes */100", "bytes 5-", "lines 1-2/3", "bytes 9-3/10"])
def test_part_that_does_not_say_which_is_refused(strict, server, value):
    server.routes["/image"] = lambda h: h.answer(206, b"part", Content_Range=value)
    with FetchClient(strict) as c:
        fails("Http", c.get, server.url("/image"), offset=1000)
        assert c.body == b""


def test_part_that_nobody_asked_for_is_refused(strict, server):
    server.routes["/image"] = lambda h: h.answer(206, b"part", Content_Range="bytes 0-3/10")
    with FetchClient(strict) as c:
        fails("Http", c.get, server.url("/image"))


def test_unsatisfiable_range_is_an_error(strict, server):
    server.routes["/image"] = lambda h: h.answer(416, b"", Content_Range=f"bytes */{len(BODY)}")
    with FetchClient(strict) as c:
        assert "416" in fails("Http", c.get, server.url("/image"), offset=10_000_000)


# ---- TLS ----

def test_plain_http_needs_a_switch(strict, lax, plain):
    with FetchClient(strict) as c:
        fails("InvalidArgument", c.get, plain.url("/body"))
    assert plain.requests == []
    with FetchClient(lax) as c:
        assert c.get(plain.url("/body"), authenticate=True) == (200, 0, BODY)


def test_unknown_authority_is_not_trusted(strict, tmp_path):
    with Server(make_credentials(tmp_path)) as s, FetchClient(strict) as c:
        fails("Tls", c.get, s.url("/body"))
        assert s.requests == []


def test_certificate_for_another_host_is_not_trusted(strict, server):
    with FetchClient(strict) as c:
        fails("Tls", c.get, server.url("/body").replace("127.0.0.1", "localhost"))


def test_old_tls_is_refused(strict, authority):
    def old(context):
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1

    with Server(authority, tweak=old) as s, FetchClient(strict) as c:
        fails("Tls", c.get, s.url("/body"))


# ---- cancelling ----

def test_closing_the_connection_ends_the_transfer(strict, server):
    server.routes["/endless"] = endless
    read_end, write_end = os.pipe()
    c = FetchClient(strict)
    fds = Gio.UnixFDList.new()
    fds.append(write_end)
    os.close(write_end)
    c.connection.call_with_unix_fd_list(None, c.object_path, c.interface, "Get",
                                        GLib.Variant("(sbtth)", (server.url("/endless"), False, 0, 1 << 40, 0)), None,
                                        Gio.DBusCallFlags.NONE, -1, fds, None)
    c.connection.flush_sync(None)
    del fds
    assert os.read(read_end, 10)
    c.close()  # the pipe stays open and full: only the connection tells
    assert server.broken.wait(10)
    os.close(read_end)


def test_closing_the_pipe_ends_the_transfer(strict, server):
    def stall(h):
        h.send_response(200)
        h.send_header("Content-Length", "1000")
        h.end_headers()
        h.wfile.flush()
        time.sleep(5)

    server.routes["/stall"] = stall
    read_end, write_end = os.pipe()
    os.close(read_end)
    with FetchClient(strict) as c:
        begun = time.monotonic()
        fails("Cancelled", c.call, "Get", GLib.Variant("(sbtth)", (server.url("/stall"), False, 0, 1000, 0)), "(ut)", [write_end])
        assert time.monotonic() - begun < 4


# ---- Send ----

def test_every_status_of_a_send_is_an_answer(strict, server):
    server.routes["/manifest"] = lambda h: h.answer(400, b'{"code":"signature_not_valid"}')
    with FetchClient(strict) as c:
        assert c.send("PUT", server.url("/manifest"), b'{"a":1}', True) == (400, b'{"code":"signature_not_valid"}')
    seen = server.requests[0]
    assert (seen.method, seen.body, seen.device, seen.headers["Content-Type"]) == ("PUT", b'{"a":1}', DEVICE, "application/json")


def test_big_body_is_sent_without_waiting_for_a_go_ahead(strict, server):
    server.routes["/manifest"] = lambda h: h.answer(200)
    with FetchClient(strict) as c:
        assert c.send("PUT", server.url("/manifest"), b"m" * 3_000_000) == (200, b"")
    assert len(server.requests[0].body) == 3_000_000 and server.requests[0].headers["Expect"] is None


def test_empty_body_can_be_sent(strict, server):
    server.routes["/x"] = lambda h: h.answer(200, b"ok")
    with FetchClient(strict) as c:
        assert c.send("POST", server.url("/x"), b"") == (200, b"ok")
    assert server.requests[0].body == b""


def test_answer_to_a_send_is_cut(strict, server):
    server.routes["/manifest"] = endless
    with FetchClient(strict) as c:
        assert c.send("PUT", server.url("/manifest"), b"{}") == (200, b"y" * 65536)


def test_nothing_else_can_be_sent(strict, server):
    with FetchClient(strict) as c:
        fails("InvalidArgument", c.send, "DELETE", server.url("/x"), b"")
        fails("InvalidArgument", c.send, "GET", server.url("/x"), b"")
        fails("InvalidArgument", c.send, "PUT", server.url("/x"), b"", content_type="a/b\r\nX-Evil: 1")
        fails("InvalidArgument", c.send, "PUT", "ftp://127.0.0.1/x", b"")
        fails("InvalidArgument", c.get, "not a url")
        fails("InvalidArgument", c.get, "https://me:secret@127.0.0.1/")
    assert server.requests == []
