/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANECTL_BARS_H
#define UPTANECTL_BARS_H

/*
 * On a terminal: one line for the vehicle and one per ECU, with state and a bar, below everything that is printed. Whoever prints a line clears the
 * bars before and draws them again behind it. Never wider than the terminal, and never higher.
 */
typedef struct Bars Bars;

Bars *bars_new(void) __attribute__((returns_nonnull));
Bars *bars_free(Bars *bars);
/* A property of this ECU, its value as JSON. Those that no bar shows are passed over. */
void bars_take(Bars *bars, const char *label, const char *property, const char *value) __attribute__((nonnull));
void bars_clear(Bars *bars) __attribute__((nonnull));
void bars_draw(Bars *bars) __attribute__((nonnull));

#endif
