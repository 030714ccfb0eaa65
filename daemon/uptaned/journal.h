/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_JOURNAL_H
#define UPTANED_JOURNAL_H

/* MESSAGE_ID= of the journal entries an integrator waits for; config/uptane.catalog explains each to the reader. */
#define MESSAGE_CYCLE_FAILED "5d6c1b5f0a8e4f0f9b1d3f6a2c7e9041"
#define MESSAGE_ATTACK_DETECTED "e0a4f3b1c2d94c7b8f5a6d1e3b7c9f02"
#define MESSAGE_UPDATE_OFFERED "3f9b2c8d7e6a4b51a0c4d9e8f7b61203"
#define MESSAGE_UPDATE_FINISHED "b7d1e5a93c0f4d268e7b4a1c5f9d3e04"
#define MESSAGE_REBOOT_REQUESTED "91c7f0e4b8a24d3d9e6f5b2a7c1d8e05"
#define MESSAGE_CLOCK_BEHIND "c4e8a1d7f5b34960b2d9e3f7a6c50d06"
#define MESSAGE_DATABASE_DAMAGED "6a2f9d4e1b7c4c83a5e0f8d3b9c72e07"
#define MESSAGE_ECUS_CHANGED "d2b85e0c9f6147a3b3c1e7f04a9d6b08"

#endif
