/* What koi gives to a handler in C, and what it wants of it: wit/koi-service.wit (koi:service@0.2.0), in C.
 *
 * Write the seven functions under "yours" and link with koi.c and text.c. Memory is never freed: a fresh instance serves each call, and all
 * of it goes with the call. The layouts are those of the component model, so nothing here may be reordered. */
#ifndef KOI_H
#define KOI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* UTF-8, or any bytes; without a zero at the end. */
typedef struct { const char *at; size_t length; } koi_text;

/* A literal as a text: KOI("standby"). Nothing else compiles, for the size of a pointer says nothing of what it points to: a
 * `const char *` goes through koi_string. */
#define KOI(literal) ((koi_text){ "" literal "", sizeof(literal) - 1 })
#define KOI_NOTHING ((koi_text){ 0, 0 })

typedef struct { koi_text key, value; } koi_pair;
typedef struct { const koi_pair *at; size_t count; } koi_pairs;
typedef struct { const koi_text *at; size_t count; } koi_texts;

/* ---- What comes with a call ------------------------------------------------------------------------------------- */

typedef enum { KOI_ROLE_NONE, KOI_ROLE_STANDBY, KOI_ROLE_PROMOTED } koi_role;

/* How another node is, as far as the group goes. */
typedef enum {
    KOI_PEER_FAILED,       /* something of it has failed, and it is down */
    KOI_PEER_DISCONNECTED, /* it is not heard, or its koid has ended */
    KOI_PEER_STOPPED,      /* it is not to run there */
    KOI_PEER_LIVE,         /* it runs, or is being started, and cannot be promoted yet */
    KOI_PEER_STANDBY,      /* it runs, and can be promoted */
    KOI_PEER_MASTER        /* it is the master */
} koi_peer_state;

/* Another node that runs the group, as the leader has seen it. */
typedef struct {
    koi_text name;          /* the node's name */
    uint8_t state;          /* koi_peer_state */
    bool promotable;        /* it could be made master now */
    struct { bool has; int64_t value; } score; /* `has`: its services have said one */
    bool has_address;       /* it is known where it is reached: */
    koi_text address;       /* an IP, without a port */
} koi_peer;

typedef struct { const koi_peer *at; size_t count; } koi_peers;

/* Everything koi knows about one call. */
typedef struct {
    koi_text service;       /* the service's name */
    koi_text node;          /* the node's name */
    uint64_t call_id;       /* tells calls apart in logs */
    uint32_t attempt;       /* 1 for the first try */
    uint8_t role;           /* koi_role: what the service is to be */
    uint64_t epoch;         /* the fencing token: grows with every mastership; 0: there was none yet */
    bool has_master;        /* somebody is master: */
    koi_pair master;        /* its name, and its IP (may be empty) */
    uint64_t timeout_ms;    /* past it the call has failed */
    bool has_workdir;       /* the service's folder is granted: */
    koi_text workdir;
    koi_pairs config;       /* [config] of service.toml, and the defaults of what it leaves out */
    uint64_t deadline_ms;   /* how long this call really has: timeout_ms, or less where lease and grace end before; 0: they are over */
    uint64_t promoted_epoch; /* the newest epoch under which a node has promoted all of its critical services; 0: none is known */
    bool has_previous;      /* it is known who was master before: */
    struct { koi_text name; uint64_t epoch; } previous;
    bool has_reason;        /* the service goes down, and there is a word for why: */
    uint8_t reason;         /* koi_reason */
    koi_text group;         /* the group that the service is promoted with; "main" where there are no others */
    bool has_peers;         /* there is a leader, and it has said who else runs the group: */
    koi_peers peers;
} koi_context;

/* Why a service goes down. */
typedef enum {
    KOI_REASON_LEASE_LOST,  /* another node may soon be promoted */
    KOI_REASON_ORDERED,     /* the mastership is wanted elsewhere, or the service is to be down */
    KOI_REASON_FAILED,      /* this service, or another of the node, has failed */
    KOI_REASON_STOPPING,    /* the services of the node are stopped */
    KOI_REASON_FENCED       /* lease and grace are over */
} koi_reason;

typedef enum {
    KOI_HOOK_START, KOI_HOOK_STOP, KOI_HOOK_PROMOTE, KOI_HOOK_DEMOTE, KOI_HOOK_STATUS, KOI_HOOK_FAILED,
    KOI_HOOK_CHANGED
} koi_hook;

/* Why `failed` is called. */
typedef struct {
    uint8_t hook;           /* koi_hook: what went wrong */
    koi_text message;
    bool timed_out;
} koi_failure;

/* The value of a key of [config], or the default that handler_describe declares for it. False: there is neither, and *value is
 * left as it was. */
bool koi_config(const koi_context *ctx, koi_text key, koi_text *value);

