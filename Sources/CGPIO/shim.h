// One face over the two APIs of libgpiod: 1.6 (Debian 12) and 2.x (Debian 13, Raspberry Pi OS).
// Which one is compiled is decided by the installed header; only 1.x has line bulks.
#pragma once

#include <dirent.h>
#include <errno.h>
#include <gpiod.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef GPIOD_LINE_BULK_MAX_LINES
#define FLEET_GPIO_API 1
#else
#define FLEET_GPIO_API 2
#endif

enum fleet_gpio_bias {
    FLEET_GPIO_BIAS_AS_IS,
    FLEET_GPIO_BIAS_DISABLED,
    FLEET_GPIO_BIAS_PULL_UP,
    FLEET_GPIO_BIAS_PULL_DOWN,
};

struct fleet_gpio_request {
    const char *chip;      // name, label or path; NULL: the line is looked for on all chips
    const char *line_name; // NULL: offset counts
    unsigned int offset;
    bool active_low;
    bool rising;
    bool falling;
    enum fleet_gpio_bias bias;
    const char *consumer;
};

struct fleet_gpio_event {
    bool rising;
    uint64_t nanoseconds;
    uint64_t sequence; // 0: the API gives none
};

#define FLEET_GPIO_EVENTS 16
#define FLEET_GPIO_CONSUMER 32

#if FLEET_GPIO_API == 1

struct fleet_gpio {
    struct gpiod_chip *chip;
    struct gpiod_line *line;
    bool has_edges;
};

static inline void fleet_gpio_close(struct fleet_gpio *gpio) {
    // Closing the chip releases its lines.
    if (gpio->chip)
        gpiod_chip_close(gpio->chip);
    free(gpio);
}

static inline int fleet_gpio_find_(
    struct fleet_gpio *gpio, const struct fleet_gpio_request *request) {
    if (!request->chip) {
        gpio->line = gpiod_line_find(request->line_name);
        if (!gpio->line)
            return errno ? errno : ENOENT;
        gpio->chip = gpiod_line_get_chip(gpio->line);
        return 0;
    }
    gpio->chip = gpiod_chip_open_lookup(request->chip);
    if (!gpio->chip)
        return errno ? errno : ENODEV;
    gpio->line = request->line_name ? gpiod_chip_find_line(gpio->chip, request->line_name)
                                    : gpiod_chip_get_line(gpio->chip, request->offset);
    return gpio->line ? 0 : errno ? errno : ENOENT;
}

static inline int fleet_gpio_request_(
    struct fleet_gpio *gpio, const struct fleet_gpio_request *request) {
    int flags = request->active_low ? GPIOD_LINE_REQUEST_FLAG_ACTIVE_LOW : 0;
    switch (request->bias) {
    case FLEET_GPIO_BIAS_AS_IS: break;
    case FLEET_GPIO_BIAS_DISABLED: flags |= GPIOD_LINE_REQUEST_FLAG_BIAS_DISABLE; break;
    case FLEET_GPIO_BIAS_PULL_UP: flags |= GPIOD_LINE_REQUEST_FLAG_BIAS_PULL_UP; break;
    case FLEET_GPIO_BIAS_PULL_DOWN: flags |= GPIOD_LINE_REQUEST_FLAG_BIAS_PULL_DOWN; break;
    }
    gpio->has_edges = request->rising || request->falling;
    if (request->rising && request->falling)
        return gpiod_line_request_both_edges_events_flags(gpio->line, request->consumer, flags);
    if (request->rising)
        return gpiod_line_request_rising_edge_events_flags(gpio->line, request->consumer, flags);
    if (request->falling)
        return gpiod_line_request_falling_edge_events_flags(gpio->line, request->consumer, flags);
    return gpiod_line_request_input_flags(gpio->line, request->consumer, flags);
}

// 0 and *out, or an errno; EBUSY: `holder` then names who holds the line, as far as is known.
static inline int fleet_gpio_open(
    const struct fleet_gpio_request *request, struct fleet_gpio **out,
    char holder[FLEET_GPIO_CONSUMER]) {
    holder[0] = 0;
    struct fleet_gpio *gpio = (struct fleet_gpio *)calloc(1, sizeof *gpio);
    if (!gpio)
        return ENOMEM;
    errno = 0;
    int code = fleet_gpio_find_(gpio, request);
    if (code == 0 && fleet_gpio_request_(gpio, request) < 0) {
        code = errno ? errno : EIO;
        const char *consumer = code == EBUSY ? gpiod_line_consumer(gpio->line) : NULL;
        if (consumer)
            snprintf(holder, FLEET_GPIO_CONSUMER, "%s", consumer);
    }
    if (code != 0) {
        fleet_gpio_close(gpio);
        return code;
    }
    *out = gpio;
    return 0;
}

