/* An IP address that is where the master is, by `ip` and `arping` of the node. */
#include "exec.h"

static const koi_config_key keys[] = {
    { .name = KOI("host"), .description = KOI("The address: 10.0.0.100"), .type = KOI_IP },
    { .name = KOI("prefix"), .description = KOI("Its prefix length: 24"), .type = KOI_INTEGER, .integer = { 0, 128 } },
    { .name = KOI("address"), .description = KOI("Both at once, in place of host and prefix: 10.0.0.100/24"), .type = KOI_IP },
    { .name = KOI("interface"), .description = KOI("The interface that gets it"), .type = KOI_TEXT, .required = true },
    { .name = KOI("announce"), .description = KOI("How often arping tells the network, once a second; 0: never"),
      .type = KOI_INTEGER, .integer = { 0, 60 }, .value = KOI_LIST(KOI("3")) },
    { .name = KOI("ip"), .description = KOI("Where the program ip lies"), .type = KOI_TEXT, .value = KOI_LIST(KOI("/usr/sbin/ip")) },
    { .name = KOI("arping"), .description = KOI("Where the program arping lies (iputils); empty for IPv6"),
      .type = KOI_TEXT, .value = KOI_LIST(KOI("/usr/bin/arping")) },
};

#define RUN(...) { .words = KOI_LIST(__VA_ARGS__) }

/* Each call of it, word by word; see the functions under "What is run on the node". With `address` alone there is no text for the host, so
 * these do not count, and what is not granted shows when it is run. */
static const koi_want wants[] = {
    { KOI_EXEC, .program = RUN(KOI("{ip}"), KOI("-o"), KOI("addr"), KOI("show"), KOI("dev"), KOI("{interface}"), KOI("to"), KOI("{host}")),
      .reason = KOI("To see whether the address is here") },
    { KOI_EXEC, .program = RUN(KOI("{ip}"), KOI("addr"), KOI("add"), KOI("{host}/{prefix}"), KOI("dev"), KOI("{interface}"), KOI("nodad")),
      .reason = KOI("To take the address") },
    { KOI_EXEC, .program = RUN(KOI("{ip}"), KOI("addr"), KOI("del"), KOI("{host}/{prefix}"), KOI("dev"), KOI("{interface}")),
      .reason = KOI("To let go of the address") },
    { KOI_EXEC, .program = RUN(KOI("{arping}"), KOI("-q"), KOI("-U"), KOI("-c"), KOI("{announce}"), KOI("-I"), KOI("{interface}"), KOI("{host}")),
      .reason = KOI("To tell the network who has the address") },
};

koi_metadata handler_describe(void)
{
    return (koi_metadata){
        .name = KOI("virtual-ip"),
        .version = KOI("0.2.0"),
        .description = KOI("An IP address that is where the master is"),
        .hooks = KOI_HAS_START | KOI_HAS_STOP | KOI_HAS_PROMOTE | KOI_HAS_DEMOTE | KOI_HAS_STATUS,
        .wants = { wants, sizeof(wants) / sizeof(wants[0]) },
        .config = { keys, sizeof(keys) / sizeof(keys[0]) },
    };
}

/* ---- [config] ------------------------------------------------------------------------------------------------------ */

typedef struct {
    koi_text address;       /* with its prefix length */
    koi_text host;          /* without */
    koi_text interface, announce, ip, arping;
    bool v6, nodad;
} settings;

/* Where the text has this character first; its length: nowhere. */
static size_t place_of(koi_text text, char character)
{
    size_t at = 0;
    while (at < text.length && text.at[at] != character)
        at++;
    return at;
}

/* Reads it; NULL, or what is wrong with it. koid has seen to it that addresses are some, and numbers within bounds. */
static const char *read_settings(const koi_context *ctx, settings *is)
{
    koi_text prefix;
    *is = (settings){ 0 };
    koi_config(ctx, KOI("interface"), &is->interface);
    koi_config(ctx, KOI("announce"), &is->announce);
    koi_config(ctx, KOI("ip"), &is->ip);
    koi_config(ctx, KOI("arping"), &is->arping);
    bool has_host = koi_config(ctx, KOI("host"), &is->host), has_prefix = koi_config(ctx, KOI("prefix"), &prefix);
    bool has_address = koi_config(ctx, KOI("address"), &is->address);
    if (has_address ? has_host || has_prefix : !has_host || !has_prefix)
        return "write host and prefix, for instance host = \"10.0.0.100\" and prefix = 24; or both as address = \"10.0.0.100/24\"";
    if (has_address)
        is->host = (koi_text){ is->address.at, place_of(is->address, '/') };
    else
        is->address = KOI_JOIN(is->host, KOI("/"), prefix);
    if (place_of(is->host, '/') < is->host.length || is->host.length == is->address.length)
        return "write the prefix length behind the address, and not behind the host: 10.0.0.100/24";
    is->v6 = place_of(is->host, ':') < is->host.length;
    /* IPv6 would be unusable for a second or two while the kernel asks whether somebody else has it: koi sees to that. IPv4 has nothing
     * of the kind, and `ip` says so; the word is there for the sake of a want that fits both. */
    is->nodad = is->v6 || has_host;
    if (!is->interface.length || is->interface.length > 15 || is->interface.at[0] == '-')
        return "interface: write the name of a network interface, for instance eth0";
    if (!is->ip.length || is->ip.at[0] != '/')
        return "ip: write the absolute path of the program";
    return NULL;
}

/* ---- What is run on the node ---------------------------------------------------------------------------------------- */

typedef enum { HERE, NOT_HERE, UNKNOWN } whereabouts;