/* The same for keys of these types. koid has seen to it that a value is of its type. */
bool koi_config_integer(const koi_context *ctx, koi_text key, int64_t *value);
bool koi_config_boolean(const koi_context *ctx, koi_text key, bool *value);
bool koi_config_duration(const koi_context *ctx, koi_text key, uint64_t *ms);

/* All values of a key that may have many. */
koi_texts koi_config_all(const koi_context *ctx, koi_text key);

/* ---- What a hook answers ----------------------------------------------------------------------------------------- */

typedef enum { KOI_RETRY, KOI_FATAL, KOI_MISCONFIGURED, KOI_UNSUPPORTED } koi_error_kind;

/* Done, or why not: retry here later; not on this node; not before [config] is mended; this hook is not there after all. */
typedef struct {
    bool is_error;
    struct { uint8_t kind; koi_text message; } error;
} koi_result;

koi_result koi_done(void);
koi_result koi_error(koi_error_kind kind, koi_text message);

typedef enum {
    KOI_OK, KOI_PROMOTED, KOI_STANDBY, KOI_LIVE, KOI_STOPPED, KOI_FAILED
} koi_state;

/* A process that the service runs in, by its id or by a file whose first line is the id; see koi_process. */
typedef struct {
    bool is_file;
    union { uint32_t id; koi_text file; };
} koi_named_process;

/* What `status` saw. */
typedef struct {
    uint8_t state;          /* koi_state */
    koi_text message;       /* one line for people */
    _Alignas(8) bool has_score; /* among the standbys the highest is promoted first */
    int64_t score;
    koi_pairs details;      /* for people; see koi_detail */
    struct { const koi_named_process *at; size_t count; } processes; /* see koi_process */
} koi_report;

typedef struct {
    bool is_error;
    union {
        koi_report report;
        struct { uint8_t kind; koi_text message; } error;
    };
} koi_status;

koi_status koi_reports(koi_state state, koi_text message);
koi_status koi_status_error(koi_error_kind kind, koi_text message);

/* Adds a detail to a report, kept in memory that outlives the function. (An array that is local to handler_status does not.) koid
 * takes KOI_DETAILS of them; more are dropped, as are those of an error. */
enum { KOI_DETAILS = 16 };
void koi_detail(koi_status *status, koi_text key, koi_text value);

/* Adds a process that the service runs in: koi watches it, and asks for the status at once when it ends. By its id, or by a file whose first
 * line is the id, in a directory that [grants] lets the handler read. koid watches KOI_PROCESSES of them; more are dropped, as are those of an
 * error. */
enum { KOI_PROCESSES = 8 };
void koi_process(koi_status *status, uint32_t id);
void koi_pidfile(koi_status *status, koi_text path);

/* ---- What a handler says of itself -------------------------------------------------------------------------------- */

enum {
    KOI_HAS_START = 1, KOI_HAS_STOP = 2, KOI_HAS_PROMOTE = 4, KOI_HAS_DEMOTE = 8, KOI_HAS_STATUS = 16, KOI_HAS_FAILED = 32,
    KOI_HAS_CHANGED = 64
};

typedef enum {
    KOI_EXEC, KOI_EXEC_ENV, KOI_TCP, KOI_UDP, KOI_HTTP, KOI_LOOKUP, KOI_READ, KOI_WRITE, KOI_ENV
} koi_capability;

/* Something of the node that it wants, and what for, in a line for the operator who decides:
 *   { KOI_TCP, .value = KOI("{address}"), .reason = KOI("To see whether it answers") }
 * {key} stands for what [config] has there; a key without a value makes no want. */
typedef struct {
    uint8_t capability;     /* koi_capability */
    union {
        koi_text value;     /* of all but these two: */
        struct {            /* KOI_EXEC: a program with its arguments; KOI_LOOKUP: nothing */
            koi_texts words;
            bool has_user;
            koi_text user;  /* as whom it runs */
            bool keep;      /* it launches something that outlives the call */
        } program;
    };
    koi_text reason;
} koi_want;

typedef enum {
    KOI_TEXT, KOI_INTEGER, KOI_BOOLEAN, KOI_DURATION, KOI_ADDRESS, KOI_IP, KOI_ONE_OF, KOI_SECRET
} koi_config_type;

/* A key of [config] that it understands:
 *   { .name = KOI("patience"), .description = KOI("How long it may take"), .type = KOI_DURATION, .value = KOI_LIST(KOI("2s")) } */
typedef struct {
    koi_text name, description;
    uint8_t type __attribute__((aligned(8)));       /* koi_config_type */
    union {
        struct { int64_t least, most; } integer;    /* of KOI_INTEGER */
        koi_texts one_of;                           /* of KOI_ONE_OF */
    };
    bool many;              /* it may have a list of values */
    bool required;
    koi_texts value;        /* the default, as service.toml would have it */
} koi_config_key;

