//! Tries what needs no interface beyond those that every component may import: files, variables, the store; and to take more of the host
//! than it may have.

mod frame;

use frame::koi::service::state::{self, StateError};
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

fn run(op: &str, rest: &str) -> Result<String, String> {
    match op {
        "read" => read(rest),
        "stream" => stream(rest),
        "write" => write(rest),
        "mkdir" => with_directory(rest, |directory, path| directory.create_directory_at(path)),
        "unlink" => with_directory(rest, |directory, path| directory.unlink_file_at(path)),
        "symlink" => {
            let (path, target) = rest.split_once(' ').ok_or("symlink:PATH TARGET")?;
            with_directory(path, |directory, path| directory.symlink_at(target, path))
        }
        "directories" => {
            Ok(get_directories().into_iter().map(|(_, path)| path).collect::<Vec<_>>().join(" "))
        }
        "env" => {
            let variables = wasip2::cli::environment::get_environment();
            let found = variables.into_iter().find(|(name, _)| name == rest);
            found.map(|(_, value)| value).ok_or_else(|| format!("{rest} is not set"))
        }
        "open-all" => open_all(rest),
        "fields" => fields(rest.parse().map_err(|_| "fields:COUNT")?),
        "random" => {
            let bytes = rest.parse().map_err(|_| "random:BYTES")?;
            Ok(format!("{} bytes", wasip2::random::random::get_random_bytes(bytes).len()))
        }
        "get" | "set" | "delete" | "keys" | "fill" => store(op, rest).map_err(|error| match error {
            StateError::TooLarge => "too large".into(),
            StateError::QuotaExceeded => "quota exceeded".into(),
            StateError::Io(text) => text,
        }),
        _ => Err(format!("no such op: {op}")),
    }
}

/// The open directory that `path` is in, and what of the path is left.
fn directory_of(path: &str) -> Result<(Descriptor, &str), String> {
    let holds = |name: &str| path.strip_prefix(name.trim_end_matches('/'))?.strip_prefix('/');
    let best = get_directories()
        .into_iter()
        .filter_map(|(directory, name)| Some((name.len(), directory, holds(&name)?)))
        .max_by_key(|(length, ..)| *length);
    best.map(|(_, directory, rest)| (directory, rest))
        .ok_or_else(|| format!("no directory is open for {path}"))
}

fn with_directory(
    path: &str,
    work: impl Fn(&Descriptor, &str) -> Result<(), ErrorCode>,
) -> Result<String, String> {
    let (directory, rest) = directory_of(path)?;
    work(&directory, rest).map_err(|error| format!("{path}: {}", error.name()))?;
    Ok("done".into())
}

fn read(path: &str) -> Result<String, String> {
    let (directory, rest) = directory_of(path)?;
    let text = || {
        let file =
            directory.open_at(PathFlags::SYMLINK_FOLLOW, rest, OpenFlags::empty(), DescriptorFlags::READ)?;
        file.read(64 * 1024, 0)
    };
    let (bytes, _) = text().map_err(|error: ErrorCode| format!("{path}: {}", error.name()))?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// Reads a file as a stream: first without waiting, then to its end; and appends to it as a stream.
fn stream(path: &str) -> Result<String, String> {
    let (directory, rest) = directory_of(path)?;
    let wrong = |error: ErrorCode| format!("{path}: {}", error.name());
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let file = directory
        .open_at(PathFlags::SYMLINK_FOLLOW, rest, OpenFlags::empty(), flags)
        .map_err(wrong)?;
    let output = file.append_via_stream().map_err(wrong)?;
    output.blocking_write_and_flush(b"and more").map_err(|error| format!("{path}: {error:?}"))?;
    let input = file.read_via_stream(0).map_err(wrong)?;
    let mut bytes = input.read(1024).map_err(|error| format!("{path}: {error:?}"))?;
    while let Ok(more) = input.blocking_read(1024) {
        bytes.extend(more);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn write(path: &str) -> Result<String, String> {
    with_directory(path, |directory, rest| {
        let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE;
        let file = directory.open_at(PathFlags::SYMLINK_FOLLOW, rest, flags, DescriptorFlags::WRITE)?;
        file.write(b"written by the probe\n", 0).map(|_| ())
    })
}

/// Opens a file again and again until that fails.
fn open_all(path: &str) -> Result<String, String> {
    let (directory, rest) = directory_of(path)?;
    let mut open = Vec::new();
    loop {
        let flags = (PathFlags::SYMLINK_FOLLOW, OpenFlags::empty(), DescriptorFlags::READ);
        match directory.open_at(flags.0, rest, flags.1, flags.2) {
            Ok(file) => open.push(file),
            Err(error) => return Ok(format!("{} open, then {}", open.len(), error.name())),
        }
    }
}

/// Header fields that are never sent: each holds some 120 KB of the host's memory, and none of the guest's.
fn fields(count: usize) -> Result<String, String> {
    use wasip2::http::types::Fields;
    let (value, mut held) = (vec![b'x'; 8000], Vec::new());
    for _ in 0..count {
        let fields = Fields::new();
        for n in 0..15 {
            fields.append(&format!("h{n}"), &value).map_err(|error| format!("{error:?}"))?;
        }
        held.push(fields);
    }
    Ok(format!("{} held", held.len()))
}

fn store(op: &str, rest: &str) -> Result<String, StateError> {
    let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
    match op {
        "get" => Ok(match state::get(key)? {
            Some(value) => String::from_utf8_lossy(&value).into_owned(),
            None => "nothing".into(),
        }),
        "set" => state::set(key, value.as_bytes()).map(|()| "done".into()),
        "delete" => state::delete(key).map(|()| "done".into()),
        "keys" => state::keys().map(|keys| keys.join(" ")),
        // fill:COUNT BYTES
        _ => {
            let (count, bytes) = (key.parse().unwrap_or(0), value.parse().unwrap_or(0));
            for n in 0..count {
                state::set(&format!("key-{n:04}"), &vec![b'x'; bytes])?;
            }
            Ok(format!("{count} stored"))
        }
    }
}
