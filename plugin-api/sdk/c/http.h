/* HTTP requests whose every wait ends at a deadline. `http` of [grants] says whereto. */
#ifndef KOI_HTTP_H
#define KOI_HTTP_H

#include "koi.h"

typedef struct {
    uint16_t status;        /* 200, …; redirects are not followed */
    koi_text body;          /* at most KOI_HTTP_BODY bytes of it */
    koi_text trouble;       /* in a line, why there is no answer and what to do; it begins with the URL */
} koi_answer;

enum { KOI_HTTP_BODY = 1024 * 1024 };

/* "http://host:port/path" or "https://…". False: there is no answer, and answer->trouble says why. One of any status is an answer. */
bool koi_http_get(koi_text url, uint64_t within_ms, koi_answer *answer);
bool koi_http_post(koi_text url, koi_text body, uint64_t within_ms, koi_answer *answer);

#endif
