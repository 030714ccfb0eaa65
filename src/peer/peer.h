/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PEER_PEER_H
#define PEER_PEER_H

/*
 * D-Bus without a bus: sd-bus point to point over a UNIX stream socket, between the daemon and its helper programs.
 *
 * The daemon's side connects and never waits. A helper's side serves one object on the socket it was started with
 * (systemd socket activation, Accept=yes) until the other side closes. Errors cross as D-Bus error names by error.def.
 */
#include <stdbool.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/error.h"
#include "base/mem.h"

typedef struct Peer Peer;

/* The daemon's side; the local signal Connected says when the other has let it in. ERR_HELPER if nobody listens at socket_path. */
int peer_connect(sd_event *event, const char *socket_path, Peer **ret, Error *error) __attribute__((nonnull, warn_unused_result));
Peer *peer_free(Peer *peer);
DEFINE_CLEANUP(Peer, peer_free)
/* Borrowed. */
sd_bus *peer_bus(Peer *peer) __attribute__((nonnull, returns_nonnull));
/* What an error reply says, by its name; a name not in error.def, or a lost connection, is ERR_HELPER. Returns -1. */
int peer_error_from_message(sd_bus_message *reply, Error *error) __attribute__((nonnull));

/*
 * A helper's side: serves vtable at path on the one passed socket, one call after the other; returns 0 when the other
 * side has closed. ERR_HELPER if there is no such socket. userdata goes to the methods.
 */
int peer_serve(const char *path, const char *interface, const sd_bus_vtable *vtable, void *userdata, Error *error)
        __attribute__((nonnull(1, 2, 3, 5), warn_unused_result));
/* Path of one of systemd's LoadCredential=, or NULL without any; free() it. One that was not loaded is missed when it is needed. */
char *peer_credential(const char *name) __attribute__((nonnull));
/* text with a '?' for what is no UTF-8, which D-Bus does not carry; free() it. */
char *peer_utf8(const char *text) __attribute__((nonnull, returns_nonnull, warn_unused_result));
/* For a method: turns an Error into the reply's; return its result from the method. */
int peer_error_reply(const Error *error, sd_bus_error *ret) __attribute__((nonnull));
/* Emits signal Progress(t done, t total) to whoever sent call, at most ten times a second unless done == total. */
void peer_progress(sd_bus_message *call, uint64_t done, uint64_t total) __attribute__((nonnull));
/* Signal Step(s what, t done, t total): what is done in words, and to how many things. As often as this is called. */
void peer_step(sd_bus_message *call, const char *what, uint64_t done, uint64_t total) __attribute__((nonnull));
/* Whether the other side has gone: long work asks this between its steps. Consumes nothing. */
bool peer_gone(sd_bus_message *call) __attribute__((nonnull));

#endif