/* Looks whether the interface has the address; for UNKNOWN `words` say why. An interface that is not there has none. */
static whereabouts look(const settings *is, bool *no_interface, koi_text *words)
{
    koi_output output;
    koi_ran ran = koi_exec(is->ip, KOI_LIST(KOI("-o"), KOI("addr"), KOI("show"), KOI("dev"), is->interface, KOI("to"), is->host),
                            KOI_REST_OF_CALL, &output);
    *no_interface = false;
    if (koi_went_well(ran, &output))
        return output.output.length > 0 ? HERE : NOT_HERE;
    *words = koi_why_not(is->ip, ran, &output);
    koi_text gone = KOI("does not exist");
    for (size_t i = 0; ran == KOI_RAN && i + gone.length <= output.errors.length; i++)
        *no_interface |= koi_same((koi_text){ output.errors.at + i, gone.length }, gone);
    return *no_interface ? NOT_HERE : UNKNOWN;
}

/* Adds the address or takes it away. */
static koi_ran change(const settings *is, bool add, koi_output *output)
{
    koi_text words[] = { KOI("addr"), add ? KOI("add") : KOI("del"), is->address, KOI("dev"), is->interface, KOI("nodad") };
    return koi_exec(is->ip, (koi_texts){ words, add && is->nodad ? 6 : 5 }, KOI_REST_OF_CALL, output);
}

/* Tells the network who has the address now. The address is there already: what goes wrong here is not a failure. */
static void announce(const settings *is)
{
    if (is->v6 || !is->arping.length || koi_same(is->announce, KOI("0")))
        return;
    koi_output output;
    koi_ran ran = koi_exec(is->arping, KOI_LIST(KOI("-q"), KOI("-U"), KOI("-c"), is->announce, KOI("-I"), is->interface, is->host),
                            KOI_REST_OF_CALL, &output);
    if (!koi_went_well(ran, &output))
        koi_log(KOI_WARN, KOI_JOIN(KOI("not announced: "), koi_why_not(is->arping, ran, &output)));
}

/* ---- The hooks ------------------------------------------------------------------------------------------------------- */

/* Whatever was there before: afterwards the address is not on this node. */
koi_result handler_demote(const koi_context *ctx)
{
    settings is;
    bool no_interface;
    koi_text words;
    koi_output output;
    const char *mistake = read_settings(ctx, &is);
    if (mistake)
        return koi_error(KOI_MISCONFIGURED, koi_string(mistake));
    switch (look(&is, &no_interface, &words)) {
    case NOT_HERE: return koi_done();
    case UNKNOWN: return koi_error(KOI_RETRY, words);
    case HERE: break;
    }
    koi_ran ran = change(&is, false, &output);
    /* It may have gone in between. */
    if (koi_went_well(ran, &output) || look(&is, &no_interface, &words) == NOT_HERE)
        return koi_done();
    return koi_error(KOI_RETRY, koi_why_not(is.ip, ran, &output));
}

koi_result handler_stop(const koi_context *ctx)
{
    return handler_demote(ctx);
}

koi_result handler_start(const koi_context *ctx)
{
    settings is;
    bool no_interface;
    koi_text words;
    const char *mistake = read_settings(ctx, &is);
    if (mistake)
        return koi_error(KOI_MISCONFIGURED, koi_string(mistake));
    if (look(&is, &no_interface, &words) == UNKNOWN || no_interface)
        return koi_error(KOI_RETRY, words);
    /* Left over from a node that went down hard. */
    return handler_demote(ctx);
}

koi_result handler_promote(const koi_context *ctx)
{
    settings is;
    bool no_interface;
    koi_text words;
    koi_output output;
    const char *mistake = read_settings(ctx, &is);
    if (mistake)
        return koi_error(KOI_MISCONFIGURED, koi_string(mistake));
    whereabouts found = look(&is, &no_interface, &words);
    if (found == UNKNOWN || no_interface)
        return koi_error(KOI_RETRY, words);
    if (!koi_epoch_current())
        return koi_error(KOI_RETRY, KOI_JOIN(KOI("epoch "), koi_number(ctx->epoch), KOI(" is over; another node is master by now")));
    if (found == NOT_HERE) {
        koi_ran ran = change(&is, true, &output);
        if (!koi_went_well(ran, &output) && look(&is, &no_interface, &words) != HERE)
            return koi_error(KOI_RETRY, koi_why_not(is.ip, ran, &output));
    }
    announce(&is);
    return koi_done();
}

koi_status handler_status(const koi_context *ctx)
{
    settings is;
    bool no_interface;
    koi_text words;
    const char *mistake = read_settings(ctx, &is);
    if (mistake)
        return koi_status_error(KOI_MISCONFIGURED, koi_string(mistake));
    whereabouts found = look(&is, &no_interface, &words);
    if (found == UNKNOWN || (no_interface && ctx->role != KOI_ROLE_NONE))
        return koi_status_error(KOI_RETRY, words);

    bool elsewhere = ctx->has_master && !koi_same(ctx->master.key, ctx->node);
    if (found == HERE) {
        koi_text message = elsewhere ? KOI_JOIN(is.address, KOI(" is here, though "), ctx->master.key, KOI(" is master"))
                                     : KOI_JOIN(is.address, KOI(" is on "), is.interface);
        return koi_reports(KOI_PROMOTED, message);
    }
    if (ctx->role == KOI_ROLE_NONE)
        return koi_reports(KOI_STOPPED, KOI_NOTHING);
    return koi_reports(KOI_STANDBY, elsewhere ? KOI_JOIN(is.address, KOI(" is for "), ctx->master.key, KOI(" to have"))
                                              : KOI_JOIN(is.address, KOI(" is not here")));
}

koi_result handler_failed(const koi_context *ctx, const koi_failure *cause)
{
    (void)ctx;
    (void)cause;
    return koi_error(KOI_UNSUPPORTED, KOI_NOTHING);
}