// The descriptor that turns readable with edges; the library's own, never to be closed. -1: none.
static inline int fleet_gpio_fd(struct fleet_gpio *gpio) {
    return gpio->has_edges ? gpiod_line_event_get_fd(gpio->line) : -1;
}

// 0 or 1, or -1 and errno.
static inline int fleet_gpio_value(struct fleet_gpio *gpio) {
    return gpiod_line_get_value(gpio->line);
}

// Up to FLEET_GPIO_EVENTS waiting edges, at least one (blocks without), or -1 and errno.
static inline int fleet_gpio_read(
    struct fleet_gpio *gpio, struct fleet_gpio_event events[FLEET_GPIO_EVENTS]) {
    struct gpiod_line_event raw[FLEET_GPIO_EVENTS];
    int count = gpiod_line_event_read_multiple(gpio->line, raw, FLEET_GPIO_EVENTS);
    for (int i = 0; i < count; i++) {
        events[i].rising = raw[i].event_type == GPIOD_LINE_EVENT_RISING_EDGE;
        events[i].nanoseconds =
            (uint64_t)raw[i].ts.tv_sec * 1000000000u + (uint64_t)raw[i].ts.tv_nsec;
        events[i].sequence = 0;
    }
    return count;
}

#else

struct fleet_gpio {
    struct gpiod_chip *chip;
    struct gpiod_line_request *request;
    struct gpiod_edge_event_buffer *buffer; // NULL: no edges were asked for
    unsigned int offset;
};

static inline void fleet_gpio_close(struct fleet_gpio *gpio) {
    if (gpio->buffer)
        gpiod_edge_event_buffer_free(gpio->buffer);
    if (gpio->request)
        gpiod_line_request_release(gpio->request);
    if (gpio->chip)
        gpiod_chip_close(gpio->chip);
    free(gpio);
}

static inline bool fleet_gpio_is_(struct gpiod_chip *chip, const char *path, const char *wanted) {
    if (strcmp(path, wanted) == 0)
        return true;
    struct gpiod_chip_info *info = gpiod_chip_get_info(chip);
    if (!info)
        return false;
    bool same = strcmp(gpiod_chip_info_get_name(info), wanted) == 0
        || strcmp(gpiod_chip_info_get_label(info), wanted) == 0;
    gpiod_chip_info_free(info);
    return same;
}

// Looks on one chip; 0: found, gpio keeps the chip. ENOENT: not here.
static inline int fleet_gpio_look_(
    struct fleet_gpio *gpio, const char *path, const struct fleet_gpio_request *request) {
    struct gpiod_chip *chip = gpiod_chip_open(path);
    if (!chip)
        return errno ? errno : ENODEV;
    int code = ENOENT;
    if (!request->chip || fleet_gpio_is_(chip, path, request->chip)) {
        if (!request->line_name) {
            gpio->offset = request->offset;
            code = 0;
        } else {
            int offset = gpiod_chip_get_line_offset_from_name(chip, request->line_name);
            if (offset >= 0) {
                gpio->offset = (unsigned int)offset;
                code = 0;
            }
        }
    }
    if (code == 0)
        gpio->chip = chip;
    else
        gpiod_chip_close(chip);
    return code;
}

static inline int fleet_gpio_find_(
    struct fleet_gpio *gpio, const struct fleet_gpio_request *request) {
    struct dirent **entries = NULL;
    int count = scandir("/dev", &entries, NULL, alphasort);
    if (count < 0)
        return errno ? errno : ENOENT;
    int result = ENOENT;
    for (int i = 0; i < count; i++) {
        char path[300];
        if (result != 0 && strncmp(entries[i]->d_name, "gpiochip", 8) == 0) {
            snprintf(path, sizeof path, "/dev/%s", entries[i]->d_name);
            if (gpiod_is_gpiochip_device(path)) {
                int code = fleet_gpio_look_(gpio, path, request);
                // A chip that may not be opened is told, unless another one has the line.
                if (code != ENOENT)
                    result = code;
            }
        }
        free(entries[i]);
    }
    free(entries);
    return result;
}

