/* The koi handler `@NAME@`.
 *
 * It runs nothing yet: it notes in koi's store what it was last asked to be, and `status` answers from that note. Put the start and
 * stop of your own software where the notes are made, and a look at it where `status` reads them.
 *
 * A fresh instance of this program serves every call: a variable does not live until the next one, the store does. */
#include "koi.h"
@IF exec@
#include "exec.h"
@END@
@IF http@
#include "http.h"
@END@
@IF tcp@
#include "tcp.h"
@END@

static const koi_config_key keys[] = {
    { .name = KOI("score"), .description = KOI("Among the standbys the highest is promoted first"),
      .type = KOI_INTEGER, .integer = { INT32_MIN, INT32_MAX } },
@IF exec@
    { .name = KOI("path"), .description = KOI("Whose file system is looked at"), .type = KOI_TEXT },
@END@
@IF tcp@
    { .name = KOI("address"), .description = KOI("Where it listens, as ip:port"), .type = KOI_ADDRESS },
@END@
@IF http@
    { .name = KOI("web"), .description = KOI("Which web server is asked, as host:port"), .type = KOI_ADDRESS },
@END@
@IF any@
    { .name = KOI("patience"), .description = KOI("How long a look may take"), .type = KOI_DURATION, .value = KOI_LIST(KOI("2s")) },
@END@
    /* Further types are KOI_TEXT, KOI_BOOLEAN, KOI_IP, KOI_ONE_OF and these:
@IF none@
     * { .name = KOI("address"), .description = KOI("Where it listens"), .type = KOI_ADDRESS, .required = true },
     * { .name = KOI("patience"), .description = KOI("How long it may take"), .type = KOI_DURATION, .value = KOI_LIST(KOI("30s")) },
@END@
     * { .name = KOI("password"), .description = KOI("Of the user koi"), .type = KOI_SECRET }, */
};

@IF any@
/* What it wants of the node. A key in braces that has no value makes no want. */
static const koi_want wants[] = {
@IF exec@
    { KOI_EXEC, .program = { .words = KOI_LIST(KOI("/usr/bin/df"), KOI("--output=pcent"), KOI("--"), KOI("{path}")) },
      .reason = KOI("To see how full the disk is") },
@END@
@IF tcp@
    { KOI_TCP, .value = KOI("{address}"), .reason = KOI("To see whether it answers") },
@END@
@IF http@
    { KOI_HTTP, .value = KOI("{web}"), .reason = KOI("To see how the web server is") },
@END@
};

@END@
/* What `koi plugins list` shows, and what koi checks a service.toml against. */
koi_metadata handler_describe(void)
{
    return (koi_metadata){
        .name = KOI("@NAME@"),
        .version = KOI("0.1.0"),
        .description = KOI("Notes what it was asked to be, and says so"),
        /* Hooks that are not named here are never called and count as done. */
        .hooks = KOI_HAS_START | KOI_HAS_STOP | KOI_HAS_PROMOTE | KOI_HAS_DEMOTE | KOI_HAS_STATUS | KOI_HAS_FAILED,
@IF any@
        .wants = { wants, sizeof(wants) / sizeof(wants[0]) },
@ELSE@
        /* .wants: what it wants of the node, such as { KOI_TCP, .value = KOI("{address}"), .reason = KOI("To ask how it is") }. */
@END@
        .config = { keys, sizeof(keys) / sizeof(keys[0]) },
    };
}

/* KOI_RETRY: to be tried again later; KOI_FATAL: not on this node; KOI_MISCONFIGURED: pointless anywhere before [config] is mended. */
static koi_result noted(bool well)
{
    return well ? koi_done() : koi_error(KOI_RETRY, KOI("cannot write to koi's store; the log says why"));
}

