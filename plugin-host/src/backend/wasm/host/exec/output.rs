//! A program's input and output, between the guest and the program.

use koi_child::Output;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::Sender;
use tokio::sync::mpsc;

/// Bytes of a program's output that are kept, of each stream; the rest is read and thrown away.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Writes all of the input. A program may exit without reading all of it.
pub(super) async fn feed(mut stdin: Sender, mut input: mpsc::Receiver<Vec<u8>>) {
    while let Some(piece) = input.recv().await {
        if stdin.write_all(&piece).await.is_err() {
            return;
        }
    }
}

/// What is kept of one stream.
#[derive(Default)]
pub(super) struct KeptOutput {
    pub(super) bytes: Vec<u8>,
    /// More was written than is kept.
    pub(super) truncated: bool,
}

impl KeptOutput {
    /// Reads up to the stream's end.
    pub(super) async fn read(&mut self, stream: &mut Output) {
        let mut chunk = vec![0; 8 * 1024];
        while let count @ 1.. = stream.read(&mut chunk).await {
            self.keep(&chunk[..count]);
        }
    }

    /// Reads what is in the pipe now.
    pub(super) fn read_rest(&mut self, stream: &mut Output) {
        let mut chunk = vec![0; 8 * 1024];
        // Not more than fits in a pipe: somebody left in the background may fill it as fast as this empties it.
        for _ in 0..OUTPUT_BYTES / 1024 {
            let Some(count) = stream.read_now(&mut chunk) else { return };
            self.keep(&chunk[..count]);
        }
    }

    fn keep(&mut self, chunk: &[u8]) {
        let room = OUTPUT_BYTES - self.bytes.len();
        self.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        self.truncated |= chunk.len() > room;
    }
}
