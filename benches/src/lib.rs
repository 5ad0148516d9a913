//! What packets cost: instructions by callgrind, allocations by a counting allocator, and times.
//!
//! An [`Operation`] is one thing that a codec does to one packet. The programs `count` and `allocations` measure all
//! [`operations`] and print JSON, a line per figure; `count table` makes one Markdown table of such lines, whoever printed
//! them: `benches/codecs.sh` runs it all. The operations of other libraries are measured by the same code, in a workspace
//! of their own.

mod measure;
mod operations;
pub mod packets;
mod report;

pub use measure::{Counts, allocations, instructions, nanoseconds};
pub use operations::operations;
pub use report::{main, print_allocations};

/// The codec whose figures are the floor: serde_json alone on the JSON of the packet.
pub const FLOOR: &str = "serde_json alone";

/// One thing that a codec does to one packet.
pub struct Operation {
    /// The packet.
    pub packet: &'static str,
    /// What is done: `decode-typed`, `encode-typed` and the like.
    pub name: &'static str,
    /// By whom.
    pub codec: &'static str,
    /// Does it once.
    pub run: Box<dyn FnMut()>,
}

impl Operation {
    /// By this name `count run` knows it.
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.packet, self.name, self.codec)
    }
}
