/* Tests of text.c and exec.c, on the machine itself: cc -Wall -Wextra -Werror -I.. text.c ../text.c ../exec.c && ./a.out */
#include "exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(what) \
    do \
        if (!(what)) { \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); \
            exit(1); \
        } \
    while (0)

static const koi_pair pairs[] = {
    { KOI("score"), KOI("-7") }, { KOI("patience"), KOI("1500") }, { KOI("quiet"), KOI("true") },
    { KOI("peer"), KOI("a") }, { KOI("peer"), KOI("b") }, { KOI("password"), KOI("hunter2") },
};
static const koi_context ctx = { .config = { pairs, 6 } };

static void values_come_in_the_types_of_the_language(void)
{
    int64_t score;
    uint64_t ms;
    bool quiet;
    koi_text peer;
    CHECK(koi_config_integer(&ctx, KOI("score"), &score) && score == -7);
    CHECK(koi_config_duration(&ctx, KOI("patience"), &ms) && ms == 1500);
    CHECK(koi_config_boolean(&ctx, KOI("quiet"), &quiet) && quiet);
    CHECK(koi_config(&ctx, KOI("peer"), &peer) && koi_same(peer, KOI("a")));
    koi_texts peers = koi_config_all(&ctx, KOI("peer"));
    CHECK(peers.count == 2 && koi_same(peers.at[1], KOI("b")));
}

static void what_is_not_there_changes_nothing(void)
{
    int64_t number = 5;
    uint64_t ms = 6;
    CHECK(!koi_config_integer(&ctx, KOI("none"), &number) && number == 5);
    CHECK(!koi_config_duration(&ctx, KOI("score"), &ms) && ms == 6);
    CHECK(!koi_config_integer(&ctx, KOI("password"), &number) && number == 5);
    CHECK(koi_config_all(&ctx, KOI("none")).count == 0);
}

static bool is_integer(const char *text, int64_t expected)
{
    int64_t number;
    return koi_parse_integer(koi_string(text), &number) && number == expected;
}

static void integers_are_read_to_their_limits(void)
{
    int64_t number;
    const char *wrong[] = { "", "-", "1x", " 1", "1 ", "+1", "9223372036854775808", "-9223372036854775809", "99999999999999999999" };
    CHECK(is_integer("0", 0) && is_integer("-0", 0) && is_integer("42", 42));
    CHECK(is_integer("9223372036854775807", INT64_MAX) && is_integer("-9223372036854775808", INT64_MIN));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CHECK(!koi_parse_integer(koi_string(wrong[i]), &number));
}

static bool is_address(const char *text, bool v6, const uint16_t *parts, uint16_t port)
{
    koi_address address;
    return koi_parse_address(koi_string(text), &address) && address.v6 == v6 && address.port == port
        && memcmp(address.parts, parts, (v6 ? 8 : 4) * sizeof(parts[0])) == 0;
}

static void addresses_are_read_and_names_are_not(void)
{
    koi_address address;
    CHECK(is_address("127.0.0.1:6379", false, (uint16_t[]){ 127, 0, 0, 1 }, 6379));
    CHECK(is_address("[::1]:80", true, (uint16_t[8]){ 0, 0, 0, 0, 0, 0, 0, 1 }, 80));
    CHECK(is_address("[::]:1", true, (uint16_t[8]){ 0 }, 1));
    CHECK(is_address("[fd00::A:b]:65535", true, (uint16_t[8]){ 0xfd00, 0, 0, 0, 0, 0, 0xa, 0xb }, 65535));
    CHECK(is_address("[fe80::]:9", true, (uint16_t[8]){ 0xfe80 }, 9));
    CHECK(is_address("[1:2:3:4:5:6:7:8]:9", true, (uint16_t[8]){ 1, 2, 3, 4, 5, 6, 7, 8 }, 9));
    const char *wrong[] = { "", ":", "1.2.3.4", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3:4", "1.2.3.256:4", "1.2.3.4.5:6",
                            "localhost:80", "db.example:5432", "::1:80", "[::1]", "[1:2:3]:4", "[1::2::3]:4", "[12345::]:4",
                            "[1:2:3:4:5:6:7:8:9]:4", "[1:2:3:4::5:6:7:8]:9", "[:1]:4", "[1:]:4", "[]:4" };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CHECK(!koi_parse_address(koi_string(wrong[i]), &address));
}

static void texts_are_joined_and_cut(void)
{
    CHECK(koi_same(KOI_JOIN(KOI("epoch "), koi_number(18446744073709551615u)), KOI("epoch 18446744073709551615")));
    CHECK(koi_same(koi_line_of(KOI("\n\nfirst\r\nsecond")), KOI("first")));
    CHECK(koi_same(koi_line_of(KOI("")), KOI("")));
}

/* Stands for koi: what the next program does. */
static struct { uint8_t is_error, kind; int32_t code; koi_text output, words; } next;
static koi_command ran_with;
static bool ran_with_timeout;

void import_run(const char *program, size_t length, const koi_text *args, size_t arg_count, const koi_pair *env, size_t env_count,
                const char *in, size_t in_length, int32_t has_timeout, uint64_t timeout_ms, void *result)
{
    struct {
        bool is_error;
        union {
            struct { bool exited; int32_t code; koi_text output, errors; bool truncated; } output;
            struct { uint8_t kind; koi_text words; } error;
        };
    } *to = result;
    ran_with = (koi_command){ { program, length }, { args, arg_count }, { in, in_length }, { env, env_count }, timeout_ms };
    ran_with_timeout = has_timeout;
    to->is_error = next.is_error;
    if (next.is_error)
        to->error.kind = next.kind, to->error.words = next.words;
    else
        to->output.exited = next.kind == 0, to->output.code = next.code, to->output.output = next.output, to->output.errors = next.words, to->output.truncated = false;
}

