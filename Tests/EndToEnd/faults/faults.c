// A disk, a clock and a power switch that a test holds: preloaded into a program (LD_PRELOAD), it
// counts the program's writes, syncs, sends and receives, and dies or fails where the shared words
// say so. faults.py compiles it and holds the other end; nothing of it is in any program we ship.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

// The shared words; faults.py names them in the same order.
struct words {
    atomic_int kill_at;      // dies at this event, counted from 1; 0: never
    atomic_int events;       // events that were counted
    atomic_int kinds;        // which events count: the bits below
    atomic_int moment;       // 0 before the event, 1 after it, 2 in its middle (half a write)
    atomic_int power;        // 1: what was not synced is lost in part, as at a power cut
    atomic_int seed;         // of what is lost
    atomic_int sync_fails;   // the next so many syncs fail; -1: all
    atomic_int sync_error;
    atomic_int write_fails;  // the next so many writes to files fail; -1: all
    atomic_int write_error;
    atomic_int clock_offset; // seconds that CLOCK_REALTIME is wrong
    atomic_int syncs, writes, bytes; // what was done to files so far
};
enum { WRITE = 1, SYNC = 2, SEND = 4, RECEIVE = 8 };

static struct words none, *words = &none;

// What a write overwrote, until its file is synced.
struct undo {
    struct undo *next;
    int descriptor;
    ino_t file;
    off_t offset;
    size_t length;
    unsigned char old[];
};
static struct undo *undos;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FLEET_TEST_FAULTS");
    if (path == NULL) return;
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) return;
    void *memory = mmap(NULL, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (memory != MAP_FAILED) words = memory;
}

static void forget(ino_t file) {
    pthread_mutex_lock(&lock);
    for (struct undo **link = &undos; *link != NULL;) {
        struct undo *entry = *link;
        if (entry->file != file) {
            link = &entry->next;
            continue;
        }
        *link = entry->next;
        free(entry);
    }
    pthread_mutex_unlock(&lock);
}

static void remember(int descriptor, ino_t file, off_t offset, size_t length) {
    struct undo *entry = calloc(1, sizeof *entry + length);
    if (entry == NULL) return;
    entry->descriptor = descriptor;
    entry->file = file;
    entry->offset = offset;
    entry->length = length;
    if (syscall(SYS_pread64, descriptor, entry->old, length, offset) < 0) {
        // A file that may only be written: what is lost of it reads as zeros.
        memset(entry->old, 0, length);
    }
    pthread_mutex_lock(&lock);
    entry->next = undos;
    undos = entry;
    pthread_mutex_unlock(&lock);
}

// Each sector that was written and not synced is as it was before, or as it became: by chance.
static void lose_what_was_not_synced(void) {
    unsigned int seed = (unsigned int)atomic_load(&words->seed);
    for (struct undo *entry = undos; entry != NULL; entry = entry->next) {
        for (size_t from = 0; from < entry->length;) {
            size_t end = from + 512 - (size_t)((entry->offset + (off_t)from) % 512);
            if (end > entry->length) end = entry->length;
            if (rand_r(&seed) & 1) {
                syscall(SYS_pwrite64, entry->descriptor, entry->old + from, end - from,
                        entry->offset + (off_t)from);
            }
            from = end;
        }
    }
}

