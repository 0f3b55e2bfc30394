/* What needs nothing of koi: answers, configuration, texts. */
#include "koi.h"

#include <stdlib.h>
#include <string.h>

/* ---- Answers -------------------------------------------------------------------------------------------------------- */

koi_result koi_done(void) { return (koi_result){ .is_error = false }; }

koi_result koi_error(koi_error_kind kind, koi_text message)
{
    return (koi_result){ .is_error = true, .error = { kind, message } };
}

koi_status koi_reports(koi_state state, koi_text message)
{
    return (koi_status){ .report = { .state = state, .message = message } };
}

koi_status koi_status_error(koi_error_kind kind, koi_text message)
{
    return (koi_status){ .is_error = true, .error = { kind, message } };
}

void koi_detail(koi_status *status, koi_text key, koi_text value)
{
    if (status->is_error || status->report.details.count >= KOI_DETAILS)
        return;
    koi_pairs *details = &status->report.details;
    /* A new list each time: the one that is there may be the handler's own. */
    koi_pair *longer = koi_memory((details->count + 1) * sizeof(koi_pair));
    for (size_t i = 0; i < details->count; i++)
        longer[i] = details->at[i];
    longer[details->count] = (koi_pair){ key, value };
    *details = (koi_pairs){ longer, details->count + 1 };
}

static void add_process(koi_status *status, koi_named_process process)
{
    if (status->is_error || status->report.processes.count >= KOI_PROCESSES)
        return;
    size_t count = status->report.processes.count;
    koi_named_process *longer = koi_memory((count + 1) * sizeof(koi_named_process));
    for (size_t i = 0; i < count; i++)
        longer[i] = status->report.processes.at[i];
    longer[count] = process;
    status->report.processes.at = longer;
    status->report.processes.count = count + 1;
}

void koi_process(koi_status *status, uint32_t id)
{
    add_process(status, (koi_named_process){ .is_file = false, .id = id });
}

void koi_pidfile(koi_status *status, koi_text path)
{
    add_process(status, (koi_named_process){ .is_file = true, .file = path });
}

/* ---- Attributes ------------------------------------------------------------------------------------------------------ */

bool koi_attribute(koi_pairs attributes, koi_text key, koi_text *value)
{
    for (size_t i = 0; i < attributes.count; i++)
        if (koi_same(attributes.at[i].key, key)) {
            *value = attributes.at[i].value;
            return true;
        }
    return false;
}

/* ---- Configuration -------------------------------------------------------------------------------------------------- */

bool koi_config(const koi_context *ctx, koi_text key, koi_text *value)
{
    for (size_t i = 0; i < ctx->config.count; i++)
        if (koi_same(ctx->config.at[i].key, key)) {
            *value = ctx->config.at[i].value;
            return true;
        }
    return false;
}

bool koi_config_integer(const koi_context *ctx, koi_text key, int64_t *value)
{
    koi_text text;
    return koi_config(ctx, key, &text) && koi_parse_integer(text, value);
}

bool koi_config_boolean(const koi_context *ctx, koi_text key, bool *value)
{
    koi_text text;
    if (!koi_config(ctx, key, &text))
        return false;
    *value = koi_same(text, KOI("true"));
    return true;
}

bool koi_config_duration(const koi_context *ctx, koi_text key, uint64_t *ms)
{
    int64_t number;
    if (!koi_config_integer(ctx, key, &number) || number < 0)
        return false;
    *ms = (uint64_t)number;
    return true;
}

koi_texts koi_config_all(const koi_context *ctx, koi_text key)
{
    koi_text *values = koi_memory(ctx->config.count * sizeof(koi_text));
    size_t count = 0;
    for (size_t i = 0; i < ctx->config.count; i++)
        if (koi_same(ctx->config.at[i].key, key))
            values[count++] = ctx->config.at[i].value;
    return (koi_texts){ values, count };
}

/* ---- Texts ---------------------------------------------------------------------------------------------------------- */

void *koi_memory(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory)
        abort();
    return memory;
}

koi_text koi_string(const char *zero_terminated)
{
    return (koi_text){ zero_terminated, strlen(zero_terminated) };
}

