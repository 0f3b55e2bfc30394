//! What a handler wants of the node, each with a line for the operator who decides. Texts may name keys of `[config]` in braces; a
//! key without a value makes no want.

use crate::{Capability, Program, Want};

/// To run a program: an absolute path, then a word for each argument. A `*` in a word stands for any text.
pub fn exec(words: &[&str], reason: &str) -> Want {
    let words = words.iter().map(|word| (*word).into()).collect();
    want(Capability::Exec(Program { words, user: None, keep: false }), reason)
}

impl Want {
    /// Of a program: as this user it runs.
    #[must_use]
    pub fn user(mut self, user: &str) -> Want {
        if let Capability::Exec(program) = &mut self.capability {
            program.user = Some(user.into());
        }
        self
    }

    /// Of a program: what it launches outlives the call.
    #[must_use]
    pub fn keep(mut self) -> Want {
        if let Capability::Exec(program) = &mut self.capability {
            program.keep = true;
        }
        self
    }
}

/// To set this variable for the programs that it runs.
pub fn exec_env(name: &str, reason: &str) -> Want {
    want(Capability::ExecEnv(name.into()), reason)
}

/// To connect to "ip:port".
pub fn tcp(address: &str, reason: &str) -> Want {
    want(Capability::Tcp(address.into()), reason)
}

/// To send HTTP requests to "host:port".
pub fn http(address: &str, reason: &str) -> Want {
    want(Capability::Http(address.into()), reason)
}

/// To read a directory.
pub fn read(directory: &str, reason: &str) -> Want {
    want(Capability::Read(directory.into()), reason)
}

/// Anything else.
pub fn want(capability: Capability, reason: &str) -> Want {
    Want { capability, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_run_as_somebody_and_go_on() {
        let Capability::Exec(plain) = exec(&["/usr/bin/db"], "To run it").capability else { panic!() };
        assert_eq!((plain.user, plain.keep), (None, false));
        let wanted = exec(&["/usr/bin/db"], "To run it").user("db").keep();
        let Capability::Exec(program) = wanted.capability else { panic!() };
        assert_eq!((program.user.as_deref(), program.keep), (Some("db"), true));
    }
}
