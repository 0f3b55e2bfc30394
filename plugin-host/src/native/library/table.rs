//! Loading a library, and reading its table before anything of it is called.

use std::path::Path;

use koi_plugin_api::native::abi::{self, Text};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use crate::native::protocol::{Described, DescribedKey};

/// Bytes of a name.
const NAME_BYTES: usize = 63;
/// Bytes of a version.
const VERSION_BYTES: usize = 64;
/// Bytes of any other text.
const TEXT_BYTES: usize = 4096;
/// Declared keys.
const KEYS: usize = 256;

/// What every table begins with, in every version.
#[derive(Clone, Copy)]
#[repr(C)]
struct Header {
    magic: u32,
    abi_major: u16,
    abi_minor: u16,
    size: u32,
}

/// Loads the library for good, and returns its table and what that says.
pub(super) fn load(path: &Path) -> Result<(&'static abi::Plugin, Described), String> {
    // SAFETY: runs the constructors of foreign code. It is what this process is for; if they misbehave it alone suffers.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
    let library = library.map_err(|error| cannot_load(&error))?;
    // SAFETY: the type is that of a pointer to whatever the symbol stands for; it is not followed here.
    let symbol = unsafe { library.get::<*const Header>(b"koi_plugin_v1\0") };
    let symbol = symbol
        .map_err(|_| "exports no koi_plugin_v1: is it a koi plugin?".to_owned())?
        .into_raw()
        .cast_const();
    // Never unloaded: threads of it may run until the end.
    std::mem::forget(library);
    let table = check_header(symbol.cast())?;
    // SAFETY: magic and version say that it is such a table, its size that it is all there; it is a constant of a library that stays.
    let table: &'static abi::Plugin = unsafe { &*table };
    Ok((table, describe(table)?))
}

fn cannot_load(error: &libloading::Error) -> String {
    let text = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    let hint = if text.contains("undefined symbol") {
        "; link the library that has it"
    } else if text.contains("failed to map segment") {
        "; koid's node.state_dir must not lie on a file system mounted noexec"
    } else if text.contains("cannot open shared object file") {
        "; install the library that it needs"
    } else {
        ""
    };
    format!("cannot be loaded: {text}{hint}")
}

/// Looks at magic and version before anything is believed.
fn check_header(symbol: *const Header) -> Result<*const abi::Plugin, String> {
    // SAFETY: the symbol is there, and the least that can be called koi_plugin_v1 has a header. What is not aligned is read all
    // the same. Should it be less than a header this reads what lies behind it, or ends this process.
    let header = unsafe { symbol.read_unaligned() };
    let Header { magic, abi_major: major, abi_minor: minor, size } = header;
    if magic != abi::MAGIC {
        return Err(format!(
            "its koi_plugin_v1 is no plugin table (magic {magic:#010x}, not {:#010x}): is it a koi plugin?",
            abi::MAGIC
        ));
    }
    if major != abi::ABI_MAJOR {
        let ours = abi::ABI_MAJOR;
        return Err(format!(
            "built for native ABI {major}; this koid takes {ours}: build it with the koi_plugin.h or koi-plugin-api of this koid"
        ));
    }
    let (full, align) = (size_of::<abi::Plugin>(), align_of::<abi::Plugin>());
    if (size as usize) < full || !symbol.cast::<abi::Plugin>().is_aligned() {
        return Err(format!(
            "its koi_plugin_v1 (native ABI {major}.{minor}) has {size} bytes where {full} are needed, at an address that {align} divides; set \
             `size` to sizeof(koi_plugin)"
        ));
    }
    Ok(symbol.cast())
}

fn describe(table: &abi::Plugin) -> Result<Described, String> {
    let name = text("name", table.name, NAME_BYTES)?;
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(letter) {
        return Err(format!("its table names it {name:?}: lower-case letters, digits and `-` make a name"));
    }
    for (function, there) in [("create", table.create.is_some()), ("call", table.call.is_some())] {
        if !there {
            return Err(format!("its table has no `{function}`"));
        }
    }
    Ok(Described {
        abi_minor: table.abi_minor,
        name,
        version: text("version", table.version, VERSION_BYTES)?,
        description: text("description", table.description, TEXT_BYTES)?,
        hooks: table.hooks & abi::HOOKS_ALL,
        config: (0..key_count(table)?).map(|at| key(table, at)).collect::<Result<_, _>>()?,
    })
}

fn key_count(table: &abi::Plugin) -> Result<usize, String> {
    let (count, stride) = (table.config_count, table.config_key_size as usize);
    if count > KEYS {
        return Err(format!("its table declares {count} keys of [config]; {KEYS} are the most"));
    }
    if count > 0 && (table.config.is_null() || stride < size_of::<abi::ConfigKey>()) {
        return Err("its table declares keys of [config] wrongly: set `config` and `config_key_size`".into());
    }
    Ok(count)
}

fn key(table: &abi::Plugin, at: usize) -> Result<DescribedKey, String> {
    // SAFETY: there are that many, each `config_key_size` bytes long, in a constant of the library.
    let key = unsafe { table.config.byte_add(at * table.config_key_size as usize).read_unaligned() };
    let name = text("key of [config]", key.name, NAME_BYTES)?;
    if name.is_empty() {
        return Err("its table declares a key of [config] without a name".into());
    }
    Ok(DescribedKey {
        description: text("description of a key", key.description, TEXT_BYTES)?,
        required: key.required != 0,
        default: match key.default_value.data.is_null() {
            true => None,
            false => Some(text("default of a key", key.default_value, TEXT_BYTES)?),
        },
        name,
    })
}

/// A text of the table; without one: empty.
fn text(what: &str, text: Text, most: usize) -> Result<String, String> {
    if text.len > most {
        return Err(format!("the {what} in its table has {} bytes; {most} are the most", text.len));
    }
    // SAFETY: such texts are constants of the library, as long as they say.
    let bytes = unsafe { text.bytes() }.unwrap_or_default();
    let text = std::str::from_utf8(bytes).map_err(|_| format!("the {what} in its table is not UTF-8"))?;
    Ok(crate::native::output::for_people(text))
}
