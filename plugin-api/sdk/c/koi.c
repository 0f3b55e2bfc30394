/* The glue between koi.h and the component model: imports, exports, and where results lie. */
#include "koi.h"

#include <stdlib.h>

/* The canonical layout of a record is that of a C struct on wasm32. */
_Static_assert(sizeof(koi_context) == 160, "context");
_Static_assert(offsetof(koi_context, role) == 28 && offsetof(koi_context, epoch) == 32, "context");
_Static_assert(offsetof(koi_context, master) == 44 && offsetof(koi_context, timeout_ms) == 64, "context");
_Static_assert(offsetof(koi_context, workdir) == 76 && offsetof(koi_context, config) == 84, "context");
_Static_assert(offsetof(koi_context, deadline_ms) == 96 && offsetof(koi_context, promoted_epoch) == 104, "context");
_Static_assert(offsetof(koi_context, previous) == 120 && offsetof(koi_context, reason) == 137, "context");
_Static_assert(offsetof(koi_context, group) == 140 && offsetof(koi_context, peers) == 152, "context");
_Static_assert(sizeof(koi_peer) == 48 && offsetof(koi_peer, promotable) == 9, "peer");
_Static_assert(offsetof(koi_peer, score) == 16 && offsetof(koi_peer, address) == 36, "peer");
_Static_assert(sizeof(koi_failure) == 16 && sizeof(koi_result) == 16, "failure, result");
_Static_assert(sizeof(koi_report) == 48 && offsetof(koi_status, report) == 8, "report, status");
_Static_assert(offsetof(koi_report, has_score) == 16 && offsetof(koi_report, score) == 24, "report");
_Static_assert(offsetof(koi_report, processes) == 40 && sizeof(koi_named_process) == 12, "report, process");
_Static_assert(offsetof(koi_want, program) == 4 && offsetof(koi_want, reason) == 28 && sizeof(koi_want) == 36, "want");
_Static_assert(offsetof(koi_config_key, integer) == 24 && offsetof(koi_config_key, many) == 40, "config-key");
_Static_assert(offsetof(koi_config_key, value) == 44 && sizeof(koi_config_key) == 56, "config-key");
_Static_assert(offsetof(koi_metadata, wants) == 28 && sizeof(koi_metadata) == 44, "metadata");

#define IMPORT(interface, name) __attribute__((import_module("koi:service/" interface "@0.2.0"), import_name(name)))
#define EXPORT(interface, name) __attribute__((export_name("koi:service/" interface "@0.2.0#" name)))

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

#define HOOK(interface, name) \
    EXPORT(interface, #name) const void *koi_export_##name(const koi_context *ctx) \
    { \
        answer.result = handler_##name(ctx); \
        return &answer; \
    }

HOOK("lifecycle", start)
HOOK("lifecycle", stop)
HOOK("lifecycle", promote)
HOOK("lifecycle", demote)
#ifdef KOI_CHANGES
HOOK("changes", changed)
#endif

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

IMPORT("attributes", "read") void import_read_attributes(int32_t fresh, void *result);
IMPORT("attributes", "set") void import_set_attribute(const char *key, size_t key_length, const char *value, size_t length, void *result);
IMPORT("attributes", "remove") void import_remove_attribute(const char *key, size_t length, void *result);

koi_attributes_result koi_attributes(bool fresh, koi_pairs *attributes, koi_text *version)
{
    struct {
        bool is_error;
        union {
            struct { koi_text version; koi_pairs values; } read;
            struct { uint8_t kind; koi_text message; } error;
        };
    } said;
    koi_attributes_result result = { 0 };
    import_read_attributes(fresh, &said);
    result.is_error = said.is_error;
    if (said.is_error) {
        result.error.kind = said.error.kind;
        result.error.message = said.error.message;
        return result;
    }
    *attributes = said.read.values;
    if (version)
        *version = said.read.version;
    return result;
}

koi_attributes_result koi_set_attribute(koi_text key, koi_text value)
{
    koi_attributes_result result;
    import_set_attribute(key.at, key.length, value.at, value.length, &result);
    return result;
}

koi_attributes_result koi_remove_attribute(koi_text key)
{
    koi_attributes_result result;
    import_remove_attribute(key.at, key.length, &result);
    return result;
}
