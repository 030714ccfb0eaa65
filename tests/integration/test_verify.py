# SPDX-License-Identifier: Apache-2.0
"""`uptanectl verify`: what an operator runs over the folders of a back-end before publishing them."""
import json
import os
import subprocess
import urllib.parse

import pytest
from backend.keys import Key
from backend.repository import Repository, after
from vehicle import BUILD

UPTANECTL = os.path.join(BUILD, "daemon/uptanectl/uptanectl")


class Folders:
    """Both repositories as they are written before publishing; a delegated image is assigned to one ECU."""

    def __init__(self, path):
        self.path = path
        self.director, self.image = Repository(), Repository()
        self.supplier = self.image.delegate("tier1/brakes", paths=["brakes/*"])
        self.image.target("brakes/2.bin", b"brakes two", hardwareIds=["brake-ecu"])
        self.supplier.targets["brakes/2.bin"] = self.image.targets.pop("brakes/2.bin")
        self.director.target("brakes/2.bin", b"brakes two", ecuIdentifiers={"B1": {"hardwareId": "brake-ecu"}})
        for name, repository in (("director", self.director), ("image", self.image)):
            repository.publish()
            (path / (name + ".root.json")).write_bytes(repository.files["1.root.json"])

    def write(self):
        for name, repository in (("director", self.director), ("image", self.image)):
            for file, data in repository.files.items():
                folder, _, base = file.rpartition("delegations/")
                encoded = os.path.join(folder + "delegations", urllib.parse.quote(base[:-5], safe="") + ".json") if "delegations/" in file else file
                target = self.path / name / encoded
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)

    def run(self, *arguments, json_output=False):
        self.write()
        command = [UPTANECTL, *(["--json"] if json_output else []), "verify"]
        for name in ("director", "image"):
            command += ["--" + name, str(self.path / name), "--root-" + name, str(self.path / (name + ".root.json"))]
        return subprocess.run(command + list(arguments), capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path)


def lines(run):
    return [" ".join(line.split()[:3]) for line in run.stdout.splitlines()]


def test_good_folders_have_a_line_per_check_and_need_no_bus(folders):
    run = folders.run()
    assert run.returncode == 0 and not run.stderr, run
    assert lines(run) == [
        "ok director trusted", "ok director timestamp", "ok director snapshot", "ok director targets", "ok image trusted",
        "ok image timestamp", "ok image snapshot", "ok image targets", "ok director assignments", "ok image role", "ok ecu B1"]
    assert "'tier1/brakes'" in run.stdout and "'brakes/2.bin', 10 bytes, for 'brake-ecu'" in run.stdout


def test_json_says_the_same(folders):
    result = json.loads(folders.run(json_output=True).stdout)
    assert result["ok"] is True and len(result["checks"]) == 11 and all(check["ok"] for check in result["checks"])
    folders.image.edit("snapshot", lambda signed: None, keys=[Key()])
    run = folders.run(json_output=True)
    result = json.loads(run.stdout)
    assert run.returncode == 22 and result["ok"] is False
    assert result["checks"][-1]["check"] == "image snapshot" and result["checks"][-1]["error"] == "org.uptane.Error.SignatureThreshold"


@pytest.mark.parametrize("repository", ["director", "image"])
@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_the_first_file_that_is_not_good_is_named(folders, repository, role):
    getattr(folders, repository).edit(role, lambda signed: signed.update(expires=after(days=-1)))
    run = folders.run()
    assert run.returncode == 24
    assert lines(run)[-1] == "BAD %s %s" % (repository, role) and "expired at" in run.stdout.splitlines()[-1]
    assert "MetadataExpired" not in run.stdout and "re-sign" in run.stderr


def test_a_rotated_root_must_follow_the_one_that_vehicles_trust(folders):
    folders.image.rotate("root", "targets")
    assert "ok image root" in lines(folders.run())
    folders.image.files["3.root.json"] = folders.image.files["2.root.json"]
    run = folders.run()
    assert run.returncode == 23 and lines(run)[-1] == "BAD image root"


def test_a_time_can_be_given(folders):
    assert folders.run("--time", "2099-01-01T00:00:00Z").returncode == 24
    assert folders.run("--time", "4070908800").returncode == 24
    assert folders.run("--time", "yesterday").returncode == 76


def test_the_ecus_of_the_vehicle_can_be_given(folders):
    assert folders.run("--ecu", "P1:board", "--ecu", "B1:brake-ecu").returncode == 0
    assert folders.run("--ecu", "P1:board").returncode == 28
    assert folders.run("--ecu", "B1:other").returncode == 29
    assert folders.run("--ecu", "B1").returncode == 76


def test_an_image_that_the_image_repository_does_not_know_is_named(folders):
    folders.supplier.targets.clear()
    folders.image.publish()
    run = folders.run()
    assert run.returncode == 27 and lines(run)[-1] == "BAD ecu B1"


def test_wrong_arguments_are_said(folders):
    run = subprocess.run([UPTANECTL, "verify", "--director", "x"], capture_output=True, text=True, check=False)
    assert run.returncode == 76 and "--root-director" in run.stderr
    run = folders.run("--colour", "red")
    assert run.returncode == 76
