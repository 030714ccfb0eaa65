# SPDX-License-Identifier: Apache-2.0
"""The conformance client against a repository of our own, request for request: tuf_client.py TUF-CLIENT"""
import hashlib
import http.server
import os
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from backend.keys import Key  # noqa: E402
from backend.repository import Repository, after  # noqa: E402

CLIENT = os.path.abspath(sys.argv.pop(1))


class Server:
    """Serves a Repository as the TUF specification names its files; notes the requests; some answers can be set."""

    def __init__(self, repository):
        self.repository, self.log, self.answers, self.images = repository, [], {}, {}
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.log.append(self.path)
                status, data = server.answers.get(self.path) or server.find(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]

    def find(self, path):
        if path.startswith("/t/"):
            return (200, self.images[urllib.parse.unquote(path[3:])]) if urllib.parse.unquote(path[3:]) in self.images else (404, b"")
        name = urllib.parse.unquote(path[len("/m/"):])
        r = self.repository
        if r.consistent and not name.endswith(".root.json") and name != "timestamp.json":
            version, _, rest = name.partition(".")
            known = {"snapshot.json": r.versions["snapshot"], "targets.json": r.versions["targets"]}
            known.update({role + ".json": d.version for role, d in r.delegated.items()})
            if not version.isdigit() or known.get(rest) != int(version):
                return 404, b""
            name = rest
        data = r.files.get(name) or r.files.get("delegations/" + name)
        return (200, data) if data and name != "root.json" else (404, b"")

    def take_log(self):
        log, self.log = self.log, []
        return log

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class ClientTest(unittest.TestCase):
    consistent = False

    def setUp(self):
        self.repository = Repository()
        self.repository.consistent = self.consistent
        self.repository.versions["root"] = 0
        self.repository.sign_root()
        self.repository.publish()
        self.server = Server(self.repository)
        self.addCleanup(self.server.stop)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder, self.metadata, self.downloads = folder.name, os.path.join(folder.name, "metadata"), os.path.join(folder.name, "downloads")
        os.mkdir(self.downloads)
        with open(os.path.join(self.folder, "1.root.json"), "wb") as f:
            f.write(self.repository.files["1.root.json"])
        self.run_client("init", os.path.join(self.folder, "1.root.json"))
        self.assertEqual(self.server.take_log(), [])

    def run_client(self, *arguments, status=0):
        run = subprocess.run([CLIENT, "--metadata-dir", self.metadata, *arguments], capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, status, run.stderr)
        return run.stderr

    def refresh(self, status=0):
        return self.run_client("--metadata-url", self.server.url + "/m", "refresh", status=status)

    def download(self, *names, status=0):
        targets = [word for name in names for word in ("--target-name", name)]
        return self.run_client("--metadata-url", self.server.url + "/m/", *targets, "--target-base-url", self.server.url + "/t/", "--target-dir",
                               self.downloads, "download", status=status)

    def kept(self):
        kept = {}
        for name in os.listdir(self.metadata):
            with open(os.path.join(self.metadata, name), "rb") as f:
                kept[name] = f.read()
        return kept

    def version(self, role):
        return "%d." % self.repository.versions[role] if self.consistent else ""

    def add(self, name, data, role=None):
        self.repository.target(name, data)
        if role:
            role.targets[name] = self.repository.targets.pop(name)
        digest = hashlib.sha256(data).hexdigest()
        folder, _, base = name.rpartition("/")
        self.server.images["%s%s%s" % (folder + "/" if folder else "", digest + "." if self.consistent else "", base)] = data

    def test_refresh_asks_for_the_files_in_order_and_keeps_them_to_the_byte(self):
        self.refresh()
        self.assertEqual(self.server.take_log(), ["/m/2.root.json", "/m/timestamp.json", "/m/%ssnapshot.json" % self.version("snapshot"),
                                                  "/m/%stargets.json" % self.version("targets")])
        files = self.repository.files
        self.assertEqual(self.kept(), {role + ".json": files[role + ".json"] for role in ("root", "timestamp", "snapshot", "targets")})
        self.refresh()
        self.assertEqual(self.server.take_log(), ["/m/2.root.json", "/m/timestamp.json"])

    def test_roots_are_followed_one_by_one(self):
        self.repository.rotate("root")
        self.repository.rotate("timestamp", "snapshot", "targets", type="rsa")
        self.refresh()
        self.assertEqual(self.server.take_log()[:3], ["/m/2.root.json", "/m/3.root.json", "/m/4.root.json"])
        self.assertEqual(self.kept()["root.json"], self.repository.files["3.root.json"])

    def test_what_does_not_verify_is_not_kept(self):
        self.refresh()
        before = self.kept()
        for role in ("timestamp", "snapshot", "targets"):
            self.repository.publish()
            self.repository.edit(role, lambda signed: None, keys=[Key()])
            self.refresh(status=1)
            self.assertEqual(self.kept()[role + ".json"], before[role + ".json"])
            self.repository.publish()
            self.refresh()
            before = self.kept()

    def test_expired_metadata_is_refused(self):
        for role in ("timestamp", "snapshot", "targets"):
            with self.subTest(role):
                good, self.repository.expires[role] = self.repository.expires[role], after(days=-1)
                self.repository.publish()
                self.assertIn("expired", self.refresh(status=1))
                self.repository.expires[role] = good
                self.repository.publish()
                self.refresh()

    def test_a_rollback_is_refused(self):
        old = self.repository.save()
        self.repository.publish()
        self.refresh()
        before = self.kept()
        self.repository.replay(old, "timestamp", "snapshot", "targets")
        self.repository.versions = old[1]
        self.assertIn("ROLLBACK", self.refresh(status=1))
        self.assertEqual(self.kept(), before)

    def test_a_timestamp_of_the_same_version_is_passed_over(self):
        self.refresh()
        before = self.kept()
        self.repository.edit("timestamp", lambda signed: signed.update(expires=after(days=3)))
        self.refresh()
        self.assertEqual(self.kept(), before)

    def test_hashes_and_lengths_are_optional(self):
        for role in ("snapshot", "timestamp"):
            self.repository.edit(role, lambda signed: [(entry.pop("hashes"), entry.pop("length")) for entry in signed["meta"].values()])
        self.refresh()

    def test_an_error_that_is_not_absence_does_not_end_the_chain_of_roots(self):
        self.repository.rotate("root")
        self.server.answers["/m/3.root.json"] = 500, b""
        self.refresh(status=1)
        self.assertEqual(self.kept()["root.json"], self.repository.files["2.root.json"])

    def test_targets_are_fetched_by_their_hash_when_consistent_and_not_twice(self):
        self.add("folder/a file.bin", b"content one")
        self.add("b.bin", b"content two")
        self.repository.publish()
        self.download("folder/a file.bin", "b.bin")
        images = [path for path in self.server.take_log() if path.startswith("/t/")]
        self.assertEqual([urllib.parse.unquote(path[3:]) for path in images], list(self.server.images))
        names = sorted(os.listdir(self.downloads))
        self.assertEqual(names, ["b.bin", "folder%2Fa%20file.bin"])
        with open(os.path.join(self.downloads, names[1]), "rb") as f:
            self.assertEqual(f.read(), b"content one")
        self.download("b.bin")
        self.assertEqual([path for path in self.server.take_log() if path.startswith("/t/")], [])

    def test_a_wrong_or_unknown_target_is_not_kept(self):
        self.add("a.bin", b"right")
        self.repository.publish()
        for name in self.server.images:
            self.server.images[name] = b"wrong"
        self.assertIn("not the length or hash", self.download("a.bin", status=1))
        self.assertIn("no role lists it", self.download("none.bin", status=1))
        self.assertEqual(os.listdir(self.downloads), [])

    def test_delegated_roles_have_encoded_names(self):
        role = self.repository.delegate("../a", paths=["x/*"])
        self.add("x/deep.bin", b"deep", role)
        self.repository.publish()
        self.download("x/deep.bin")
        version = "%d." % role.version if self.consistent else ""
        self.assertIn("/m/%s..%%2Fa.json" % version, self.server.take_log())
        self.assertEqual(self.kept()["..%2Fa.json"], role.data)
        self.download("x/deep.bin")
        self.assertEqual([path for path in self.server.take_log() if "..%2Fa" in path], [])


    def test_a_delegated_role_that_became_shorter_is_fetched_again(self):
        role = self.repository.delegate("a", paths=["*"])
        self.add("one.bin", b"one", role)
        self.add("two.bin", b"two", role)
        self.repository.publish()
        self.download("one.bin")
        del role.targets["one.bin"]
        self.repository.publish()
        self.download("two.bin")
        self.assertEqual(self.kept()["a.json"], role.data)


class ConsistentClientTest(ClientTest):
    consistent = True


unittest.main(verbosity=1)
