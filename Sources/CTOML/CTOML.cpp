#include "CTOML.h"

#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_UNRELEASED_FEATURES 0
// Arrays and inline tables within each other; the parser recurses for each.
#define TOML_MAX_NESTED_VALUES 32
#include <toml++/toml.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace {

// Dotted keys nest tables without a limit of toml++'s, and its tables free each other recursively;
// this keeps a hostile line from running out of stack.
constexpr size_t maximum_dots_in_a_line = 256;

}  // namespace

struct ctoml_document {
    toml::table root;
    std::vector<ctoml_entry> entries;
    // Text of dates and times; a deque, because entries point at its strings.
    std::deque<std::string> texts;
    std::string error;
    ctoml_position error_position{};
    bool failed = false;

    void fail(std::string_view what, ctoml_position position) {
        error.assign(what);
        error_position = position;
        failed = true;
    }

    bool dots_within_limit(std::string_view text) {
        size_t dots = 0;
        uint32_t line = 1;
        for (char byte : text) {
            if (byte == '\n') {
                dots = 0;
                line += 1;
            } else if (byte == '.') {
                dots += 1;
                if (dots > maximum_dots_in_a_line) {
                    fail("a line with more than 256 dots", {line, 1});
                    return false;
                }
            }
        }
        return true;
    }

    static ctoml_position position_of(const toml::source_region &region) {
        return {region.begin.line, region.begin.column};
    }

    std::string_view keep(std::string text) {
        return texts.emplace_back(std::move(text));
    }

    static std::string format(const toml::date &date) {
        char buffer[24];
        std::snprintf(buffer, sizeof buffer, "%04u-%02u-%02u", unsigned(date.year),
                      unsigned(date.month), unsigned(date.day));
        return buffer;
    }

    static std::string format(const toml::time &time) {
        char buffer[32];
        std::snprintf(buffer, sizeof buffer, "%02u:%02u:%02u.%09u", unsigned(time.hour),
                      unsigned(time.minute), unsigned(time.second), unsigned(time.nanosecond));
        return buffer;
    }

    static std::string format(const toml::date_time &value) {
        std::string text = format(value.date) + "T" + format(value.time);
        if (!value.offset) return text;
        char buffer[16];
        int minutes = value.offset->minutes;
        int size = minutes < 0 ? -minutes : minutes;
        std::snprintf(buffer, sizeof buffer, "%c%02d:%02d", minutes < 0 ? '-' : '+',
                      size / 60 % 100, size % 60);
        return text + buffer;
    }

    void add(const toml::node &node, uint32_t depth, std::string_view key, ctoml_position position) {
        ctoml_entry entry{};
        entry.depth = depth;
        entry.key = key.data();
        entry.key_count = key.size();
        entry.position = position;
        std::string_view text;
        switch (node.type()) {
            case toml::node_type::table:
                entry.kind = ctoml_kind_table;
                entries.push_back(entry);
                add_members(*node.as_table(), depth + 1);
                return;
            case toml::node_type::array:
                entry.kind = ctoml_kind_array;
                entries.push_back(entry);
                for (auto &&element : *node.as_array()) {
                    add(element, depth + 1, {}, position_of(element.source()));
                }
                return;
            case toml::node_type::string:
                entry.kind = ctoml_kind_string;
                text = node.as_string()->get();
                break;
            case toml::node_type::integer:
                entry.kind = ctoml_kind_integer;
                entry.integer = node.as_integer()->get();
                break;
            case toml::node_type::floating_point:
                entry.kind = ctoml_kind_number;
                entry.number = node.as_floating_point()->get();
                break;
            case toml::node_type::boolean:
                entry.kind = ctoml_kind_boolean;
                entry.boolean = node.as_boolean()->get();
                break;
            case toml::node_type::date:
                entry.kind = ctoml_kind_date_or_time;
                text = keep(format(node.as_date()->get()));
                break;
            case toml::node_type::time:
                entry.kind = ctoml_kind_date_or_time;
                text = keep(format(node.as_time()->get()));
                break;
            case toml::node_type::date_time:
                entry.kind = ctoml_kind_date_or_time;
                text = keep(format(node.as_date_time()->get()));
                break;
            default:
                return;
        }
        entry.text = text.data();
        entry.text_count = text.size();
        entries.push_back(entry);
    }

    // In the order of the file: toml++ sorts by name, which would shuffle what people wrote.
    void add_members(const toml::table &table, uint32_t depth) {
        struct member {
            const toml::key *key;
            const toml::node *node;
        };
        std::vector<member> members;
        members.reserve(table.size());
        for (auto &&[key, node] : table) members.push_back({&key, &node});
        std::stable_sort(members.begin(), members.end(), [](const member &a, const member &b) {
            return a.key->source().begin < b.key->source().begin;
        });
        for (const member &each : members) {
            add(*each.node, depth, each.key->str(), position_of(each.key->source()));
        }
    }
};

extern "C" ctoml_document *ctoml_parse(const char *bytes, size_t count) {
    auto *document = new (std::nothrow) ctoml_document();
    if (!document) return nullptr;
    std::string_view text(bytes, count);
    if (!document->dots_within_limit(text)) return document;
    toml::parse_result result = toml::parse(text);
    if (!result) {
        const toml::parse_error &error = result.error();
        document->fail(error.description(), ctoml_document::position_of(error.source()));
        return document;
    }
    document->root = std::move(result).table();
    document->add(document->root, 0, {}, {1, 1});
    return document;
}

extern "C" void ctoml_free(ctoml_document *document) { delete document; }

extern "C" const char *ctoml_error(const ctoml_document *document, ctoml_position *position) {
    if (!document->failed) return nullptr;
    *position = document->error_position;
    return document->error.c_str();
}

extern "C" size_t ctoml_entry_count(const ctoml_document *document) {
    return document->entries.size();
}

extern "C" const ctoml_entry *ctoml_entry_at(const ctoml_document *document, size_t index) {
    return index < document->entries.size() ? &document->entries[index] : nullptr;
}
