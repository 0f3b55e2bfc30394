/* TCP connections whose every wait ends at a deadline. `tcp` of [grants] says whereto. */
#ifndef KOI_TCP_H
#define KOI_TCP_H

#include "koi.h"

typedef struct {
    koi_text address;
    koi_text trouble;       /* in a line, what went wrong last and what to do; it begins with the address */
    int32_t socket, input, output, deadline;
    koi_text read;          /* what has come and was not asked for yet */
} koi_tcp;

/* Connects to "ip:port" or "[ip]:port"; whatever is done with the connection is over within `within_ms`. Names are not looked up.
 * This and the functions below: false, and connection->trouble says why. */
bool koi_tcp_connect(koi_tcp *connection, koi_text address, uint64_t within_ms);
bool koi_tcp_send(koi_tcp *connection, koi_text text);

/* The next line, without its end; at most KOI_TCP_LINE bytes. */
enum { KOI_TCP_LINE = 64 * 1024 };
bool koi_tcp_line(koi_tcp *connection, koi_text *line);

/* Also one that could not be opened. It happens by itself when the call ends. */
void koi_tcp_close(koi_tcp *connection);

#endif
