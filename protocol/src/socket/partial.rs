use alloc::string::String;

use super::placeholder::{Held, Placeholders};
use crate::Instant;
use crate::websocket::Binary;

/// A packet whose attachments have not all arrived, for `S`; or the place for the next one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Partial<S> {
    /// `None` if nobody is interested: then the attachments are not kept. And in a place without a packet.
    pub(super) subject: Option<S>,
    json: String,
    /// 0 once it is complete.
    missing: usize,
    pub(super) placeholders: Placeholders,
    /// Of the text and the attachments so far.
    pub(super) bytes: usize,
    pub(super) deadline: Instant,
}

/// The packet has more bytes than it may, or no attachment is awaited.
pub(super) struct Unexpected;

impl<S> Default for Partial<S> {
    fn default() -> Self {
        Self {
            subject: None,
            json: String::new(),
            missing: 0,
            placeholders: Placeholders::default(),
            bytes: 0,
            deadline: Instant::EPOCH,
        }
    }
}

impl<S> Partial<S> {
    /// Capacity for text that is kept.
    pub(super) const KEEP: usize = 256;
    /// And for attachments.
    const KEEP_ATTACHMENTS: usize = 8;

    /// Begins with a packet. `text` is its whole text, `json` its payload.
    #[inline]
    pub(super) fn start(&mut self, subject: Option<S>, text: &str, json: &str, missing: usize, deadline: Instant) {
        if subject.is_some() {
            self.json.push_str(json);
        }
        (self.subject, self.missing, self.bytes, self.deadline) = (subject, missing, text.len(), deadline);
    }

    /// Takes the next attachment. Whether it was the last.
    #[inline]
    pub(super) fn add(&mut self, attachment: Binary<'_>, max: usize) -> Result<bool, Unexpected> {
        let size = attachment.as_slice().len();
        if self.missing == 0 || size > max.saturating_sub(self.bytes) {
            return Err(Unexpected);
        }
        self.bytes += size;
        self.missing -= 1;
        if self.subject.is_some() {
            self.placeholders.push(attachment.into_vec());
            self.placeholders.limit_copies(max);
        }
        Ok(self.missing == 0)
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.missing > 0
    }

    /// Its text and its attachments, if it has any.
    #[inline]
    pub(super) fn lend(&mut self) -> (&str, Option<Held<'_>>) {
        (&self.json, (self.placeholders.len() > 0).then_some(Held::Lent(&mut self.placeholders)))
    }

    /// Nobody is interested any more.
    pub(super) fn discard(&mut self) {
        self.subject = None;
        self.json = String::new();
        self.placeholders = Placeholders::default();
    }

    /// Makes it ready for the next packet. False if it takes more memory than is kept for that.
    pub(super) fn recycle(&mut self) -> bool {
        (self.subject, self.bytes, self.deadline) = (None, 0, Instant::EPOCH);
        self.json.clear();
        self.placeholders.clear();
        self.json.capacity() <= Self::KEEP && self.placeholders.capacity() <= Self::KEEP_ATTACHMENTS
    }
}
