#include "tcp.h"
#include "wasi.h"

#include <string.h>

/* Those of wasi:sockets/network that people meet. */
enum { ACCESS_DENIED = 1, TIMEOUT = 5, WOULD_BLOCK = 8, UNREACHABLE = 13, REFUSED = 14, RESET = 15 };

typedef struct { bool is_error; union { uint8_t code; wasi_handle handle; }; } handle_result;
typedef struct { bool is_error; uint8_t code; } plain_result;
typedef struct { bool is_error; union { uint8_t code; struct { wasi_handle input, output; } streams; }; } streams_result;

WASI("sockets/instance-network", "instance-network") wasi_handle import_network(void);
WASI("sockets/network", "[resource-drop]network") void import_drop_network(wasi_handle network);
WASI("sockets/tcp-create-socket", "create-tcp-socket") void import_create_socket(int32_t family, handle_result *result);
WASI("sockets/tcp", "[resource-drop]tcp-socket") void import_drop_socket(wasi_handle socket);
WASI("sockets/tcp", "[method]tcp-socket.subscribe") wasi_handle import_subscribe_socket(wasi_handle socket);
WASI("sockets/tcp", "[method]tcp-socket.finish-connect") void import_finish_connect(wasi_handle socket, streams_result *result);
/* An address is as many numbers as one of IPv6 has; one of IPv4 has its port and four. */
WASI("sockets/tcp", "[method]tcp-socket.start-connect") void import_start_connect(wasi_handle socket, wasi_handle network,
    int32_t v6, int32_t port, int32_t a, int32_t b, int32_t c, int32_t d, int32_t e, int32_t f, int32_t g, int32_t h, int32_t i,
    int32_t j, plain_result *result);

static bool trouble(koi_tcp *connection, koi_text what)
{
    connection->trouble = KOI_JOIN(connection->address, KOI(": "), what);
    return false;
}

static bool refused(koi_tcp *connection, uint8_t code)
{
    switch (code) {
    case ACCESS_DENIED: return trouble(connection, KOI("not granted; koid's log has the line for [grants]"));
    case TIMEOUT: return trouble(connection, KOI("no answer in time"));
    case UNREACHABLE: return trouble(connection, KOI("no way there"));
    case REFUSED: return trouble(connection, KOI("connection refused; does it run?"));
    case RESET: return trouble(connection, KOI("connection reset"));
    default: return trouble(connection, KOI_JOIN(KOI("cannot connect: error "), koi_number(code), KOI(" of wasi:sockets")));
    }
}

static bool well(koi_tcp *connection, wasi_end end)
{
    switch (end) {
    case WASI_WELL: return true;
    case WASI_LATE: return trouble(connection, KOI("no answer in time"));
    case WASI_CLOSED: return trouble(connection, KOI("it closed the connection"));
    case WASI_BROKEN: return trouble(connection, KOI("the connection broke"));
    }
    return false;
}

static void start_connect(wasi_handle socket, const koi_address *to, plain_result *result)
{
    const uint16_t *p = to->parts;
    wasi_handle network = import_network();
    if (to->v6)
        import_start_connect(socket, network, 1, to->port, 0, p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], 0, result);
    else
        import_start_connect(socket, network, 0, to->port, p[0], p[1], p[2], p[3], 0, 0, 0, 0, 0, 0, result);
    import_drop_network(network);
}

bool koi_tcp_connect(koi_tcp *connection, koi_text address, uint64_t within_ms)
{
    koi_address to;
    handle_result socket;
    plain_result started;
    streams_result connected;
    *connection = (koi_tcp){ .address = address, .socket = -1, .input = -1, .output = -1, .deadline = -1 };
    if (!koi_parse_address(address, &to))
        return trouble(connection, KOI("not an IP address with a port, such as 10.0.0.5:5432; names are not looked up"));
    connection->deadline = wasi_deadline(within_ms);
    import_create_socket(to.v6, &socket);
    if (socket.is_error)
        return refused(connection, socket.code);
    connection->socket = socket.handle;
    start_connect(socket.handle, &to, &started);
    if (started.is_error)
        return refused(connection, started.code);
    for (;;) {
        import_finish_connect(socket.handle, &connected);
        if (!connected.is_error)
            break;
        if (connected.code != WOULD_BLOCK)
            return refused(connection, connected.code);
        if (!wasi_wait(import_subscribe_socket(socket.handle), connection->deadline))
            return well(connection, WASI_LATE);
    }
    connection->input = connected.streams.input;
    connection->output = connected.streams.output;
    return true;
}

bool koi_tcp_send(koi_tcp *connection, koi_text text)
{
    return well(connection, wasi_write(connection->output, text, connection->deadline));
}

bool koi_tcp_line(koi_tcp *connection, koi_text *line)
{
    for (;;) {
        koi_text *read = &connection->read, more;
        const char *end = read->length > 0 ? memchr(read->at, '\n', read->length) : NULL;
        if (end) {
            size_t length = (size_t)(end - read->at);
            *line = (koi_text){ read->at, length - (length > 0 && end[-1] == '\r') };
            *read = (koi_text){ end + 1, read->length - length - 1 };
            return true;
        }
        if (read->length >= KOI_TCP_LINE)
            return trouble(connection, KOI("a line without an end"));
        if (!well(connection, wasi_read(connection->input, 4096, connection->deadline, &more)))
            return false;
        *read = KOI_JOIN(*read, more);
    }
}

void koi_tcp_close(koi_tcp *connection)
{
    /* Streams go before their socket. */
    if (connection->input >= 0)
        wasi_drop_input(connection->input);
    if (connection->output >= 0)
        wasi_drop_output(connection->output);
    if (connection->socket >= 0)
        import_drop_socket(connection->socket);
    if (connection->deadline >= 0)
        wasi_drop_pollable(connection->deadline);
    connection->socket = connection->input = connection->output = connection->deadline = -1;
}
