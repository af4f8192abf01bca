#define _GNU_SOURCE
#include "CFaultySync.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int failing;
static atomic_int calls;

void faulty_sync_fail_next(int count) { atomic_store(&failing, count); }

int faulty_sync_calls(void) { return atomic_load(&calls); }

static int synchronize(long call, int descriptor) {
    atomic_fetch_add(&calls, 1);
    int left = atomic_load(&failing);
    if (left != 0) {
        if (left > 0) atomic_fetch_sub(&failing, 1);
        errno = EIO;
        return -1;
    }
    return (int)syscall(call, descriptor);
}

__attribute__((visibility("default"))) int fsync(int descriptor) {
    return synchronize(SYS_fsync, descriptor);
}

__attribute__((visibility("default"))) int fdatasync(int descriptor) {
    return synchronize(SYS_fdatasync, descriptor);
}
