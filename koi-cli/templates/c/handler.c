/* The koi handler `@NAME@`.
 *
 * It runs nothing yet: it notes in koi's store what it was last asked to be, and `status` answers from that note. Put the start and
 * stop of your own software where the notes are made, and a look at it where `status` reads them.
 *
 * A fresh instance of this program serves every call: a variable does not live until the next one, the store does. */
#include "koi.h"

static const koi_config_key keys[] = {
    { KOI("score"), KOI("Among the standbys the highest is promoted first"), false, { false, KOI_NOTHING } },
};

/* What `koi plugins list` shows, and what koi checks a service.toml against. */
koi_metadata handler_describe(void)
{
    return (koi_metadata){
        .name = KOI("@NAME@"),
        .version = KOI("0.1.0"),
        .description = KOI("Notes what it was asked to be, and says so"),
        /* Hooks that are not named here are never called and count as done. */
        .hooks = KOI_HAS_START | KOI_HAS_STOP | KOI_HAS_PROMOTE | KOI_HAS_DEMOTE | KOI_HAS_STATUS | KOI_HAS_FAILED,
        /* .capabilities: what it wants of the node, such as { KOI_TCP_CONNECT, KOI("{address}") }. */
        .config = { keys, 1 },
    };
}

static koi_result noted(bool well)
{
    return well ? koi_done() : koi_error(KOI_RETRY, KOI("cannot write to koi's store; the log says why"));
}

/* Finds `score` of [config]; false: it is there and is none. */
static bool find_score(const koi_context *ctx, bool *given, int32_t *score)
{
    koi_text text;
    *given = koi_config(ctx, KOI("score"), &text);
    return !*given || koi_parse_i32(text, score);
}

static const koi_text not_a_score = KOI("score in [config] is not a whole number of 32 bits");

/* A service that runs already is a success, so start may well be called twice. It leaves a standby, whatever a crash left. */
koi_result handler_start(const koi_context *ctx)
{
    bool given;
    int32_t score;
    /* Wrong configuration is better said now than at the first status. KOI_MISCONFIGURED: pointless to try anywhere;
     * KOI_FATAL: not on this node; KOI_RETRY: later. */
    if (!find_score(ctx, &given, &score))
        return koi_error(KOI_MISCONFIGURED, not_a_score);
    return noted(koi_set(KOI("role"), KOI("standby")));
}

/* As is one that does not run. */
koi_result handler_stop(const koi_context *ctx)
{
    (void)ctx;
    return noted(koi_delete(KOI("role")));
}

/* Called on one node only. The epoch grows with every mastership: a call that comes too late shows by it. */
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

/* What it says is taken as the truth. It must not change anything. */
koi_status handler_status(const koi_context *ctx)
{
    koi_text role, epoch;
    if (!koi_get(KOI("role"), &role) || !koi_get(KOI("epoch"), &epoch))
        return koi_status_error(KOI_RETRY, KOI("cannot read koi's store"));
    koi_status status = !role.at ? koi_reports(KOI_STOPPED, KOI("not started"))
        : koi_same(role, KOI("promoted")) ? koi_reports(KOI_PROMOTED, KOI("runs as promoted"))
        : koi_reports(KOI_STANDBY, KOI("runs as standby"));
    if (!find_score(ctx, &status.report.has_score, &status.report.score))
        return koi_status_error(KOI_MISCONFIGURED, not_a_score);
    if (epoch.at)
        koi_detail(&status, KOI("last epoch"), epoch);
    return status;
}

/* Comes before stop, so that it can still look at what is left. */
koi_result handler_failed(const koi_context *ctx, const koi_failure *cause)
{
    (void)ctx;
    koi_log(KOI_WARN, KOI_JOIN(KOI("failed: "), cause->message, cause->timed_out ? KOI(" (not in time)") : KOI_NOTHING));
    return koi_done();
}
