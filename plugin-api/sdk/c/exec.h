/* Programs of the node, for handlers of the world handler-exec. `exec` of [grants] says which, with which arguments. */
#ifndef KOI_EXEC_H
#define KOI_EXEC_H

#include "koi.h"

typedef enum { KOI_RAN, KOI_DENIED, KOI_NOT_FOUND, KOI_TIMED_OUT, KOI_IO_ERROR } koi_ran;
typedef struct {
    bool exited;            /* false: killed by a signal */
    int32_t code;
    koi_text output, errors;
    bool truncated;
} koi_output;

/* Runs the program at an absolute path with these arguments, to its end; for KOI_IO_ERROR the words are in output->errors. */
koi_ran koi_exec(koi_text program, koi_texts args, uint64_t timeout_ms, koi_output *output);

/* It ran, and exited with 0. */
bool koi_went_well(koi_ran ran, const koi_output *output);

/* In a line, what did not go well and what to do. */
koi_text koi_why_not(koi_text program, koi_ran ran, const koi_output *output);

/* The whole of it: true, and *said is what it wrote to its standard output; or false, and *said is why not. */
bool koi_run(koi_text program, koi_texts args, uint64_t timeout_ms, koi_text *said);

/* For `timeout_ms`: until the end of the call. */
#define KOI_REST_OF_CALL UINT64_MAX

#endif
