#include "wasi.h"

typedef struct { const uint32_t *at; size_t count; } numbers;

/* Where functions of streams put their result; the number of `check-write` stands at a multiple of 8, and all else nearer. */
typedef struct { uint8_t kind; wasi_handle error; } failure;
typedef struct { bool is_error; union { uint64_t room; failure failure; }; } room_result;
typedef struct { bool is_error; union { koi_text bytes; failure failure; }; } stream_result;

WASI("clocks/monotonic-clock", "subscribe-duration") wasi_handle import_subscribe_duration(uint64_t ns);
WASI("io/poll", "poll") void import_poll(const wasi_handle *pollables, size_t count, numbers *ready);
WASI("io/error", "[resource-drop]error") void import_drop_error(wasi_handle error);
WASI("io/streams", "[method]input-stream.read") void import_read(wasi_handle input, uint64_t most, stream_result *result);
WASI("io/streams", "[method]input-stream.subscribe") wasi_handle import_subscribe_input(wasi_handle input);
WASI("io/streams", "[method]output-stream.check-write") void import_check_write(wasi_handle output, room_result *result);
WASI("io/streams", "[method]output-stream.write") void import_write(wasi_handle output, const char *at, size_t length, stream_result *result);
WASI("io/streams", "[method]output-stream.flush") void import_flush(wasi_handle output, stream_result *result);
WASI("io/streams", "[method]output-stream.subscribe") wasi_handle import_subscribe_output(wasi_handle output);

wasi_handle wasi_deadline(uint64_t within_ms)
{
    return import_subscribe_duration(within_ms < UINT64_MAX / 1000000 ? within_ms * 1000000 : UINT64_MAX);
}

bool wasi_wait(wasi_handle pollable, wasi_handle deadline)
{
    wasi_handle both[] = { pollable, deadline };
    numbers ready;
    bool there = false;
    import_poll(both, 2, &ready);
    for (size_t i = 0; i < ready.count; i++)
        there |= ready.at[i] == 0;
    wasi_drop_pollable(pollable);
    return there;
}

static wasi_end ended(failure of)
{
    if (of.kind == 1)
        return WASI_CLOSED;
    import_drop_error(of.error);
    return WASI_BROKEN;
}

wasi_end wasi_write(wasi_handle output, koi_text bytes, wasi_handle deadline)
{
    stream_result result;
    while (bytes.length > 0) {
        room_result room;
        import_check_write(output, &room);
        if (room.is_error)
            return ended(room.failure);
        if (room.room == 0) {
            if (!wasi_wait(import_subscribe_output(output), deadline))
                return WASI_LATE;
            continue;
        }
        size_t now = room.room < bytes.length ? (size_t)room.room : bytes.length;
        import_write(output, bytes.at, now, &result);
        if (result.is_error)
            return ended(result.failure);
        bytes = (koi_text){ bytes.at + now, bytes.length - now };
    }
    import_flush(output, &result);
    return result.is_error ? ended(result.failure) : WASI_WELL;
}

wasi_end wasi_read(wasi_handle input, uint64_t most, wasi_handle deadline, koi_text *bytes)
{
    for (;;) {
        stream_result result;
        import_read(input, most, &result);
        if (result.is_error)
            return ended(result.failure);
        if (result.bytes.length > 0) {
            *bytes = result.bytes;
            return WASI_WELL;
        }
        if (!wasi_wait(import_subscribe_input(input), deadline))
            return WASI_LATE;
    }
}
