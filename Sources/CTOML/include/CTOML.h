// TOML by toml++ (libtomlplusplus-dev, header-only), behind a C face: a document is one flat
// array of entries in depth-first order, so that the caller needs neither C++ nor recursion.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    ctoml_kind_table,
    ctoml_kind_array,
    ctoml_kind_string,
    ctoml_kind_integer,
    ctoml_kind_number,
    ctoml_kind_boolean,
    ctoml_kind_date_or_time
} ctoml_kind;

// Lines and columns count from 1; columns count Unicode scalars.
typedef struct {
    uint32_t line;
    uint32_t column;
} ctoml_position;

// One table, array or value. Pointers live as long as the document.
typedef struct {
    // Number of tables and arrays around this entry; the root table has 0.
    uint32_t depth;
    ctoml_kind kind;
    // The key in the enclosing table, UTF-8, not terminated; empty for array elements and the root.
    const char *key;
    size_t key_count;
    // The text of a string, or of a date or time as written in RFC 3339.
    const char *text;
    size_t text_count;
    int64_t integer;
    double number;
    bool boolean;
    // Where the key stands (for array elements: the value).
    ctoml_position position;
} ctoml_entry;

typedef struct ctoml_document ctoml_document;

// Parses `count` bytes of UTF-8. NULL only when there is no memory. To be freed by ctoml_free.
ctoml_document *ctoml_parse(const char *bytes, size_t count);
void ctoml_free(ctoml_document *document);

// NULL when the text is well-formed; else what is wrong, and where.
const char *ctoml_error(const ctoml_document *document, ctoml_position *position);

size_t ctoml_entry_count(const ctoml_document *document);
const ctoml_entry *ctoml_entry_at(const ctoml_document *document, size_t index);

#ifdef __cplusplus
}
#endif
