//! Noticing the end of the input.
//!
//! The protocol library lets answers in progress finish when the input ends.
//! That is right for short ones; a wait must not keep the server alive.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;

/// A reader that tells when its input ends or breaks.
#[derive(Debug)]
pub(crate) struct NotesEnd<R> {
    reader: R,
    ended: CancellationToken,
}

impl<R> NotesEnd<R> {
    pub(crate) fn new(reader: R, ended: CancellationToken) -> Self {
        Self { reader, ended }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for NotesEnd<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let (before, room) = (buffer.filled().len(), buffer.remaining());
        let polled = Pin::new(&mut this.reader).poll_read(context, buffer);
        if let Poll::Ready(read) = &polled
            && (read.is_err() || (room > 0 && buffer.filled().len() == before))
        {
            this.ended.cancel();
        }
        polled
    }
}
