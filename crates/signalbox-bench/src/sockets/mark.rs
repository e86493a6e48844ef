//! The data of a published event, and the mark in it by which a subscriber knows which event it is.

/// Bytes of data in each event.
pub(crate) const DATA: usize = 300;

const BEGIN: &[u8] = b"\"mark\":\"";
const LAP: usize = 4;
const NUMBER: usize = 8;
const DUE: usize = 16;

/// Which event it is: written in digits of fixed width, so that every event of a lap has the same size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Tells the events of one measurement from those of the one before.
    pub(crate) lap: u16,
    /// Counts over the events of a room, from 1.
    pub(crate) number: u32,
    /// Nanoseconds after the load began at which the event should have been published.
    pub(crate) due: u64,
}

/// Appends a JSON object of `size` bytes that carries `mark`.
pub(crate) fn write(mark: Mark, size: usize, out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(
        format!("{{\"mark\":\"{:04x}{:08x}{:016x}\",\"pad\":\"", mark.lap, mark.number, mark.due).as_bytes(),
    );
    let pad = size.saturating_sub(out.len() - begin + 2);
    out.resize(out.len() + pad, b'x');
    out.extend_from_slice(b"\"}");
}

/// Finds the mark in a message. `hint` is where it was last, and almost always is again.
pub(crate) fn read(message: &[u8], hint: &mut usize) -> Option<Mark> {
    let at = if message.get(*hint..).is_some_and(|rest| rest.starts_with(BEGIN)) {
        *hint
    } else {
        message.windows(BEGIN.len()).position(|window| window == BEGIN)?
    };
    *hint = at;
    let digits = message.get(at + BEGIN.len()..at + BEGIN.len() + LAP + NUMBER + DUE)?;
    Some(Mark {
        lap: u16::try_from(hex(&digits[..LAP])?).ok()?,
        number: u32::try_from(hex(&digits[LAP..LAP + NUMBER])?).ok()?,
        due: hex(&digits[LAP + NUMBER..])?,
    })
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| Some(value << 4 | u64::from(char::from(*digit).to_digit(16)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_written_wherever_it_stands() {
        let mark = Mark { lap: 7, number: 123_456, due: u64::MAX - 1 };
        let mut message = b"{\"type\":\"x_bench\",\"data\":".to_vec();
        write(mark, DATA, &mut message);
        assert_eq!(message.len(), 25 + DATA);
        let mut hint = 0;
        assert_eq!(read(&message, &mut hint), Some(mark));
        assert_eq!(read(&message, &mut hint), Some(mark), "by the hint");
        assert_eq!(read(&message[1..], &mut hint), Some(mark), "with a wrong hint");
        assert_eq!(read(b"{\"type\":\"ping\"}", &mut hint), None);
    }
}
