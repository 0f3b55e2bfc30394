/* A plugin whose hooks do what `[config]` says under their names: `promote = "segfault"`. The flags of the compiler decide what is wrong
 * with the table itself. */
#include "koi_plugin.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef ABI
#define ABI KOI_ABI_MAJOR
#endif
#ifndef MAGIC
#define MAGIC KOI_MAGIC
#endif
#ifndef SIZE
#define SIZE sizeof(koi_plugin)
#endif
#ifndef NAME
#define NAME "misbehaving"
#endif
#ifndef SYMBOL
#define SYMBOL koi_plugin_v1
#endif

struct instance {
    const koi_host *host;
    int calls;
    int slow_destroy;
    char destroyed[4096];
};

static const char *const hooks[] = { "start", "stop", "promote", "demote", "status", "failed", "changed" };

#ifdef IN_CONSTRUCTOR
__attribute__((constructor)) static void constructor(void)
{
    IN_CONSTRUCTOR;
}
#endif
#ifdef UNDEFINED
extern int a_function_that_nobody_has(void);
#endif

static int is(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

static int32_t create(const koi_host *host, const koi_setup *setup, void **made)
{
    const char *how = koi_config(setup->config, setup->config_count, "create");
    struct instance *instance = calloc(1, sizeof(*instance));

#ifdef UNDEFINED
    a_function_that_nobody_has();
#endif
    instance->host = host;
    instance->slow_destroy = is(koi_config(setup->config, setup->config_count, "destroy"), "slow");
    snprintf(instance->destroyed, sizeof(instance->destroyed), "%s/destroyed", setup->home.data);
    *made = instance;
    if (is(how, "misconfigured")) {
        koi_message(host, "no such planet");
        return KOI_MISCONFIGURED;
    }
    if (is(how, "segfault"))
        raise(SIGSEGV);
    return KOI_DONE;
}

static void destroy(void *given, const koi_host *host)
{
    struct instance *instance = given;

    koi_log(host, KOI_LOG_INFO, "destroying");
    while (instance->slow_destroy)
        pause();
    close(open(instance->destroyed, O_CREAT | O_WRONLY, 0600));
}

/* Whether this is the first time, across processes. */
static int first_time(const koi_context *context)
{
    char path[4096];
    int fd;

    snprintf(path, sizeof(path), "%s/crashed", context->home.data);
    fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void start_child(const koi_context *context)
{
    char path[4096];
    pid_t child = fork();
    FILE *file;

    if (child == 0) {
        /* Should nobody end it. */
        alarm(120);
        for (;;)
            pause();
    }
    snprintf(path, sizeof(path), "%s/child", context->home.data);
    file = fopen(path, "w");
    fprintf(file, "%d", (int)child);
    fclose(file);
}

static int32_t say_much(const koi_host *host)
{
    static char text[100000];
    int i;

    memset(text, 'x', sizeof(text) - 1);
    text[5] = '\n';
    koi_message(host, text);
    koi_score(host, INT64_C(-7000000000));
    for (i = 0; i < 20; i++)
        koi_detail(host, text, text);
    koi_process(host, 4711);
    koi_process(host, -1);
    koi_pidfile(host, "run/db.pid");
    for (i = 0; i < 20; i++)
        koi_pidfile(host, text);
    koi_log(host, KOI_LOG_ERROR, text);
    koi_log(host, KOI_LOG_TRACE, "quiet");
    koi_log(host, KOI_LOG_WARN, "loud");
    return KOI_STATE_LIVE;
}

static int32_t print(void)
{
    printf("printed without a line end");
    fprintf(stderr, "complained\n");
    printf("\n%s %s", getenv("HOME") ? "HOME" : "no HOME", getenv("PATH") ? "PATH" : "no PATH");
    return KOI_DONE;
}

static int32_t flood(void)
{
    int i;

    for (i = 0; i < 100000; i++)
        printf("line %d of a flood\n", i);
    return KOI_DONE;
}

static int32_t garble(void)
{
    int fd;

    for (fd = 3; fd < 32; fd++)
        if (write(fd, "\nthis is not JSON\n", 18) < 0)
            continue;
    pause();
    return KOI_DONE;
}

/* Waits until koi wants the call to end. */
static int32_t obey(const koi_host *host)
{
    koi_log(host, KOI_LOG_INFO, "waiting");
    while (koi_remaining_ms(host) > 0)
        usleep(1000);
    return KOI_DONE;
}

/* Says what came with the call. */
static int32_t tell(const koi_host *host, const koi_context *context)
{
    char line[512];
    const koi_peer *peer = koi_peer_at(context, 0);

    if (!peer || koi_peer_at(context, context->peers_count))
        return KOI_RETRY;
    snprintf(line, sizeof(line), "%s %d %llu %s %llu %s; %u: %s %s %s %lld %u %u", context->reason.data,
             context->deadline_ms < context->timeout_ms, (unsigned long long)context->promoted_epoch,
             context->previous_master.data, (unsigned long long)context->previous_epoch, context->group.data,
             (unsigned)context->peers_count, peer->name.data, peer->state.data, peer->address.data ? peer->address.data : "-",
             (long long)peer->score, (unsigned)peer->scored, (unsigned)peer->promotable);
    koi_log(host, KOI_LOG_INFO, line);
    return KOI_DONE;
}

/* Writes an attribute, and says what came of it. */
static int32_t set(const koi_host *host)
{
    char why[256];
    int32_t code;

    koi_log(host, KOI_LOG_INFO, "asking");
    code = koi_set_attribute(host, "k", "v", why, sizeof(why));
    if (code == KOI_DONE)
        return KOI_DONE;
    koi_message(host, why);
    return code == KOI_ATTRIBUTES_UNKNOWN ? KOI_FATAL : KOI_RETRY;
}

static int32_t hang(const koi_host *host)
{
    koi_log(host, KOI_LOG_INFO, "hanging");
    while (pause())
        continue;
    return KOI_DONE;
}

static int32_t call(void *given, const koi_host *host, uint32_t hook, const koi_context *context)
{
    struct instance *instance = given;
    const char *what = koi_config(context->config, context->config_count, hooks[hook]);
    char calls[32];

    snprintf(calls, sizeof(calls), "call %d", ++instance->calls);
    koi_message(host, calls);
    if (is(what, "segfault"))
        raise(SIGSEGV);
    if (is(what, "segfault once"))
        return first_time(context) ? raise(SIGSEGV) : KOI_DONE;
    if (is(what, "abort")) {
        fprintf(stderr, "assertion failed: earth is flat\n");
        abort();
    }
    if (is(what, "exit"))
        exit(3);
    if (is(what, "child and segfault")) {
        start_child(context);
        raise(SIGSEGV);
    }
    if (is(what, "die later"))
        return alarm(1), KOI_DONE;
    if (is(what, "spin"))
        for (;;)
            ;
    if (is(what, "hang"))
        return hang(host);
    if (is(what, "obey"))
        return obey(host);
    if (is(what, "tell"))
        return tell(host, context);
    if (is(what, "set"))
        return set(host);
    if (is(what, "name"))
        return koi_process(host, 4711), KOI_DONE;
    if (is(what, "print"))
        return print();
    if (is(what, "flood"))
        return flood();
    if (is(what, "garble"))
        return garble();
    if (is(what, "say much"))
        return say_much(host);
    if (is(what, "broken"))
        return KOI_BROKEN;
    if (is(what, "fatal"))
        return KOI_FATAL;
    if (is(what, "seventy-seven"))
        return 77;
    return KOI_DONE;
}

KOI_EXPORT const koi_plugin SYMBOL = {
    .magic = MAGIC,
    .abi_major = ABI,
    .abi_minor = KOI_ABI_MINOR,
    .size = SIZE,
    .hooks = KOI_HOOKS_ALL | KOI_HAS(KOI_HOOK_CHANGED),
    .name = KOI_TEXT(NAME),
    .version = KOI_TEXT("0.1.0"),
    .description = KOI_TEXT("Does what it should not"),
    .create = create,
    .destroy = destroy,
    .call = call,
};
