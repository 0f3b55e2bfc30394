/* The smallest native handler in C: a service that is nothing but a flag, and says hello. */
#include "koi_plugin.h"

#include <stdio.h>
#include <stdlib.h>

struct hello {
    int promoted;
};

static int32_t create(const koi_host *host, const koi_setup *setup, void **instance)
{
    (void)setup;
    *instance = calloc(1, sizeof(struct hello));
    if (*instance)
        return KOI_DONE;
    koi_message(host, "no memory");
    return KOI_RETRY;
}

static void destroy(void *instance, const koi_host *host)
{
    (void)host;
    free(instance);
}

static int32_t promote(struct hello *hello, const koi_host *host, const koi_context *context)
{
    const char *greeting = koi_config(context->config, context->config_count, "greeting");

    if (!koi_epoch_current(host)) {
        koi_message(host, "another node has been promoted meanwhile");
        return KOI_RETRY;
    }
    /* What is printed goes to koid's log; koi_log does the same with a level. */
    printf("%s, %s\n", greeting, context->node.data);
    hello->promoted = 1;
    return KOI_DONE;
}

static int32_t call(void *instance, const koi_host *host, uint32_t hook, const koi_context *context)
{
    struct hello *hello = instance;

    switch (hook) {
    case KOI_HOOK_PROMOTE:
        return promote(hello, host, context);
    case KOI_HOOK_DEMOTE:
        hello->promoted = 0;
        return KOI_DONE;
    case KOI_HOOK_STATUS:
        koi_message(host, koi_config(context->config, context->config_count, "greeting"));
        return hello->promoted ? KOI_STATE_PROMOTED : KOI_STATE_STANDBY;
    default:
        return KOI_UNSUPPORTED;
    }
}

static const koi_config_key keys[] = {
    {
        .name = KOI_TEXT("greeting"),
        .description = KOI_TEXT("what it says when it is promoted"),
        .default_value = KOI_TEXT("hello"),
    },
};

KOI_EXPORT const koi_plugin koi_plugin_v1 = {
    .magic = KOI_MAGIC,
    .abi_major = KOI_ABI_MAJOR,
    .abi_minor = KOI_ABI_MINOR,
    .size = sizeof(koi_plugin),
    .hooks = KOI_HAS(KOI_HOOK_PROMOTE) | KOI_HAS(KOI_HOOK_DEMOTE) | KOI_HAS(KOI_HOOK_STATUS),
    .name = KOI_TEXT("hello-c"),
    .version = KOI_TEXT("0.1.0"),
    .description = KOI_TEXT("Says hello (an example in C)"),
    .config = keys,
    .config_count = sizeof(keys) / sizeof(keys[0]),
    .config_key_size = sizeof(keys[0]),
    .create = create,
    .destroy = destroy,
    .call = call,
};
