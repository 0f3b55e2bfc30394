/* An IP address that is where the master is, by `ip` and `arping` of the node. */
#include "koi.h"

static const koi_config_key keys[] = {
    { KOI("address"), KOI("The address with its prefix length: 10.0.0.100/24"), true, { false, KOI_NOTHING } },
    { KOI("interface"), KOI("The interface that gets it"), true, { false, KOI_NOTHING } },
    { KOI("announce"), KOI("How often arping tells the network, once a second; 0: never"), false, { true, KOI("3") } },
    { KOI("ip"), KOI("Where the program ip lies"), false, { true, KOI("/usr/sbin/ip") } },
    { KOI("arping"), KOI("Where the program arping lies (iputils); empty for IPv6"), false, { true, KOI("/usr/bin/arping") } },
};

static const koi_capability wanted[] = { { KOI_EXEC, KOI("{ip}") }, { KOI_EXEC, KOI("{arping}") } };

koi_metadata handler_describe(void)
{
    return (koi_metadata){
        .name = KOI("virtual-ip"),
        .version = KOI("0.1.0"),
        .description = KOI("An IP address that is where the master is"),
        .hooks = KOI_HAS_START | KOI_HAS_STOP | KOI_HAS_PROMOTE | KOI_HAS_DEMOTE | KOI_HAS_STATUS,
        .capabilities = { wanted, sizeof(wanted) / sizeof(wanted[0]) },
        .config = { keys, sizeof(keys) / sizeof(keys[0]) },
    };
}

/* ---- [config] ------------------------------------------------------------------------------------------------------ */

typedef struct {
    koi_text address;       /* with its prefix length */
    koi_text host;          /* without */
    koi_text interface, announce, ip, arping;
    bool v6;
} settings;

/* Only these characters, and at least one: what is not an address must not reach a command line. */
static bool made_of(koi_text text, koi_text characters)
{
    for (size_t i = 0; i < text.length; i++) {
        size_t at = 0;
        while (at < characters.length && characters.at[at] != text.at[i])
            at++;
        if (at == characters.length)
            return false;
    }
    return text.length > 0;
}

/* Reads it; NULL, or what is wrong with it. */
static const char *read_settings(const koi_context *ctx, settings *is)
{
    static const struct { koi_text key; size_t at; } all[] = {
        { KOI("address"), offsetof(settings, address) }, { KOI("interface"), offsetof(settings, interface) },
        { KOI("announce"), offsetof(settings, announce) }, { KOI("ip"), offsetof(settings, ip) },
        { KOI("arping"), offsetof(settings, arping) },
    };
    *is = (settings){ .announce = KOI("3"), .ip = KOI("/usr/sbin/ip"), .arping = KOI("/usr/bin/arping") };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        koi_config(ctx, all[i].key, (koi_text *)((char *)is + all[i].at));

    is->host = is->address;
    for (size_t i = 0; i < is->address.length; i++) {
        is->v6 |= is->address.at[i] == ':';
        if (is->address.at[i] == '/')
            is->host.length = i;
    }
    koi_text prefix = { is->address.at + is->host.length + 1, is->address.length - is->host.length - 1 };
    int32_t bits, times;
    if (is->host.length == is->address.length || !made_of(is->host, KOI("0123456789abcdefABCDEF.:"))
        || !made_of(prefix, KOI("0123456789")) || !koi_parse_i32(prefix, &bits) || bits > (is->v6 ? 128 : 32))
        return "address: write an IP with its prefix length, for instance 10.0.0.100/24";
    if (!is->interface.length || is->interface.length > 15 || is->interface.at[0] == '-')
        return "interface: write the name of a network interface, for instance eth0";
    if (!made_of(is->announce, KOI("0123456789")) || !koi_parse_i32(is->announce, &times) || times > 60)
        return "announce: write a number from 0 to 60";
    if (!is->ip.length || is->ip.at[0] != '/')
        return "ip: write the absolute path of the program";
    return NULL;
}

/* ---- What is run on the node ---------------------------------------------------------------------------------------- */

/* A program that ran and said no: its first line. Otherwise why it did not run. */
static koi_text why(koi_ran ran, koi_text program, const koi_output *output)
{
    koi_text words = output->errors;
    for (size_t i = 0; i < words.length; i++)
        if (words.at[i] == '\n')
            words.length = i;
    switch (ran) {
    case KOI_RAN: return KOI_JOIN(program, KOI(": "), words.length ? words : KOI("failed and said nothing"));
    case KOI_DENIED: return KOI_JOIN(program, KOI(" is not granted with these arguments; the log has the line for [grants]"));
    case KOI_NOT_FOUND: return KOI_JOIN(program, KOI(" is not there; install it, or write into [config] where it lies"));
    case KOI_TIMED_OUT: return KOI_JOIN(program, KOI(" did not end in time"));
    case KOI_IO_ERROR: return KOI_JOIN(program, KOI(": "), words);
    }
    return program;
}

static bool well(koi_ran ran, const koi_output *output)
{
    return ran == KOI_RAN && output->exited && output->code == 0;
}

typedef enum { HERE, NOT_HERE, UNKNOWN } whereabouts;

/* Looks whether the interface has the address; for UNKNOWN `words` say why. An interface that is not there has none. */
static whereabouts look(const settings *is, bool *no_interface, koi_text *words)
{
    koi_output output;
    koi_ran ran = koi_exec(is->ip, KOI_LIST(KOI("-o"), KOI("addr"), KOI("show"), KOI("dev"), is->interface, KOI("to"), is->host), &output);
    *no_interface = false;
    if (well(ran, &output))
        return output.output.length > 0 ? HERE : NOT_HERE;
    *words = why(ran, is->ip, &output);
    koi_text gone = KOI("does not exist");
    for (size_t i = 0; ran == KOI_RAN && i + gone.length <= output.errors.length; i++)
        *no_interface |= koi_same((koi_text){ output.errors.at + i, gone.length }, gone);
    return *no_interface ? NOT_HERE : UNKNOWN;
}

/* Adds the address or takes it away. */
static koi_ran change(const settings *is, bool add, koi_output *output)
{
    /* IPv6 would be unusable for a second or two while the kernel asks whether somebody else has it: koi sees to that. */
    koi_text words[] = { KOI("addr"), add ? KOI("add") : KOI("del"), is->address, KOI("dev"), is->interface, KOI("nodad") };
    return koi_exec(is->ip, (koi_texts){ words, add && is->v6 ? 6 : 5 }, output);
}

/* Tells the network who has the address now. The address is there already: what goes wrong here is not a failure. */
static void announce(const settings *is)
{
    if (is->v6 || !is->arping.length || koi_same(is->announce, KOI("0")))
        return;
    koi_output output;
    koi_ran ran = koi_exec(is->arping, KOI_LIST(KOI("-q"), KOI("-U"), KOI("-c"), is->announce, KOI("-I"), is->interface, is->host), &output);
    if (!well(ran, &output))
        koi_log(KOI_WARN, KOI_JOIN(KOI("not announced: "), why(ran, is->arping, &output)));
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
    if (well(ran, &output) || look(&is, &no_interface, &words) == NOT_HERE)
        return koi_done();
    return koi_error(KOI_RETRY, why(ran, is.ip, &output));
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
        if (!well(ran, &output) && look(&is, &no_interface, &words) != HERE)
            return koi_error(KOI_RETRY, why(ran, is.ip, &output));
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
