//! A native plugin uses the attributes of its group through a real koid.

use koi_cluster_tests::{Cluster, Node, Service, native};
use koi_proto::api::GroupAttributes;

/// Says which node is master, and reads it as the leader knows it.
const PROMOTE: &str = r#"
    char value[KOI_ATTRIBUTE_VALUE_BYTES + 1], why[256];
    int found;
    if (koi_set_attribute(host, "master", context->node.data, why, sizeof(why)) != KOI_DONE) {
        koi_message(host, why);
        return KOI_RETRY;
    }
    if (koi_set_attribute(host, "a b", "no key", why, sizeof(why)) != KOI_ATTRIBUTES_INVALID || !strstr(why, "64 letters")) {
        koi_message(host, "a wrong key is taken");
        return KOI_RETRY;
    }
    if (koi_set_attribute(host, "old", NULL, why, sizeof(why)) != KOI_DONE) {
        koi_message(host, why);
        return KOI_RETRY;
    }
    if (koi_attribute(host, 1, "master", value, sizeof(value), &found) != KOI_DONE || !found || strcmp(value, context->node.data)) {
        koi_message(host, "what was written is not read");
        return KOI_RETRY;
    }
    if (koi_attribute(host, 0, "nothing", value, sizeof(value), &found) != KOI_DONE || found) {
        koi_message(host, "an attribute is there that nobody wrote");
        return KOI_RETRY;
    }
"#;

/// A standby is refused, with the reason.
const STATUS: &str = r#"
    char why[256];
    if (context->role != KOI_ROLE_PROMOTED) {
        int32_t code = koi_set_attribute(host, "master", "a standby", why, sizeof(why));
        koi_detail(host, "write", code == KOI_ATTRIBUTES_NOT_MASTER ? why : "not refused");
    }
"#;

fn master(node: &Node) -> Option<String> {
    node.get::<GroupAttributes>("/v1/attributes").ok()?.state.values.get("master").cloned()
}

#[test]
fn a_native_plugin_writes_reads_and_removes_attributes() {
    let one_line = |text: &str| text.replace('\n', " ");
    let macros =
        [("NAME", "\"db\"".to_owned()), ("PROMOTE", one_line(PROMOTE)), ("STATUS", one_line(STATUS))];
    let macros: Vec<(&str, &str)> = macros.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let Some(library) = native::compile(&macros) else { return };
    let service = Service::empty().bytes("db.so", &library, 0o755).file(
        "service.toml",
        "handler = \"./db.so\"\n",
        0o644,
    );
    let cluster = Cluster::builder().nodes(3).service("10-db", service).start();
    let first = cluster.wait_healthy();
    for node in cluster.nodes() {
        cluster.wait_for("every node knows the master", |_| master(node).as_deref() == Some(&first));
    }
    let standby = cluster.others(&first).next().expect("there are three").name.clone();
    cluster.wait_shown(cluster.any(), &["status", &standby], 0, &["write: ", "not master of main"]);
    cluster.node(&first).order(&["promote", &standby]).exits(0);
    cluster.wait_master(&standby);
    cluster.wait_for("the next one has written", |c| master(c.any()).as_deref() == Some(&standby));
}
