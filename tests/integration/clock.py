# SPDX-License-Identifier: Apache-2.0
"""A clock of one program of a vehicle that a test can set, while the program runs."""
import calendar
import os
import time

DAY = 86400


class Clock:
    """
    Made before the vehicle boots; folder is that of the program below daemon/. instead: its name there if it is another, for what
    is linked statically cannot be told the time.
    """

    def __init__(self, vehicle, program="uptaned", folder="uptaned", instead=None):
        self.path = vehicle.path("clock-" + program)
        self.set(0)
        # in a build with a sanitizer the preloaded library comes before its runtime
        vehicle.wrap[program] = ["env", "LD_PRELOAD=/run/build/tests/integration/libtest-clock.so", "TEST_CLOCK=" + self.path,
                                 "ASAN_OPTIONS=verify_asan_link_order=0:%s" % os.environ.get("ASAN_OPTIONS", ""),
                                 "/run/build/daemon/%s/%s" % (folder, instead or program)]

    def set(self, ahead):
        """So many seconds ahead of the real one; in one step, for the program may look at any moment."""
        with open(self.path + ".new", "w", encoding="ascii") as f:
            f.write("%d\n" % ahead)
        os.rename(self.path + ".new", self.path)

    def set_year(self, year):
        self.set(calendar.timegm((year, 1, 1, 0, 0, 0)) - int(time.time()))
