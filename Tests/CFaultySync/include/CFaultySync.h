// A disk whose fsync(2) fails: this program's own fsync and fdatasync take the place of the C library's
// also for libsqlite3.
#pragma once

// From now on this many calls fail with EIO; a negative number: all.
void faulty_sync_fail_next(int count);
// Calls since the program began.
int faulty_sync_calls(void);
