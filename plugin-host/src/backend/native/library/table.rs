//! Loading a library, and reading its table before anything of it is called.

use std::path::Path;

use koi_plugin_api::native::abi::{self, Text};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use crate::backend::native::helper::protocol::{Described, DescribedKey};

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

/// Why a library is not a plugin for this koid. It stands behind the library's name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TableError {
    #[error("cannot be loaded: {}{}", text(.0), hint(&text(.0)))]
    Load(libloading::Error),
    #[error("exports no koi_plugin_v1: is it a koi plugin?")]
    NoSymbol,
    #[error(
        "its koi_plugin_v1 is no plugin table (magic {magic:#010x}, not {:#010x}): is it a koi plugin?",
        abi::MAGIC
    )]
    Magic { magic: u32 },
    #[error(
        "built for native ABI {major}; this koid takes {}: build it with the koi_plugin.h or koi-plugin-api of this koid",
        abi::ABI_MAJOR
    )]
    Version { major: u16 },
    #[error(
        "its koi_plugin_v1 (native ABI {major}.{minor}) has {size} bytes where {} are needed, at an address that {} divides; set \
         `size` to sizeof(koi_plugin)",
        size_of::<abi::Plugin>(), align_of::<abi::Plugin>()
    )]
    Layout { major: u16, minor: u16, size: u32 },
    #[error("its table names it {0:?}: lower-case letters, digits and `-` make a name")]
    Name(String),
    #[error("its table has no `{0}`")]
    NoFunction(&'static str),
    #[error("its table declares {0} keys of [config]; {KEYS} are the most")]
    TooManyKeys(usize),
    #[error("its table declares keys of [config] wrongly: set `config` and `config_key_size`")]
    KeyLayout,
    #[error("its table declares a key of [config] without a name")]
    NamelessKey,
    #[error("the {what} in its table has {bytes} bytes; {most} are the most")]
    TextTooLong { what: &'static str, bytes: usize, most: usize },
    #[error("the {0} in its table is not UTF-8")]
    TextNotUtf8(&'static str),
}

/// What the dynamic loader says.
fn text(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// What to do about it.
fn hint(text: &str) -> &'static str {
    if text.contains("undefined symbol") {
        "; link the library that has it"
    } else if text.contains("failed to map segment") {
        "; koid's node.state_dir must not lie on a file system mounted noexec"
    } else if text.contains("cannot open shared object file") {
        "; install the library that it needs"
    } else {
        ""
    }
}

/// Loads the library for good, and returns its table and what that says.
pub(crate) fn load(path: &Path) -> Result<(&'static abi::Plugin, Described), TableError> {
    // SAFETY: runs the constructors of foreign code. It is what this process is for; if they misbehave it alone suffers.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
    let library = library.map_err(TableError::Load)?;
    // SAFETY: the type is that of a pointer to whatever the symbol stands for; it is not followed here.
    let symbol = unsafe { library.get::<*const Header>(b"koi_plugin_v1\0") };
    let symbol = symbol.map_err(|_| TableError::NoSymbol)?.into_raw().cast_const();
    // Never unloaded: threads of it may run until the end.
    std::mem::forget(library);
    let table = check_header(symbol.cast())?;
    // SAFETY: magic and version say that it is such a table, its size that it is all there; it is a constant of a library that stays.
    let table: &'static abi::Plugin = unsafe { &*table };
    Ok((table, describe(table)?))
}

/// Looks at magic and version before anything is believed.
fn check_header(symbol: *const Header) -> Result<*const abi::Plugin, TableError> {
    // SAFETY: the symbol is there, and the least that can be called koi_plugin_v1 has a header. What is not aligned is read all
    // the same. Should it be less than a header this reads what lies behind it, or ends this process.
    let header = unsafe { symbol.read_unaligned() };
    let Header { magic, abi_major: major, abi_minor: minor, size } = header;
    if magic != abi::MAGIC {
        return Err(TableError::Magic { magic });
    }
    if major != abi::ABI_MAJOR {
        return Err(TableError::Version { major });
    }
    if (size as usize) < size_of::<abi::Plugin>() || !symbol.cast::<abi::Plugin>().is_aligned() {
        return Err(TableError::Layout { major, minor, size });
    }
    Ok(symbol.cast())
}

fn describe(table: &abi::Plugin) -> Result<Described, TableError> {
    let name = checked("name", table.name, NAME_BYTES)?;
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(letter) {
        return Err(TableError::Name(name));
    }
    for (function, there) in [("create", table.create.is_some()), ("call", table.call.is_some())] {
        if !there {
            return Err(TableError::NoFunction(function));
        }
    }
    Ok(Described {
        abi_minor: table.abi_minor,
        name,
        version: checked("version", table.version, VERSION_BYTES)?,
        description: checked("description", table.description, TEXT_BYTES)?,
        hooks: table.hooks & (abi::HOOKS_ALL | 1 << abi::HOOK_CHANGED),
        config: (0..key_count(table)?).map(|at| key(table, at)).collect::<Result<_, _>>()?,
    })
}

fn key_count(table: &abi::Plugin) -> Result<usize, TableError> {
    let (count, stride) = (table.config_count, table.config_key_size as usize);
    if count > KEYS {
        return Err(TableError::TooManyKeys(count));
    }
    if count > 0 && (table.config.is_null() || stride < size_of::<abi::RawConfigKey>()) {
        return Err(TableError::KeyLayout);
    }
    Ok(count)
}

fn key(table: &abi::Plugin, at: usize) -> Result<DescribedKey, TableError> {
    // SAFETY: there are that many, each `config_key_size` bytes long, in a constant of the library.
    let key = unsafe { table.config.byte_add(at * table.config_key_size as usize).read_unaligned() };
    let name = checked("key of [config]", key.name, NAME_BYTES)?;
    if name.is_empty() {
        return Err(TableError::NamelessKey);
    }
    Ok(DescribedKey {
        description: checked("description of a key", key.description, TEXT_BYTES)?,
        required: key.required != 0,
        default: match key.default_value.data.is_null() {
            true => None,
            false => Some(checked("default of a key", key.default_value, TEXT_BYTES)?),
        },
        name,
    })
}

/// A text of the table; without one: empty.
fn checked(what: &'static str, text: Text, most: usize) -> Result<String, TableError> {
    if text.len > most {
        return Err(TableError::TextTooLong { what, bytes: text.len, most });
    }
    // SAFETY: such texts are constants of the library, as long as they say.
    let bytes = unsafe { text.bytes() }.unwrap_or_default();
    let text = std::str::from_utf8(bytes).map_err(|_| TableError::TextNotUtf8(what))?;
    Ok(crate::backend::helper::output::for_people(text))
}
