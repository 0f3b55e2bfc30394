#include "exec.h"

#ifdef __wasm__
__attribute__((import_module("koi:service/exec@0.2.0"), import_name("run")))
#endif
void import_run(const char *program, size_t length, const koi_text *args, size_t arg_count, const koi_pair *env, size_t env_count,
                const char *in, size_t in_length, int32_t has_timeout, uint64_t timeout_ms, void *result);

koi_ran koi_exec(koi_text program, koi_texts args, uint64_t timeout_ms, koi_output *output)
{
    struct {
        bool is_error;
        union {
            struct { bool exited; int32_t code; koi_text output, errors; bool truncated; } output;
            struct { uint8_t kind; koi_text words; } error;
        };
    } result;
    import_run(program.at, program.length, args.at, args.count, NULL, 0, NULL, 0, timeout_ms != KOI_REST_OF_CALL, timeout_ms, &result);
    if (result.is_error) {
        koi_ran kind = (koi_ran)(KOI_DENIED + result.error.kind);
        *output = (koi_output){ .errors = kind == KOI_IO_ERROR ? result.error.words : KOI_NOTHING };
        return kind;
    }
    *output = (koi_output){ .exited = result.output.exited, .code = result.output.code, .output = result.output.output,
                            .errors = result.output.errors, .truncated = result.output.truncated };
    return KOI_RAN;
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
    case KOI_DENIED: return KOI_JOIN(program, KOI(" is not granted with these arguments; koid's log has the line for [grants]"));
    case KOI_NOT_FOUND: return KOI_JOIN(program, KOI(" is not there; install it, or name the place where it is"));
    case KOI_TIMED_OUT: return KOI_JOIN(program, KOI(" did not end in time"));
    case KOI_IO_ERROR: return KOI_JOIN(program, KOI(": "), words);
    }
    return program;
}

bool koi_run(koi_text program, koi_texts args, uint64_t timeout_ms, koi_text *said)
{
    koi_output output;
    koi_ran ran = koi_exec(program, args, timeout_ms, &output);
    bool well = koi_went_well(ran, &output);
    *said = well ? output.output : koi_why_not(program, ran, &output);
    return well;
}
