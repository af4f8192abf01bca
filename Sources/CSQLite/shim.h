#include <sqlite3.h>

// sqlite3_config(3) takes what the option says, which Swift cannot call.
//
// A page cache takes pages as it needs them and not twenty at once, before the first one is read.
static inline int fleet_sqlite_without_page_reserve(void) {
    return sqlite3_config(SQLITE_CONFIG_PAGECACHE, (void *)0, 0, 0);
}
