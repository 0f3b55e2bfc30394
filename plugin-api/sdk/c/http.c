#include "http.h"
#include "wasi.h"

#include <string.h>

/* The cases of error-code that have words worth reading; the others are told by their names. */
static const char *const words[] = {
    "DNS-timeout", "no such host", "destination-not-found", "destination-unavailable",
    "its address is a private one; koid's log has the line for [grants]", "no way there", "connection refused; does it run?",
    "it closed the connection", "no answer in time", "no answer in time", "no answer in time", "connection-limit-reached",
    "TLS-protocol-error", "its certificate is not trusted", "TLS-alert-received",
    "not granted; koid's log has the line for [grants]", "HTTP-request-length-required", "HTTP-request-body-size",
    "HTTP-request-method-invalid", "HTTP-request-URI-invalid", "HTTP-request-URI-too-long", "HTTP-request-header-section-size",
    "HTTP-request-header-size", "HTTP-request-trailer-section-size", "HTTP-request-trailer-size", "HTTP-response-incomplete",
    "HTTP-response-header-section-size", "HTTP-response-header-size", "HTTP-response-body-size",
    "HTTP-response-trailer-section-size", "HTTP-response-trailer-size", "HTTP-response-transfer-coding",
    "HTTP-response-content-coding", "no answer in time", "HTTP-upgrade-failed", "it does not speak HTTP", "loop-detected",
    "configuration-error", "internal-error",
};

/* An error-code has room for a number of 64 bits, so it stands at a multiple of 8. */
typedef struct { uint8_t code; uint64_t payload[3]; } error_code;
typedef struct { bool is_error; union { wasi_handle handle; error_code error; }; } handle_result;
typedef struct { bool is_error; wasi_handle handle; } bare_result;
typedef struct { bool is_there; struct { bool was_taken; handle_result response; } answered; } future_result;

WASI("http/types", "[constructor]fields") wasi_handle import_fields(void);
WASI("http/types", "[constructor]outgoing-request") wasi_handle import_request(wasi_handle fields);
WASI("http/types", "[method]outgoing-request.set-method") int32_t import_set_method(wasi_handle request, int32_t method, const char *at, size_t length);
WASI("http/types", "[method]outgoing-request.set-scheme") int32_t import_set_scheme(wasi_handle request, int32_t some, int32_t scheme, const char *at, size_t length);
WASI("http/types", "[method]outgoing-request.set-authority") int32_t import_set_authority(wasi_handle request, int32_t some, const char *at, size_t length);
WASI("http/types", "[method]outgoing-request.set-path-with-query") int32_t import_set_path(wasi_handle request, int32_t some, const char *at, size_t length);
WASI("http/types", "[method]outgoing-request.body") void import_request_body(wasi_handle request, bare_result *result);
WASI("http/types", "[method]outgoing-body.write") void import_body_write(wasi_handle body, bare_result *result);
WASI("http/types", "[static]outgoing-body.finish") void import_body_finish(wasi_handle body, int32_t some, wasi_handle trailers, handle_result *result);
WASI("http/outgoing-handler", "handle") void import_handle(wasi_handle request, int32_t some, wasi_handle options, handle_result *result);
WASI("http/types", "[method]future-incoming-response.subscribe") wasi_handle import_subscribe_future(wasi_handle future);
WASI("http/types", "[method]future-incoming-response.get") void import_future_get(wasi_handle future, future_result *result);
WASI("http/types", "[method]incoming-response.status") int32_t import_status(wasi_handle response);
WASI("http/types", "[method]incoming-response.consume") void import_consume(wasi_handle response, bare_result *result);
WASI("http/types", "[method]incoming-body.stream") void import_body_stream(wasi_handle body, bare_result *result);

enum { GET = 0, POST = 2, HTTP = 0, HTTPS = 1 };

typedef struct { koi_text url; koi_answer *answer; wasi_handle deadline; } exchange;

static bool trouble(const exchange *of, koi_text what)
{
    of->answer->trouble = KOI_JOIN(of->url, KOI(": "), what);
    return false;
}

static bool refused(const exchange *of, uint8_t code)
{
    return trouble(of, code < sizeof(words) / sizeof(words[0]) ? koi_string(words[code]) : KOI("no answer"));
}

