# SPDX-License-Identifier: Apache-2.0
"""T-38: images beyond 2 and 4 GiB. What is there of one already is a sparse file, so that only its end has to be sent."""
import hashlib
import os

import pytest
from vehicle import wait_for

END = 8192
BLOCK = bytes(4 << 20)


class Large:
    """Zeros, and then an end; as much of it as is asked for."""

    def __init__(self, size, end):
        self.size, self.end = size, end

    def __len__(self):
        return self.size

    def __getitem__(self, key):
        assert key.start >= self.size - len(self.end) and key.stop is None, "more was asked for than was missing"
        return self.end[key.start - (self.size - len(self.end)):]

    def sha256(self):
        digest, zeros = hashlib.sha256(), self.size - len(self.end)
        for _ in range(zeros // len(BLOCK)):
            digest.update(BLOCK)
        digest.update(BLOCK[:zeros % len(BLOCK)] + self.end)
        return digest.hexdigest()


@pytest.mark.world(config="[update]\nconsent-install = ask\n[timeouts]\nimage = 60\n")
@pytest.mark.parametrize("gib,spoilt", [(2, None), (4, None), (4, "first byte"), (4, "last byte")])
def test_t38_a_resumed_image_beyond_the_limits_of_32_bits_is_hashed_as_a_whole(world, gib, spoilt):
    v = world.vehicle
    v.boot()
    v.wait_state("idle")
    large = Large((gib << 30) + 4096 + END, os.urandom(END))
    digest = large.sha256()
    world.backend.image.target("large.bin", length=len(large), digests={"sha256": digest}, hardwareIds=["test-mcu"], targetFormat="BINARY")
    world.backend.image.publish()
    if spoilt == "last byte":
        large.end = large.end[:-1] + bytes([large.end[-1] ^ 1])
    world.backend.images["large.bin"] = large
    os.makedirs(v.path("state", "images"), exist_ok=True)
    with open(v.path("state", "images", digest + ".part"), "wb") as f:
        if spoilt == "first byte":
            f.write(b"\x01")
        f.truncate(len(large) - END)
    world.assign(firmware=("large.bin", world.backend.image.targets["large.bin"]))
    world.backend.log.clear()
    v.verb("CheckForUpdates")
    if spoilt:
        wait_for(lambda: v.error()[0], lambda: "an error; state %s" % v.state(), 120)
        assert v.error()[0] == "ImageMismatch", v.error()
        assert not os.path.exists(v.path("state", "images", digest))
    else:
        v.wait_state("awaiting-consent", seconds=120)
        assert v.error() == ("", "")
        assert os.path.getsize(v.path("state", "images", digest)) == len(large)
    assert len(world.backend.requests("targets/large.bin")) == 1
    world.director.clear()
