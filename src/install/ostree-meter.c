/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libostree neither limits its speed nor tells it more often than once a second. But it fetches in this thread's main loop: while
 * that stands still, nothing is read, and TCP holds the server back. What has arrived, the kernel says for each connection.
 */
#include "install/ostree-private.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define FDS 256
#define WINDOW (64 * 1024) /* of a connection: what arrives while nobody reads */
#define NAP 20000          /* usec */
#define CREDIT 1000000     /* usec: so much that was not used is not lost */

struct InstallMeter {
        uint64_t max_speed;
        uint64_t seen[FDS]; /* bytes of the connection that has this descriptor */
        uint64_t total;
        gint64 begun;
};

InstallMeter *install_meter_new(uint64_t max_speed)
{
        InstallMeter *meter = xcalloc(1, sizeof *meter);

        meter->max_speed = max_speed;
        meter->begun = g_get_monotonic_time();
        return meter;
}

InstallMeter *install_meter_free(InstallMeter *meter)
{
        free(meter);
        return NULL;
}

static void count(InstallMeter *meter, int fd)
{
        static const int window = WINDOW;
        struct tcp_info info = { 0 };
        socklen_t size = sizeof info;

        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0) {
                meter->seen[fd] = 0;
                return;
        }
        if (info.tcpi_bytes_received < meter->seen[fd] || meter->seen[fd] == 0) { /* another one than before */
                meter->seen[fd] = 0;
                (void) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
        }
        meter->total += info.tcpi_bytes_received - meter->seen[fd];
        meter->seen[fd] = info.tcpi_bytes_received;
}

/* usec until as much time has passed as what arrived should have taken. */
static gint64 ahead(InstallMeter *meter)
{
        gint64 due, now = g_get_monotonic_time();

        for (int fd = 3; fd < FDS; fd++)
                count(meter, fd);
        due = meter->begun + (gint64) ((double) meter->total * 1e6 / (double) meter->max_speed);
        if (due < now - CREDIT)
                meter->begun += now - CREDIT - due;
        return due - now;
}

void install_meter_hold(InstallMeter *meter, const InstallWatch *watch)
{
        while (meter->max_speed > 0 && ahead(meter) > 0 && !watch->cancelled(watch->userdata))
                g_usleep(NAP);
}