/* A request to this URL, without a body yet. */
static bool prepare(const exchange *of, int32_t method, wasi_handle *request)
{
    koi_text scheme = KOI("http://"), secure = KOI("https://"), rest = of->url;
    bool is_secure = rest.length > secure.length && koi_same((koi_text){ rest.at, secure.length }, secure);
    if (is_secure)
        scheme = secure;
    if (rest.length <= scheme.length || !koi_same((koi_text){ rest.at, scheme.length }, scheme))
        return trouble(of, KOI("not a URL such as http://host:port/path"));
    rest = (koi_text){ rest.at + scheme.length, rest.length - scheme.length };
    const char *slash = memchr(rest.at, '/', rest.length);
    koi_text host = { rest.at, slash ? (size_t)(slash - rest.at) : rest.length };
    koi_text path = slash ? (koi_text){ slash, rest.length - host.length } : KOI("/");
    *request = import_request(import_fields());
    if (import_set_method(*request, method, NULL, 0) || import_set_scheme(*request, 1, is_secure ? HTTPS : HTTP, NULL, 0)
        || import_set_authority(*request, 1, host.at, host.length) || import_set_path(*request, 1, path.at, path.length))
        return trouble(of, KOI("not a URL such as http://host:port/path"));
    return true;
}

/* A body begins before the request is sent, and ends after that. */
static bool send(const exchange *of, wasi_handle request, koi_text content, wasi_handle *future)
{
    bare_result body, output;
    handle_result sent, finished;
    import_request_body(request, &body);
    import_handle(request, 0, 0, &sent);
    if (sent.is_error)
        return refused(of, sent.error.code);
    *future = sent.handle;
    import_body_write(body.handle, &output);
    wasi_end end = wasi_write(output.handle, content, of->deadline);
    wasi_drop_output(output.handle);
    if (end == WASI_LATE)
        return trouble(of, KOI("no answer in time"));
    /* If the other side takes no more, its answer says why. */
    import_body_finish(body.handle, 0, 0, &finished);
    return true;
}

static bool receive(const exchange *of, wasi_handle future, wasi_handle *response)
{
    future_result result;
    for (;;) {
        import_future_get(future, &result);
        if (result.is_there)
            break;
        if (!wasi_wait(import_subscribe_future(future), of->deadline))
            return trouble(of, KOI("no answer in time"));
    }
    if (result.answered.was_taken)
        return trouble(of, KOI("no answer"));
    if (result.answered.response.is_error)
        return refused(of, result.answered.response.error.code);
    *response = result.answered.response.handle;
    return true;
}

static bool read_body(const exchange *of, wasi_handle response)
{
    bare_result body, input;
    koi_text more;
    import_consume(response, &body);
    import_body_stream(body.handle, &input);
    while (of->answer->body.length < KOI_HTTP_BODY) {
        switch (wasi_read(input.handle, KOI_HTTP_BODY - of->answer->body.length, of->deadline, &more)) {
        case WASI_WELL: of->answer->body = KOI_JOIN(of->answer->body, more); break;
        case WASI_CLOSED: return true;
        case WASI_LATE: return trouble(of, KOI("its answer did not end in time"));
        case WASI_BROKEN: return trouble(of, KOI("its answer broke off"));
        }
    }
    return true;
}

static bool ask(koi_text url, int32_t method, koi_text content, uint64_t within_ms, koi_answer *answer)
{
    exchange of = { url, answer, wasi_deadline(within_ms) };
    wasi_handle request, future, response;
    *answer = (koi_answer){ 0 };
    if (!prepare(&of, method, &request) || !send(&of, request, content, &future) || !receive(&of, future, &response))
        return false;
    answer->status = (uint16_t)import_status(response);
    return read_body(&of, response);
}

bool koi_http_get(koi_text url, uint64_t within_ms, koi_answer *answer)
{
    return ask(url, GET, KOI_NOTHING, within_ms, answer);
}

bool koi_http_post(koi_text url, koi_text body, uint64_t within_ms, koi_answer *answer)
{
    return ask(url, POST, body, within_ms, answer);
}