static void die(void) {
    // The lock is kept: no other thread writes any more.
    if (atomic_load(&words->power)) {
        pthread_mutex_lock(&lock);
        lose_what_was_not_synced();
    }
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

// Whether the program must die at this event.
static int is_last(int kind) {
    if (!(atomic_load(&words->kinds) & kind)) return 0;
    return atomic_fetch_add(&words->events, 1) + 1 == atomic_load(&words->kill_at);
}

static int moment(void) { return atomic_load(&words->moment); }

static int takes_failure(atomic_int *left) {
    int count = atomic_load(left);
    if (count == 0) return 0;
    if (count > 0) atomic_fetch_sub(left, 1);
    return 1;
}

static mode_t type_of(int descriptor, ino_t *file) {
    struct stat status;
    if (syscall(SYS_newfstatat, descriptor, "", &status, AT_EMPTY_PATH) != 0) return 0;
    if (file != NULL) *file = status.st_ino;
    return status.st_mode & S_IFMT;
}

static ssize_t write_file(int descriptor, ino_t file, const void *bytes, size_t count, off_t at) {
    int last = is_last(WRITE);
    if (last && moment() == 0) die();
    if (takes_failure(&words->write_fails)) {
        errno = atomic_load(&words->write_error);
        return -1;
    }
    if (atomic_load(&words->power)) remember(descriptor, file, at, count);
    if (last && moment() == 2) count = (count + 1) / 2;
    ssize_t done = syscall(SYS_pwrite64, descriptor, bytes, count, at);
    atomic_fetch_add(&words->writes, 1);
    if (done > 0) atomic_fetch_add(&words->bytes, (int)done);
    if (last) die();
    return done;
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off_t at) {
    ino_t file = 0;
    if (type_of(descriptor, &file) != S_IFREG) {
        return syscall(SYS_pwrite64, descriptor, bytes, count, at);
    }
    return write_file(descriptor, file, bytes, count, at);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t at) {
    return pwrite64(descriptor, bytes, count, at);
}

static int synchronize(long call, int descriptor) {
    ino_t file = 0;
    mode_t type = type_of(descriptor, &file);
    int last = is_last(SYNC);
    if (last && moment() == 0) die();
    if (takes_failure(&words->sync_fails)) {
        errno = atomic_load(&words->sync_error);
        return -1;
    }
    int status = (int)syscall(call, descriptor);
    if (status == 0 && type == S_IFREG) forget(file);
    atomic_fetch_add(&words->syncs, 1);
    if (last) die();
    return status;
}

int fsync(int descriptor) { return synchronize(SYS_fsync, descriptor); }

int fdatasync(int descriptor) { return synchronize(SYS_fdatasync, descriptor); }

ssize_t write(int descriptor, const void *bytes, size_t count) {
    ino_t file = 0;
    mode_t type = type_of(descriptor, &file);
    if (type == S_IFREG) {
        off_t at = lseek(descriptor, 0, SEEK_CUR);
        ssize_t done = write_file(descriptor, file, bytes, count, at);
        if (done > 0) lseek(descriptor, at + done, SEEK_SET);
        return done;
    }
    int last = type == S_IFSOCK && is_last(SEND);
    if (last && moment() == 0) die();
    ssize_t done = syscall(SYS_write, descriptor, bytes, count);
    if (last) die();
    return done;
}

static void at_socket(int kind, int is_after) {
    static _Thread_local int last;
    if (!is_after) last = is_last(kind);
    if (last && moment() == is_after) die();
}

ssize_t send(int descriptor, const void *bytes, size_t count, int flags) {
    at_socket(SEND, 0);
    ssize_t done = syscall(SYS_sendto, descriptor, bytes, count, flags, NULL, 0);
    at_socket(SEND, 1);
    return done;
}

ssize_t sendmsg(int descriptor, const struct msghdr *message, int flags) {
    at_socket(SEND, 0);
    ssize_t done = syscall(SYS_sendmsg, descriptor, message, flags);
    at_socket(SEND, 1);
    return done;
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    at_socket(SEND, 0);
    ssize_t done = syscall(SYS_writev, descriptor, parts, count);
    at_socket(SEND, 1);
    return done;
}

ssize_t read(int descriptor, void *bytes, size_t count) {
    int is_socket = type_of(descriptor, NULL) == S_IFSOCK;
    if (is_socket) at_socket(RECEIVE, 0);
    ssize_t done = syscall(SYS_read, descriptor, bytes, count);
    if (is_socket && done > 0) at_socket(RECEIVE, 1);
    return done;
}

ssize_t recv(int descriptor, void *bytes, size_t count, int flags) {
    at_socket(RECEIVE, 0);
    ssize_t done = syscall(SYS_recvfrom, descriptor, bytes, count, flags, NULL, NULL);
    if (done > 0) at_socket(RECEIVE, 1);
    return done;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int status = (int)syscall(SYS_clock_gettime, clock, time);
    if (status == 0 && clock == CLOCK_REALTIME) time->tv_sec += atomic_load(&words->clock_offset);
    return status;
}
