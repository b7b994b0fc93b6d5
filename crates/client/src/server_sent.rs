//! Server-sent events: messages from bytes as they come.

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// Its `id`, which says where to go on after it.
    pub(crate) id: Option<String>,
    /// Its `data` lines, joined by line breaks.
    pub(crate) data: String,
}

/// Splits a stream of bytes into messages. Comments, names and retry times are
/// skipped.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    buffer: Vec<u8>,
    message: Message,
    has_data: bool,
}

impl Parser {
    /// Takes in what was received.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, if there is one.
    pub(crate) fn next(&mut self) -> Option<Message> {
        let mut start = 0;
        let mut found = None;
        while let Some(length) = self.buffer[start..].iter().position(|byte| *byte == b'\n') {
            let line = self.buffer[start..start + length].to_vec();
            start += length + 1;
            if self.line(line.strip_suffix(b"\r").unwrap_or(&line)) {
                found = Some(std::mem::take(&mut self.message));
                self.has_data = false;
                break;
            }
        }
        self.buffer.drain(..start);
        found
    }

    /// Takes in one line; true when it completes a message.
    fn line(&mut self, line: &[u8]) -> bool {
        if line.is_empty() {
            let complete = self.has_data;
            if !complete {
                self.message = Message::default();
            }
            return complete;
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.message.id = Some(value.to_owned()),
            "data" => {
                if self.has_data {
                    self.message.data.push('\n');
                }
                self.has_data = true;
                self.message.data.push_str(value);
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_any_cut() {
        let text = ": hello\n\nid: 7\nevent: x\ndata: {\"ü\":1}\n\ndata: a\r\ndata:b\r\n\r\nid: 9\n\ndata: c\n";
        for cut in 0..text.len() {
            let mut parser = Parser::default();
            let mut found = Vec::new();
            for part in [&text.as_bytes()[..cut], &text.as_bytes()[cut..]] {
                parser.push(part);
                found.extend(std::iter::from_fn(|| parser.next()));
            }
            let expected = [
                Message {
                    id: Some("7".into()),
                    data: "{\"ü\":1}".into(),
                },
                Message {
                    id: None,
                    data: "a\nb".into(),
                },
            ];
            assert_eq!(found, expected, "cut at {cut}");
        }
    }
}