static inline int fleet_gpio_settings_(
    struct gpiod_line_settings *settings, const struct fleet_gpio_request *request) {
    enum gpiod_line_bias bias = GPIOD_LINE_BIAS_AS_IS;
    switch (request->bias) {
    case FLEET_GPIO_BIAS_AS_IS: break;
    case FLEET_GPIO_BIAS_DISABLED: bias = GPIOD_LINE_BIAS_DISABLED; break;
    case FLEET_GPIO_BIAS_PULL_UP: bias = GPIOD_LINE_BIAS_PULL_UP; break;
    case FLEET_GPIO_BIAS_PULL_DOWN: bias = GPIOD_LINE_BIAS_PULL_DOWN; break;
    }
    enum gpiod_line_edge edge = GPIOD_LINE_EDGE_NONE;
    if (request->rising && request->falling)
        edge = GPIOD_LINE_EDGE_BOTH;
    else if (request->rising)
        edge = GPIOD_LINE_EDGE_RISING;
    else if (request->falling)
        edge = GPIOD_LINE_EDGE_FALLING;
    gpiod_line_settings_set_active_low(settings, request->active_low);
    if (gpiod_line_settings_set_direction(settings, GPIOD_LINE_DIRECTION_INPUT) < 0)
        return -1;
    if (gpiod_line_settings_set_bias(settings, bias) < 0)
        return -1;
    return gpiod_line_settings_set_edge_detection(settings, edge);
}

static inline int fleet_gpio_request_(
    struct fleet_gpio *gpio, const struct fleet_gpio_request *request) {
    int code = 0;
    struct gpiod_line_settings *settings = gpiod_line_settings_new();
    struct gpiod_line_config *lines = gpiod_line_config_new();
    struct gpiod_request_config *config = gpiod_request_config_new();
    if (!settings || !lines || !config) {
        code = ENOMEM;
    } else if (
        fleet_gpio_settings_(settings, request) < 0
        || gpiod_line_config_add_line_settings(lines, &gpio->offset, 1, settings) < 0) {
        code = errno ? errno : EINVAL;
    } else {
        gpiod_request_config_set_consumer(config, request->consumer);
        gpio->request = gpiod_chip_request_lines(gpio->chip, config, lines);
        if (!gpio->request) {
            code = errno ? errno : EIO;
        } else if (request->rising || request->falling) {
            gpio->buffer = gpiod_edge_event_buffer_new(FLEET_GPIO_EVENTS);
            if (!gpio->buffer)
                code = ENOMEM;
        }
    }
    if (config)
        gpiod_request_config_free(config);
    if (lines)
        gpiod_line_config_free(lines);
    if (settings)
        gpiod_line_settings_free(settings);
    return code;
}

static inline int fleet_gpio_open(
    const struct fleet_gpio_request *request, struct fleet_gpio **out,
    char holder[FLEET_GPIO_CONSUMER]) {
    holder[0] = 0;
    struct fleet_gpio *gpio = (struct fleet_gpio *)calloc(1, sizeof *gpio);
    if (!gpio)
        return ENOMEM;
    errno = 0;
    int code = fleet_gpio_find_(gpio, request);
    if (code == 0)
        code = fleet_gpio_request_(gpio, request);
    if (code == EBUSY) {
        struct gpiod_line_info *info = gpiod_chip_get_line_info(gpio->chip, gpio->offset);
        if (info) {
            const char *consumer = gpiod_line_info_get_consumer(info);
            if (consumer)
                snprintf(holder, FLEET_GPIO_CONSUMER, "%s", consumer);
            gpiod_line_info_free(info);
        }
    }
    if (code != 0) {
        fleet_gpio_close(gpio);
        return code;
    }
    *out = gpio;
    return 0;
}

static inline int fleet_gpio_fd(struct fleet_gpio *gpio) {
    return gpio->buffer ? gpiod_line_request_get_fd(gpio->request) : -1;
}

static inline int fleet_gpio_value(struct fleet_gpio *gpio) {
    switch (gpiod_line_request_get_value(gpio->request, gpio->offset)) {
    case GPIOD_LINE_VALUE_ACTIVE: return 1;
    case GPIOD_LINE_VALUE_INACTIVE: return 0;
    default: return -1;
    }
}

static inline int fleet_gpio_read(
    struct fleet_gpio *gpio, struct fleet_gpio_event events[FLEET_GPIO_EVENTS]) {
    int count =
        gpiod_line_request_read_edge_events(gpio->request, gpio->buffer, FLEET_GPIO_EVENTS);
    for (int i = 0; i < count; i++) {
        struct gpiod_edge_event *event =
            gpiod_edge_event_buffer_get_event(gpio->buffer, (unsigned long)i);
        events[i].rising =
            gpiod_edge_event_get_event_type(event) == GPIOD_EDGE_EVENT_RISING_EDGE;
        events[i].nanoseconds = gpiod_edge_event_get_timestamp_ns(event);
        events[i].sequence = gpiod_edge_event_get_line_seqno(event);
    }
    return count;
}

#endif
