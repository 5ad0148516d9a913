use core::mem;

/// Bytes that arrived from the peer, lent to a machine.
///
/// A machine takes from the front what it can use. When it asks for I/O it has taken everything, and what makes no
/// whole message yet is kept inside it. Bytes are unmasked in place, which is why the loan is mutable.
#[derive(Debug, Default)]
pub struct Input<'b> {
    bytes: &'b mut [u8],
}

impl<'b> Input<'b> {
    /// Lends `bytes`.
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes }
    }

    /// Nothing arrived: the machine is only to be moved forward.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Whether everything was taken.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes were not taken yet.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes that were not taken yet.
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// Takes the first `count` bytes, or all that there are.
    pub fn take(&mut self, count: usize) -> &'b mut [u8] {
        let bytes = mem::take(&mut self.bytes);
        let (head, tail) = bytes.split_at_mut(count.min(bytes.len()));
        self.bytes = tail;
        head
    }
}
