/* What tcp.c and http.c take of WASI 0.2: streams, and waiting until a deadline. */
#ifndef KOI_WASI_H
#define KOI_WASI_H

#include "koi.h"

#define WASI(interface, name) __attribute__((import_module("wasi:" interface "@0.2.0"), import_name(name)))

/* Resources are numbers; each is to be given back. */
typedef int32_t wasi_handle;

/* An instant after which nothing is waited for any more. */
wasi_handle wasi_deadline(uint64_t within_ms);

/* Waits for what is behind a pollable, which is given back; false: the deadline came first. */
bool wasi_wait(wasi_handle pollable, wasi_handle deadline);

typedef enum { WASI_WELL, WASI_LATE, WASI_CLOSED, WASI_BROKEN } wasi_end;

/* Sends all of it. */
wasi_end wasi_write(wasi_handle output, koi_text bytes, wasi_handle deadline);

/* At least a byte and at most `most`. */
wasi_end wasi_read(wasi_handle input, uint64_t most, wasi_handle deadline, koi_text *bytes);

WASI("io/streams", "[resource-drop]input-stream") void wasi_drop_input(wasi_handle input);
WASI("io/streams", "[resource-drop]output-stream") void wasi_drop_output(wasi_handle output);
WASI("io/poll", "[resource-drop]pollable") void wasi_drop_pollable(wasi_handle pollable);

#endif
