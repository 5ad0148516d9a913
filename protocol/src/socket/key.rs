/// One socket of one machine: never valid again after the socket is gone.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct SocketKey {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl SocketKey {
    /// A small number that no other socket of the connection has, and that is used again after the socket is gone.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// Sockets are few enough for their numbers to fit, or memory would be used up.
pub(super) fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Whether two namespaces are the same; `/` is the only one of one byte, and the most frequent.
pub(super) fn is_same(a: &str, b: &str) -> bool {
    a.len() == b.len() && (a.len() == 1 || a == b)
}
