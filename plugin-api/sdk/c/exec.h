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

/* A program with all that it is given. What is left out is not there:
 *   { .program = KOI("/usr/bin/psql"), .args = KOI_LIST(KOI("-f"), KOI("-")), .input = statement } */
typedef struct {
    koi_text program;       /* its absolute path */
    koi_texts args;         /* everybody on the node sees them */
    koi_text input;         /* what it reads from its standard input: a secret goes there */
    koi_pairs env;          /* variables; exec-env of [grants] says which may be set */
    uint64_t timeout_ms;    /* 0: until the end of the call */
} koi_command;

/* Runs it to its end. For KOI_IO_ERROR the words are in output->errors, for KOI_DENIED the arguments in a line. */
koi_ran koi_exec_command(const koi_command *command, koi_output *output);

/* The same for a program that is given nothing but arguments. */
koi_ran koi_exec(koi_text program, koi_texts args, uint64_t timeout_ms, koi_output *output);

/* It ran, and exited with 0. */
bool koi_went_well(koi_ran ran, const koi_output *output);

/* In a line, what did not go well and what to do. */
koi_text koi_why_not(koi_text program, koi_ran ran, const koi_output *output);

/* The whole of it: true, and *said is what it wrote to its standard output; or false, and *said is why not. */
bool koi_run_command(const koi_command *command, koi_text *said);
bool koi_run(koi_text program, koi_texts args, uint64_t timeout_ms, koi_text *said);

/* For `timeout_ms`: until the end of the call. */
#define KOI_REST_OF_CALL UINT64_MAX

#endif
