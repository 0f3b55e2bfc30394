/* The glue between koi.h and the component model: imports, exports, and where results lie. */
#include "koi.h"

#include <stdlib.h>
#include <string.h>

/* The canonical layout of a record is that of a C struct on wasm32. */
_Static_assert(sizeof(koi_context) == 96, "context");
_Static_assert(offsetof(koi_context, role) == 28 && offsetof(koi_context, epoch) == 32, "context");
_Static_assert(offsetof(koi_context, master) == 44 && offsetof(koi_context, timeout_ms) == 64, "context");
_Static_assert(offsetof(koi_context, workdir) == 76 && offsetof(koi_context, config) == 84, "context");
_Static_assert(sizeof(koi_failure) == 16 && sizeof(koi_result) == 16, "failure, result");
_Static_assert(sizeof(koi_report) == 28 && offsetof(koi_status, report) == 4, "report, status");
_Static_assert(sizeof(koi_capability) == 12 && sizeof(koi_config_key) == 32, "capability, config-key");
_Static_assert(offsetof(koi_metadata, capabilities) == 28 && sizeof(koi_metadata) == 44, "metadata");

#define IMPORT(interface, name) __attribute__((import_module("koi:service/" interface "@0.1.0"), import_name(name)))
#define EXPORT(interface, name) __attribute__((export_name("koi:service/" interface "@0.1.0#" name)))

/* Memory for what the host hands over. Nothing is ever given back: the instance ends with the call. */
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size)
{
    (void)align; /* malloc aligns for every type that the interface has */
    (void)old_size;
    if (size == 0)
        return (void *)8;
    void *memory = realloc(old, size);
    if (!memory)
        abort();
    return memory;
}

/* ---- Exports ----------------------------------------------------------------------------------------------------- */

/* Results lie here until the host has read them; there is one call in the life of an instance. */
static union { koi_result result; koi_status status; koi_metadata metadata; } answer;

typedef struct { koi_context ctx; koi_failure cause; } failed_arguments;

#define HOOK(name) \
    EXPORT("lifecycle", #name) const void *koi_export_##name(const koi_context *ctx) \
    { \
        answer.result = handler_##name(ctx); \
        return &answer; \
    }

HOOK(start)
HOOK(stop)
HOOK(promote)
HOOK(demote)

EXPORT("lifecycle", "status") const void *koi_export_status(const koi_context *ctx)
{
    answer.status = handler_status(ctx);
    return &answer;
}

EXPORT("lifecycle", "failed") const void *koi_export_failed(const failed_arguments *arguments)
{
    answer.result = handler_failed(&arguments->ctx, &arguments->cause);
    return &answer;
}

EXPORT("metadata", "describe") const void *koi_export_describe(void)
{
    answer.metadata = handler_describe();
    return &answer;
}

/* ---- Imports ----------------------------------------------------------------------------------------------------- */

IMPORT("host", "log") void import_log(int32_t level, const char *at, size_t length);
IMPORT("host", "remaining-ms") uint64_t import_remaining_ms(void);
IMPORT("host", "epoch-current") int32_t import_epoch_current(void);
IMPORT("host", "sleep") int32_t import_sleep(uint64_t ms);
IMPORT("state", "get") void import_get(const char *key, size_t length, void *result);
IMPORT("state", "set") void import_set(const char *key, size_t key_length, const char *value, size_t length, void *result);
IMPORT("state", "delete") void import_delete(const char *key, size_t length, void *result);
IMPORT("exec", "run") void import_run(const char *program, size_t length, const koi_text *args, size_t arg_count,
                                      const koi_pair *env, size_t env_count, const char *in, size_t in_length,
                                      int32_t has_timeout, uint64_t timeout_ms, void *result);

void koi_log(koi_level level, koi_text message) { import_log(level, message.at, message.length); }
uint64_t koi_remaining_ms(void) { return import_remaining_ms(); }
bool koi_epoch_current(void) { return import_epoch_current() != 0; }
bool koi_sleep(uint64_t ms) { return import_sleep(ms) != 0; }

bool koi_get(koi_text key, koi_text *value)
{
    struct { bool is_error; struct { bool is_there; koi_text value; } found; } result;
    import_get(key.at, key.length, &result);
    *value = !result.is_error && result.found.is_there ? result.found.value : KOI_NOTHING;
    return !result.is_error;
}

/* Where `set` and `delete` put their result; what the trouble was, koid has in its log. */
typedef struct { bool is_error; struct { uint8_t kind; koi_text words; } error; } stored;

bool koi_set(koi_text key, koi_text value)
{
    stored result;
    import_set(key.at, key.length, value.at, value.length, &result);
    return !result.is_error;
}

bool koi_delete(koi_text key)
{
    stored result;
    import_delete(key.at, key.length, &result);
    return !result.is_error;
}

koi_ran koi_exec(koi_text program, koi_texts args, koi_output *output)
{
    struct {
        bool is_error;
        union {
            struct { bool exited; int32_t code; koi_text output, errors; bool truncated; } output;
            struct { uint8_t kind; koi_text words; } error;
        };
    } result;
    import_run(program.at, program.length, args.at, args.count, NULL, 0, NULL, 0, false, 0, &result);
    if (result.is_error) {
        koi_ran kind = (koi_ran)(KOI_DENIED + result.error.kind);
        *output = (koi_output){ .errors = kind == KOI_IO_ERROR ? result.error.words : KOI_NOTHING };
        return kind;
    }
    *output = (koi_output){ .exited = result.output.exited, .code = result.output.code, .output = result.output.output,
                            .errors = result.output.errors, .truncated = result.output.truncated };
    return KOI_RAN;
}

/* ---- Answers and texts -------------------------------------------------------------------------------------------- */

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
    koi_pair *longer = cabi_realloc(NULL, 0, _Alignof(koi_pair), (details->count + 1) * sizeof(koi_pair));
    for (size_t i = 0; i < details->count; i++)
        longer[i] = details->at[i];
    longer[details->count] = (koi_pair){ key, value };
    *details = (koi_pairs){ longer, details->count + 1 };
}

bool koi_config(const koi_context *ctx, koi_text key, koi_text *value)
{
    for (size_t i = 0; i < ctx->config.count; i++)
        if (koi_same(ctx->config.at[i].key, key)) {
            *value = ctx->config.at[i].value;
            return true;
        }
    return false;
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
    char *whole = cabi_realloc(NULL, 0, 1, length + 1);
    size_t used = 0;
    for (size_t i = 0; i < parts.count; used += parts.at[i].length, i++)
        if (parts.at[i].length > 0)
            memcpy(whole + used, parts.at[i].at, parts.at[i].length);
    return (koi_text){ whole, length };
}

koi_text koi_number(uint64_t number)
{
    char *end = (char *)cabi_realloc(NULL, 0, 1, 20) + 20, *digits = end;
    do
        *--digits = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    return (koi_text){ digits, (size_t)(end - digits) };
}

bool koi_same(koi_text a, koi_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.at, b.at, a.length) == 0);
}

bool koi_parse_i32(koi_text text, int32_t *number)
{
    bool negative = text.length > 0 && text.at[0] == '-';
    int64_t value = 0;
    if (text.length <= (size_t)negative || text.length > 11)
        return false;
    for (size_t i = negative; i < text.length; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        value = value * 10 + (text.at[i] - '0');
    }
    value = negative ? -value : value;
    *number = (int32_t)value;
    return value == *number;
}