@IF any@
/* Looks at what is configured, and tells it in details; false, and *trouble: what is wrong. */
static bool look(const koi_context *ctx, koi_status *status, koi_text *trouble)
{
    uint64_t patience = KOI_REST_OF_CALL;
    koi_config_duration(ctx, KOI("patience"), &patience);
@IF exec@
    koi_text path;
    if (koi_config(ctx, KOI("path"), &path)) {
        koi_text said;
        if (!koi_run(KOI("/usr/bin/df"), KOI_LIST(KOI("--output=pcent"), KOI("--"), path), patience, &said)) {
            *trouble = said;
            return false;
        }
        /* A heading, and the number below it. */
        koi_detail(status, path, koi_line_of((koi_text){ said.at + 5, said.length - 5 }));
    }
@END@
@IF tcp@
    koi_text address;
    if (koi_config(ctx, KOI("address"), &address)) {
        koi_tcp connection; /* koi_tcp_send and koi_tcp_line would speak with it. */
        if (!koi_tcp_connect(&connection, address, patience)) {
            *trouble = connection.trouble;
            return false;
        }
        koi_tcp_close(&connection);
        koi_detail(status, address, KOI("answers"));
    }
@END@
@IF http@
    koi_text web;
    if (koi_config(ctx, KOI("web"), &web)) {
        koi_answer answer;
        if (!koi_http_get(KOI_JOIN(KOI("http://"), web, KOI("/")), patience, &answer)) {
            *trouble = answer.trouble;
            return false;
        }
        koi_detail(status, web, koi_number(answer.status));
    }
@END@
    return true;
}

@END@
/* A service that runs already is a success, so start may well be called twice. It leaves a standby, whatever a crash left. */
koi_result handler_start(const koi_context *ctx)
{
    (void)ctx;
    return noted(koi_set(KOI("role"), KOI("standby")));
}

/* As is one that does not run. */
koi_result handler_stop(const koi_context *ctx)
{
    (void)ctx;
    return noted(koi_delete(KOI("role")));
}

/* Called on one node only. The epoch grows with every mastership: a call that comes too late shows by it. What all nodes are to know, such
 * as where the data is newest, goes into the group's attributes: koi_set_attribute. */
koi_result handler_promote(const koi_context *ctx)
{
    if (!koi_epoch_current())
        return koi_error(KOI_RETRY, KOI_JOIN(KOI("epoch "), koi_number(ctx->epoch), KOI(" is over; another node is master by now")));
    return noted(koi_set(KOI("epoch"), koi_number(ctx->epoch)) && koi_set(KOI("role"), KOI("promoted")));
}

/* The others wait for this one: be quick, and let a second call succeed too. */
koi_result handler_demote(const koi_context *ctx)
{
    koi_text role;
    (void)ctx;
    if (!koi_get(KOI("role"), &role))
        return koi_error(KOI_RETRY, KOI("cannot read koi's store"));
    return noted(!koi_same(role, KOI("promoted")) || koi_set(KOI("role"), KOI("standby")));
}

/* What it says is taken as the truth. It must not change anything. Of a service that runs in processes of this node koi_pidfile and
 * koi_process tell koi: it asks for the status at once when one ends. */
koi_status handler_status(const koi_context *ctx)
{
    koi_text role, epoch;
    if (!koi_get(KOI("role"), &role) || !koi_get(KOI("epoch"), &epoch))
        return koi_status_error(KOI_RETRY, KOI("cannot read koi's store"));
    koi_status status = !role.at ? koi_reports(KOI_STOPPED, KOI("not started"))
        : koi_same(role, KOI("promoted")) ? koi_reports(KOI_PROMOTED, KOI("runs as promoted"))
        : koi_reports(KOI_STANDBY, KOI("runs as standby"));
    int64_t score;
    if (koi_config_integer(ctx, KOI("score"), &score)) {
        status.report.has_score = true;
        status.report.score = score;
    }
    if (epoch.at)
        koi_detail(&status, KOI("last epoch"), epoch);
@IF any@
    koi_text trouble;
    if (role.at && !look(ctx, &status, &trouble))
        return koi_status_error(KOI_RETRY, trouble);
@END@
    return status;
}

/* Comes before stop, so that it can still look at what is left. */
koi_result handler_failed(const koi_context *ctx, const koi_failure *cause)
{
    (void)ctx;
    koi_log(KOI_WARN, KOI_JOIN(KOI("failed: "), cause->message, cause->timed_out ? KOI(" (not in time)") : KOI_NOTHING));
    return koi_done();
}
