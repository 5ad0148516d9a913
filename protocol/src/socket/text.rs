//! Text that stands for itself in a JSON string.

use memchr::memchr2;

const LOW: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = LOW << 7;

/// The highest bit of each byte that JSON escapes: quotes, backslashes, control characters. A borrow may set it in bytes
/// behind one of those, too, so only the first is sure.
fn escaped(word: [u8; 8]) -> u64 {
    let word = u64::from_le_bytes(word);
    let control = word.wrapping_sub(LOW * b' ' as u64);
    let quote = (word ^ (LOW * b'"' as u64)).wrapping_sub(LOW);
    let backslash = (word ^ (LOW * b'\\' as u64)).wrapping_sub(LOW);
    (control | quote | backslash) & !word & HIGH
}

/// A text of so many bytes is worth an instruction set of its own.
const LONG: usize = 96;
/// Names and most strings end within so many bytes, whatever follows.
const SHORT: usize = 32;

/// How many bytes precede the first that JSON escapes.
#[inline]
pub(super) fn plain_prefix(text: &[u8]) -> usize {
    match text.split_at_checked(SHORT) {
        Some((head, rest)) if text.len() >= LONG => match prefix_by_words(head) {
            SHORT => SHORT + long_prefix(rest),
            end => end,
        },
        _ => prefix_by_words(text),
    }
}

#[inline(never)]
fn long_prefix(text: &[u8]) -> usize {
    let end = memchr2(b'"', b'\\', text).unwrap_or(text.len());
    let text = text.get(..end).unwrap_or_default();
    // Without a branch for each byte, this is compiled to wide instructions.
    let least = text.iter().fold(u8::MAX, |least, byte| least.min(*byte));
    if least >= b' ' { end } else { prefix_by_words(text) }
}

#[inline]
fn prefix_by_words(text: &[u8]) -> usize {
    let first = |marks: u64| marks.trailing_zeros() as usize / 8;
    for (index, word) in text.as_chunks().0.iter().enumerate() {
        let marks = escaped(*word);
        if marks != 0 {
            return index * 8 + first(marks);
        }
    }
    match text.last_chunk() {
        Some(word) => text.len() - 8 + first(escaped(*word)),
        None => short_prefix(text),
    }
}

/// [`plain_prefix`] of less than a word.
#[inline(never)]
fn short_prefix(text: &[u8]) -> usize {
    text.iter().take_while(|byte| **byte >= b' ' && **byte != b'"' && **byte != b'\\').count()
}

/// Whether a string stands for itself in JSON.
pub(super) fn is_plain(text: &[u8]) -> bool {
    if text.len() >= LONG {
        return plain_prefix(text) == text.len();
    }
    if let Some(last) = text.last_chunk() {
        // Without a branch in it, the loop can be compiled to wide instructions.
        return text.as_chunks().0.iter().fold(escaped(*last), |marks, word| marks | escaped(*word)) == 0;
    }
    match (text.first_chunk(), text.last_chunk()) {
        (Some([a, b, c, d]), Some([e, f, g, h])) => escaped([*a, *b, *c, *d, *e, *f, *g, *h]) == 0,
        _ => short_prefix(text) == text.len(),
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn plain_text_is_what_json_does_not_escape() {
        for byte in 0..=u8::MAX {
            for len in 1..20 {
                for at in 0..len {
                    let mut text = [b'x'; 20];
                    text[at] = byte;
                    let text = &text[..len];
                    let escaped = byte < b' ' || byte == b'"' || byte == b'\\';
                    assert_eq!(is_plain(text), !escaped, "{byte:#x} at {at} of {len}");
                    assert_eq!(plain_prefix(text), if escaped { at } else { len }, "{byte:#x} at {at} of {len}");
                }
            }
        }
        for text in ["", "0123456789 é€😀 \u{7f}\u{80}"] {
            assert!(is_plain(text.as_bytes()));
            assert_eq!(plain_prefix(text.as_bytes()), text.len());
        }
    }

    #[test]
    fn the_first_of_several_counts() {
        for pair in [[b'"', b'!'], [b'\\', b']'], [0, 0x20], [0x1f, 0x9f], [b'"', b'\\']] {
            assert_eq!(plain_prefix(&[&b"ab"[..], &pair, &pair, &pair].concat()), 2);
            assert_eq!(plain_prefix(&[&b"0123456789"[..], &pair, &pair, &pair].concat()), 10);
            for at in [31, 32, 33, 63, 64, 65, 95, 96, 97, 127, 128, 200] {
                let text = [&vec![b'x'; at][..], &pair, &[b'x'; 100]].concat();
                assert_eq!((plain_prefix(&text), is_plain(&text)), (at, false), "{at}");
                assert_eq!((plain_prefix(&text[..at]), is_plain(&text[..at])), (at, true), "{at}");
            }
        }
    }
}
