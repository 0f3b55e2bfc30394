/* A native plugin for tests. Macros:
 *   NAME="…"     what it is called; a test's own name
 *   WORD="…"     what it says at each hook but status, and in status: which code this is
 *   STATUS       statements that status begins with
 *   PROMOTE      statements that promote begins with
 * Keys of [config]:
 *   log          the file to keep account in, as recorded shell services do
 *   score        the promotion score
 */
#include "koi_plugin.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef NAME
#define NAME "native"
#endif
#ifndef WORD
#define WORD NAME
#endif
#ifndef STATUS
#define STATUS
#endif
#ifndef PROMOTE
#define PROMOTE
#endif

static const char *const hooks[] = { "start", "stop", "promote", "demote", "status", "failed" };

static const char *config(const koi_context *context, const char *key)
{
    return koi_config(context->config, context->config_count, key);
}

/* One line, written at once: others write to the file too. */
static void record(const koi_context *context, uint32_t hook, const char *what)
{
    const char *path = config(context, "log");
    char up[64] = "0", line[512];
    FILE *file = fopen("/proc/uptime", "r");
    int length;

    if (file) {
        if (fscanf(file, "%63s", up) != 1)
            strcpy(up, "0");
        fclose(file);
    }
    file = path ? fopen(path, "a") : NULL;
    if (!file)
        return;
    length = snprintf(line, sizeof(line), "%s %s %s %s %s %d %llu %s\n", up, context->node.data, context->service.data, hooks[hook],
                      what, context->role == KOI_ROLE_PROMOTED, (unsigned long long)context->epoch, context->node_state.data);
    fwrite(line, 1, (size_t)length, file);
    fclose(file);
}

static int32_t status(const koi_host *host, const koi_context *context)
{
    const char *score = config(context, "score");

    STATUS;
    koi_message(host, WORD);
    koi_detail(host, "code", WORD);
    if (score)
        koi_score(host, atoi(score));
    return KOI_STATE_OK;
}

static int32_t create(const koi_host *host, const koi_setup *setup, void **instance)
{
    (void)host;
    (void)setup;
    (void)instance;
    return KOI_DONE;
}

static int32_t call(void *instance, const koi_host *host, uint32_t hook, const koi_context *context)
{
    (void)instance;
    if (hook == KOI_HOOK_STATUS)
        return status(host, context);
    record(context, hook, "begin");
    printf("%s begins to %s\n", WORD, hooks[hook]);
    fflush(stdout);
    if (hook == KOI_HOOK_PROMOTE) {
        PROMOTE;
    }
    printf("%s: %s is done\n", WORD, hooks[hook]);
    record(context, hook, "end");
    return KOI_DONE;
}

KOI_EXPORT const koi_plugin koi_plugin_v1 = {
    .magic = KOI_MAGIC,
    .abi_major = KOI_ABI_MAJOR,
    .abi_minor = KOI_ABI_MINOR,
    .size = sizeof(koi_plugin),
    .hooks = KOI_HOOKS_ALL,
    .name = KOI_TEXT(NAME),
    .version = KOI_TEXT("1.0.0"),
    .description = KOI_TEXT("For tests"),
    .config_key_size = sizeof(koi_config_key),
    .create = create,
    .call = call,
};