typedef struct {
    koi_text name;          /* what services name it by: a-z, 0-9 and - */
    koi_text version, description;
    uint8_t hooks;          /* KOI_HAS_… added up; the others count as done */
    struct { const koi_want *at; size_t count; } wants;
    struct { const koi_config_key *at; size_t count; } config;
} koi_metadata;

/* ---- Yours --------------------------------------------------------------------------------------------------------- */

koi_metadata handler_describe(void);
koi_result handler_start(const koi_context *ctx);
koi_result handler_stop(const koi_context *ctx);
koi_result handler_promote(const koi_context *ctx);
koi_result handler_demote(const koi_context *ctx);
koi_status handler_status(const koi_context *ctx);
koi_result handler_failed(const koi_context *ctx, const koi_failure *cause);
/* Of a handler that is built with KOI_CHANGES, for a world that exports koi:service/changes; and it says KOI_HAS_CHANGED. */
koi_result handler_changed(const koi_context *ctx);

/* ---- What koi offers ------------------------------------------------------------------------------------------------ */

typedef enum { KOI_TRACE, KOI_DEBUG, KOI_INFO, KOI_WARN, KOI_ERROR } koi_level;

void koi_log(koi_level level, koi_text message);
uint64_t koi_remaining_ms(void);   /* of this call */
bool koi_epoch_current(void);      /* false: a newer mastership is known; stop here */
bool koi_sleep(uint64_t ms);       /* false: koi wants the call to end */

/* The service's store on this node. False: the disk or the room (1 MiB, 1024 keys) is at fault. A key that is not there has the
 * value KOI_NOTHING, whose `at` is null. */
bool koi_get(koi_text key, koi_text *value);
bool koi_set(koi_text key, koi_text value);
bool koi_delete(koi_text key);

/* The attributes of the service's group, which the whole cluster shares: its master writes them, every node reads them. */
typedef enum {
    KOI_NOT_MASTER,         /* the node is not master under the epoch of this call: nothing was written */
    KOI_INVALID,            /* no key, too long a value, no room for one more: nothing was written */
    KOI_UNAVAILABLE,        /* no leader, no quorum, an older koi among the electors: nothing was written */
    KOI_UNKNOWN             /* nobody knows; it may yet take effect */
} koi_attributes_error;

/* How a read or write of attributes ended. `kind` and `message` say why where `is_error` is set. */
typedef struct {
    bool is_error;
    struct { uint8_t kind; koi_text message; } error; /* koi_attributes_error; a line for people */
} koi_attributes_result;

/* All of them as this node acts on them; `fresh`: as the leader knows them, which is asked for that. `version` is "TERM.N", and empty where
 * nothing was ever written; it may be null. */
koi_attributes_result koi_attributes(bool fresh, koi_pairs *attributes, koi_text *version);
/* When it returns a quorum has it on disk, and this node acts on it. */
koi_attributes_result koi_set_attribute(koi_text key, koi_text value);
koi_attributes_result koi_remove_attribute(koi_text key);
/* The value of one of them; false: there is none. */
bool koi_attribute(koi_pairs attributes, koi_text key, koi_text *value);

/* ---- Texts ----------------------------------------------------------------------------------------------------------- */

koi_text koi_string(const char *zero_terminated);   /* what is not a literal; it is not copied */
koi_text koi_join(koi_texts parts);                 /* one after the other */
koi_text koi_number(uint64_t number);               /* in digits */
bool koi_same(koi_text a, koi_text b);
bool koi_parse_integer(koi_text text, int64_t *number); /* false: not a whole number of 64 bits */
koi_text koi_line_of(koi_text text);                /* its first line that has something in it */

/* An IP and a port, from "ip:port" or "[ip]:port"; false: it is none of them, a name for instance. */
typedef struct { bool v6; uint16_t parts[8]; uint16_t port; } koi_address;
bool koi_parse_address(koi_text text, koi_address *address);

/* Memory for texts that outlive a function; it goes with the call. */
void *koi_memory(size_t bytes);

/* A list of texts, and one text of several: KOI_JOIN(KOI("epoch "), koi_number(7)). */
#define KOI_LIST(...) ((koi_texts){ (const koi_text[]){ __VA_ARGS__ }, sizeof((const koi_text[]){ __VA_ARGS__ }) / sizeof(koi_text) })
#define KOI_JOIN(...) koi_join(KOI_LIST(__VA_ARGS__))

/* A list of keys with their values: KOI_PAIRS({ KOI("PGUSER"), KOI("koi") }). */
#define KOI_PAIRS(...) ((koi_pairs){ (const koi_pair[]){ __VA_ARGS__ }, sizeof((const koi_pair[]){ __VA_ARGS__ }) / sizeof(koi_pair) })

#endif
