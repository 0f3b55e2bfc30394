//! Enumerations that are strings in JSON and that newer versions may extend.

/// Declares an enumeration whose JSON is one word for each variant.
///
/// A word that this version does not know becomes `Unknown` and keeps its text, so that an older client shows it and passes it on as it
/// came. The default is what the empty word stands for: a daemon of an older version did not say it.
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
            /// A word of a newer version, or none at all.
            Unknown(String),
        }

        impl $name {
            /// Every word that this version knows, in the order above.
            pub const KNOWN: &[$name] = &[$($name::$variant),+];

            /// The word in JSON, which people read too.
            pub fn as_str(&self) -> &str {
                match self {
                    $($name::$variant => $word,)+
                    $name::Unknown(word) => word,
                }
            }
        }

        impl Default for $name {
            fn default() -> $name {
                $name::from("")
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> $name {
                match word {
                    $($word => $name::$variant,)+
                    other => $name::Unknown(other.to_owned()),
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> $name {
                $name::from(word.as_str())
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.as_str().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, word: &&str) -> bool {
                self.as_str() == *word
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

pub(super) use words;

#[cfg(test)]
mod tests {
    use super::super::*;

    /// Each known word, and one that no version has, keep their JSON; a known one has a variant of its own.
    macro_rules! round_trip {
        ($($name:ident: $words:expr;)+) => {
            $(
                let known: Vec<&str> = $name::KNOWN.iter().map($name::as_str).collect();
                assert_eq!(known, $words, "the words of {} are part of the API", stringify!($name));
                for word in known.into_iter().chain(["a-newer-word"]) {
                    let json = serde_json::to_string(word).unwrap();
                    let value: $name = serde_json::from_str(&json).unwrap();
                    assert_eq!(serde_json::to_string(&value).unwrap(), json);
                    assert_eq!(matches!(value, $name::Unknown(_)), word == "a-newer-word", "{word}");
                }
                assert_eq!($name::default(), "");
            )+
        };
    }

    #[test]
    fn every_word_is_written_as_it_was_read() {
        round_trip! {
            NodeState: ["Failed", "Disconnected", "Stopped", "Live", "Standby", "Master", "Elector"];
            NodeAction: ["Fail", "Stop", "Start", "Demote", "Promote"];
            ServiceState: [
                "Failed", "Failing", "Stopped", "Stopping", "Starting", "Started", "Demoting", "Promoting", "Promoted",
            ];
            Hook: ["start", "stop", "promote", "demote", "status", "failed", "changed"];
            StateOrigin: ["empty", "founder", "member"];
            Membership: ["member", "joining", "leaving", "outside", "configured"];
            EventLevel: ["info", "warning", "error"];
            WaitReason: [
                "maintenance", "record-not-committed", "demoting", "promoting", "target-not-promotable", "founding", "no-quorum", "leadership-not-confirmed", "election", "master-in-maintenance", "master-unclean", "master-silent", "restarted-unclean", "restarted-takes-down", "demoted-by-hand", "no-report-yet", "asked-how-it-is", "start-electors-unknown", "start-electors-missing", "start-runner-not-ready", "promoted-unbidden", "still-promoted", "candidate-rests", "groups-unknown", "awaits-partner", "nowhere-else", "follower-first", "fencing", "no-runner", "no-candidate",
            ];
            PluginKind: ["builtin", "native", "wasm"];
            PluginState: ["ready", "error", "compiling", "loading"];
            OnDisk: ["same", "changed", "refused", "gone", ""];
            ErrorCode: [
                "bad-request", "not-found", "refused", "unsafe", "no-leader", "timeout", "busy", "internal",
                "no-daemon", "permission-denied", "unsealed", "broken", "bad-answer", "no-answer", "not-reached",
                "configuration", "failed",
            ];
        }
    }

    #[test]
    fn a_newer_daemons_status_is_understood_and_passed_on() {
        let json = r#"{"name":"a","state":"Dreaming","action":"Dream","services":[{"name":"db","state":"Dozing","hook":"nap"}]}"#;
        let node: NodeStatus = serde_json::from_str(json).unwrap();
        assert_eq!(node.state, NodeState::Unknown("Dreaming".into()));
        assert_eq!(node.action, Some(NodeAction::Unknown("Dream".into())));
        let written = serde_json::to_value(&node).unwrap();
        assert_eq!((&written["state"], &written["action"]), (&"Dreaming".into(), &"Dream".into()));
        let service = &written["services"][0];
        assert_eq!((&service["state"], &service["hook"]), (&"Dozing".into(), &"nap".into()));
    }
}