static bool says(bool well, const char *expected)
{
    koi_text said;
    return koi_run(KOI("/usr/bin/df"), KOI_LIST(KOI("--"), KOI("/")), 1000, &said) == well && koi_same(said, koi_string(expected));
}

static void a_program_gives_its_output_or_says_why_not(void)
{
    next.output = KOI("42%\n");
    CHECK(says(true, "42%\n") && ran_with.args.count == 2 && ran_with_timeout && ran_with.timeout_ms == 1000);
    next.code = 3;
    CHECK(says(false, "/usr/bin/df exited with 3 and said nothing"));
    next.words = KOI("df: /x: no such file\nmore\n");
    CHECK(says(false, "/usr/bin/df: df: /x: no such file"));
    next.words = KOI_NOTHING, next.kind = 1;
    CHECK(says(false, "/usr/bin/df was killed by a signal"));
    next.is_error = 1, next.kind = 0;
    CHECK(says(false, "/usr/bin/df is not granted with these arguments: -- /; koid's log has the line for [grants]"));
    next.kind = 2;
    CHECK(says(false, "/usr/bin/df did not end in time"));
    next.kind = 3, next.words = KOI("no memory");
    CHECK(says(false, "/usr/bin/df: no memory"));
}

static bool is_denied(koi_texts args, const char *expected)
{
    koi_text said;
    next.is_error = 1, next.kind = 0;
    bool well = koi_run(KOI("/x"), args, KOI_REST_OF_CALL, &said);
    next.is_error = 0;
    return !well && !ran_with_timeout && koi_same(said, KOI_JOIN(KOI("/x is not granted with"), koi_string(expected), KOI("; koid's log has the line for [grants]")));
}

static void what_is_not_granted_is_shown_and_no_part_of_a_secret(void)
{
    char secret[201] = { 0 };
    memset(secret, 'x', 200);
    CHECK(is_denied(KOI_LIST(KOI("--"), KOI(""), KOI("/a b")), " these arguments: -- \"\" \"/a b\""));
    CHECK(is_denied((koi_texts){ 0 }, "out arguments"));
    CHECK(is_denied(KOI_LIST(KOI("-p"), koi_string(secret), KOI("/")), " these arguments: -p …"));
}

static void a_program_reads_a_secret_and_has_the_variables_that_it_is_given(void)
{
    koi_text said;
    koi_command command = { .program = KOI("/usr/bin/psql"), .args = KOI_LIST(KOI("-f"), KOI("-")), .input = KOI("hunter2"),
                            .env = KOI_PAIRS({ KOI("PGUSER"), KOI("koi") }) };
    next.kind = 0, next.code = 0, next.output = KOI("done");
    CHECK(koi_run_command(&command, &said) && koi_same(said, KOI("done")));
    CHECK(koi_same(ran_with.program, KOI("/usr/bin/psql")) && ran_with.args.count == 2 && koi_same(ran_with.input, KOI("hunter2")));
    CHECK(ran_with.env.count == 1 && koi_same(ran_with.env.at[0].key, KOI("PGUSER")) && koi_same(ran_with.env.at[0].value, KOI("koi")));
    CHECK(!ran_with_timeout);
    command.timeout_ms = 10;
    CHECK(koi_run_command(&command, &said) && ran_with_timeout && ran_with.timeout_ms == 10);
}

static void a_status_names_processes_and_no_more_than_are_watched(void)
{
    koi_status status = koi_reports(KOI_OK, KOI(""));
    koi_process(&status, 4711);
    for (int i = 0; i < 20; i++)
        koi_pidfile(&status, KOI("/run/db.pid"));
    CHECK(status.report.processes.count == KOI_PROCESSES);
    CHECK(!status.report.processes.at[0].is_file && status.report.processes.at[0].id == 4711);
    CHECK(status.report.processes.at[7].is_file && koi_same(status.report.processes.at[7].file, KOI("/run/db.pid")));
    koi_status failed = koi_status_error(KOI_RETRY, KOI("no"));
    koi_process(&failed, 4711);
    CHECK(koi_same(failed.error.message, KOI("no")));
}

static void an_attribute_is_found_by_its_key(void)
{
    koi_text value = KOI("before");
    koi_pairs all = KOI_PAIRS({ KOI("primary"), KOI("a") }, { KOI("empty"), KOI("") });
    CHECK(!koi_attribute(all, KOI("prim"), &value) && koi_same(value, KOI("before")));
    CHECK(koi_attribute(all, KOI("primary"), &value) && koi_same(value, KOI("a")));
    CHECK(koi_attribute(all, KOI("empty"), &value) && value.length == 0);
}

int main(void)
{
    values_come_in_the_types_of_the_language();
    what_is_not_there_changes_nothing();
    integers_are_read_to_their_limits();
    addresses_are_read_and_names_are_not();
    texts_are_joined_and_cut();
    a_program_gives_its_output_or_says_why_not();
    what_is_not_granted_is_shown_and_no_part_of_a_secret();
    a_program_reads_a_secret_and_has_the_variables_that_it_is_given();
    a_status_names_processes_and_no_more_than_are_watched();
    an_attribute_is_found_by_its_key();
    puts("10 tests passed");
}
