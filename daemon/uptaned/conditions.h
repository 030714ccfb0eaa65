/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_CONDITIONS_H
#define UPTANED_CONDITIONS_H

/*
 * When a stage of an update may begin: named conditions of the configuration, as services of the vehicle tell them
 * (SetCondition), and inhibitors, held by peers on the bus (Inhibit). What follows for each stage is handed to the engine,
 * and nothing else. Nothing is remembered: a condition nobody has told since the start does not hold.
 */
#include "uptaned/manager.h"

#define INHIBITORS_MAX 32
#define INHIBITOR_TEXT_MAX 128 /* of who and why */

Conditions *conditions_new(Manager *m) __attribute__((nonnull, returns_nonnull));
Conditions *conditions_free(Conditions *c);

/* valid_usec: for how long it holds; 0: until something else is said. ERR_INVALID_ARGUMENT if nothing waits for one of this name. */
int conditions_set(Conditions *c, const char *name, bool satisfied, uint64_t valid_usec, Error *error) __attribute__((nonnull, warn_unused_result));
/*
 * The sender of message holds these stages back, until it closes its end of *ret_fd (the caller closes its own behind the
 * answer) or leaves the bus. what: "download", "install", "reboot", several with ':' between.
 */
int conditions_inhibit(Conditions *c, sd_bus_message *message, const char *what, const char *who, const char *why, int *ret_fd,
                       Error *error) __attribute__((nonnull, warn_unused_result));

/* Append the properties: Conditions a{sb}, Inhibitors a(sss), WaitingFor as. A negative errno if that fails. */
int conditions_append(const Conditions *c, sd_bus_message *reply) __attribute__((nonnull));
int conditions_append_inhibitors(const Conditions *c, sd_bus_message *reply) __attribute__((nonnull));
int conditions_append_waiting(const Conditions *c, int64_t now, sd_bus_message *reply) __attribute__((nonnull));

#endif
