//! The system's words for its errors.

use std::ffi::CStr;

/// Room for a text; glibc's longest has about 50 bytes.
const BYTES: usize = 256;

/// What the system calls error `number` (`errno`), without the number.
pub(crate) fn error_text(number: i32) -> String {
    let mut text: [libc::c_char; BYTES] = [0; BYTES];
    // SAFETY: the call writes at most BYTES bytes, with a zero behind the text.
    let failed = unsafe { libc::strerror_r(number, text.as_mut_ptr(), BYTES) };
    if failed != 0 {
        return format!("error {number}");
    }
    // SAFETY: the text ends in a zero within the array.
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned()
}