koi_text koi_join(koi_texts parts)
{
    size_t length = 0;
    for (size_t i = 0; i < parts.count; i++)
        length += parts.at[i].length;
    char *whole = koi_memory(length + 1);
    size_t used = 0;
    for (size_t i = 0; i < parts.count; used += parts.at[i].length, i++)
        if (parts.at[i].length > 0)
            memcpy(whole + used, parts.at[i].at, parts.at[i].length);
    return (koi_text){ whole, length };
}

koi_text koi_number(uint64_t number)
{
    char *end = (char *)koi_memory(20) + 20, *digits = end;
    do
        *--digits = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    return (koi_text){ digits, (size_t)(end - digits) };
}

bool koi_same(koi_text a, koi_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.at, b.at, a.length) == 0);
}

bool koi_parse_integer(koi_text text, int64_t *number)
{
    bool negative = text.length > 0 && text.at[0] == '-';
    uint64_t value = 0, most = (uint64_t)INT64_MAX + negative;
    if (text.length <= (size_t)negative)
        return false;
    for (size_t i = negative; i < text.length; i++) {
        uint64_t digit = (uint64_t)(text.at[i] - '0');
        if (text.at[i] < '0' || text.at[i] > '9' || value > (most - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

koi_text koi_line_of(koi_text text)
{
    while (text.length > 0 && (text.at[0] == '\n' || text.at[0] == '\r'))
        text = (koi_text){ text.at + 1, text.length - 1 };
    size_t end = 0;
    while (end < text.length && text.at[end] != '\n' && text.at[end] != '\r')
        end++;
    return (koi_text){ text.at, end };
}

/* ---- Addresses ------------------------------------------------------------------------------------------------------ */

/* The number at *at, of digits of this base; goes past it. False: there is none, or it is greater than `most`. */
static bool number_at(koi_text text, size_t *at, unsigned base, unsigned most, uint16_t *number)
{
    unsigned value = 0;
    size_t begin = *at;
    for (; *at < text.length && *at - begin < 5; ++*at) {
        char digit = text.at[*at];
        unsigned of = digit >= '0' && digit <= '9' ? (unsigned)(digit - '0')
            : (digit | 32) >= 'a' && (digit | 32) <= 'f' ? (unsigned)((digit | 32) - 'a') + 10 : base;
        if (of >= base)
            break;
        value = value * base + of;
    }
    *number = (uint16_t)value;
    return *at > begin && value <= most;
}

static bool parse_v4(koi_text text, uint16_t *parts)
{
    size_t at = 0;
    for (int i = 0; i < 4; i++) {
        if (i > 0 && (at >= text.length || text.at[at++] != '.'))
            return false;
        if (!number_at(text, &at, 10, 255, &parts[i]))
            return false;
    }
    return at == text.length;
}

/* Without an IPv4 address at its end. */
static bool parse_v6(koi_text text, uint16_t *parts)
{
    uint16_t found[8];
    size_t at = 0, count = 0, gap = 9; /* 9: there is no "::" */
    if (text.length >= 2 && text.at[0] == ':' && text.at[1] == ':')
        gap = 0, at = 2;
    while (at < text.length) {
        if (count == 8 || !number_at(text, &at, 16, 0xffff, &found[count++]))
            return false;
        if (at == text.length)
            break;
        if (text.at[at++] != ':' || at == text.length)
            return false;
        if (text.at[at] == ':') {
            if (gap < 9)
                return false;
            gap = count, at++;
        }
    }
    if (gap < 9 ? count > 7 : count != 8)
        return false;
    size_t behind = gap < 9 ? count - gap : 0; /* groups behind the gap, which is all zeros */
    memset(parts, 0, 8 * sizeof(parts[0]));
    memcpy(parts, found, (count - behind) * sizeof(parts[0]));
    memcpy(parts + 8 - behind, found + count - behind, behind * sizeof(parts[0]));
    return true;
}

bool koi_parse_address(koi_text text, koi_address *address)
{
    size_t colon = text.length, at;
    while (colon > 0 && text.at[colon - 1] != ':')
        colon--;
    if (colon < 2)
        return false;
    koi_text ip = { text.at, colon - 1 };
    address->v6 = ip.at[0] == '[' && ip.at[ip.length - 1] == ']';
    if (address->v6)
        ip = (koi_text){ ip.at + 1, ip.length - 2 };
    at = colon;
    return (address->v6 ? parse_v6(ip, address->parts) : parse_v4(ip, address->parts))
        && number_at(text, &at, 10, 65535, &address->port) && at == text.length && address->port > 0;
}
