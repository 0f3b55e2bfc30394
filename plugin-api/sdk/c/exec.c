#include "exec.h"

#include <string.h>

/* Bytes of arguments in an error. */
enum { SHOWN = 200 };

#ifdef __wasm__
__attribute__((import_module("koi:service/exec@0.2.0"), import_name("run")))
#endif
void import_run(const char *program, size_t length, const koi_text *args, size_t arg_count, const koi_pair *env, size_t env_count,
                const char *in, size_t in_length, int32_t has_timeout, uint64_t timeout_ms, void *result);

/* Arguments in a line. A long one is left out whole, with all that follows: koi hides secrets, and does not know a part of one. */
static koi_text shown(koi_texts args)
{
    koi_text line = KOI("");
    for (size_t i = 0; i < args.count; i++) {
        koi_text arg = args.at[i], blank = line.length ? KOI(" ") : KOI("");
        if (line.length + arg.length > SHOWN)
            return KOI_JOIN(line, blank, KOI("…"));
        bool is_plain = arg.length && !memchr(arg.at, ' ', arg.length);
        line = is_plain ? KOI_JOIN(line, blank, arg) : KOI_JOIN(line, blank, KOI("\""), arg, KOI("\""));
    }
    return line;
}

koi_ran koi_exec_command(const koi_command *command, koi_output *output)
{
    bool has_timeout = command->timeout_ms != 0 && command->timeout_ms != KOI_REST_OF_CALL;
    struct {
        bool is_error;
        union {
            struct { bool exited; int32_t code; koi_text output, errors; bool truncated; } output;
            struct { uint8_t kind; koi_text words; } error;
        };
    } result;
    import_run(command->program.at, command->program.length, command->args.at, command->args.count, command->env.at, command->env.count,
               command->input.at, command->input.length, has_timeout, command->timeout_ms, &result);
    if (result.is_error) {
        koi_ran kind = (koi_ran)(KOI_DENIED + result.error.kind);
        koi_text words = kind == KOI_IO_ERROR ? result.error.words : kind == KOI_DENIED ? shown(command->args) : KOI_NOTHING;
        *output = (koi_output){ .errors = words };
        return kind;
    }
    *output = (koi_output){ .exited = result.output.exited, .code = result.output.code, .output = result.output.output,
                            .errors = result.output.errors, .truncated = result.output.truncated };
    return KOI_RAN;
}

koi_ran koi_exec(koi_text program, koi_texts args, uint64_t timeout_ms, koi_output *output)
{
    return koi_exec_command(&(koi_command){ .program = program, .args = args, .timeout_ms = timeout_ms }, output);
}

bool koi_went_well(koi_ran ran, const koi_output *output)
{
    return ran == KOI_RAN && output->exited && output->code == 0;
}

koi_text koi_why_not(koi_text program, koi_ran ran, const koi_output *output)
{
    koi_text words = koi_line_of(output->errors);
    switch (ran) {
    case KOI_RAN:
        if (words.length)
            return KOI_JOIN(program, KOI(": "), words);
        return output->exited ? KOI_JOIN(program, KOI(" exited with "), koi_number((uint64_t)output->code), KOI(" and said nothing"))
                              : KOI_JOIN(program, KOI(" was killed by a signal"));
    case KOI_DENIED:
        return KOI_JOIN(program, words.length ? KOI(" is not granted with these arguments: ") : KOI(" is not granted without arguments"),
                        words, KOI("; koid's log has the line for [grants]"));
    case KOI_NOT_FOUND: return KOI_JOIN(program, KOI(" is not there; install it, or name the place where it is"));
    case KOI_TIMED_OUT: return KOI_JOIN(program, KOI(" did not end in time"));
    case KOI_IO_ERROR: return KOI_JOIN(program, KOI(": "), words);
    }
    return program;
}

bool koi_run_command(const koi_command *command, koi_text *said)
{
    koi_output output;
    koi_ran ran = koi_exec_command(command, &output);
    bool well = koi_went_well(ran, &output);
    *said = well ? output.output : koi_why_not(command->program, ran, &output);
    return well;
}

bool koi_run(koi_text program, koi_texts args, uint64_t timeout_ms, koi_text *said)
{
    return koi_run_command(&(koi_command){ .program = program, .args = args, .timeout_ms = timeout_ms }, said);
}
