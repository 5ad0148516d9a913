//! How often things happened: a simulation in which they do not shows nothing.

use std::fmt;

macro_rules! census {
    ($($name:ident)*) => {
        #[derive(Clone, Debug, Default)]
        pub(crate) struct Census {
            $(pub(crate) $name: u64,)*
        }

        impl Census {
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Everything that is counted, by its name.
            pub(crate) fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

census! {
    worlds sessions sockets
    sent_up sent_down heard_up heard_down attachments volatile volatile_dropped retried
    acks_up acks_down ack_timeouts_up ack_timeouts_down acks_failed answers_dropped
    broadcasts recipients joins leaves
    refused_by_application refused_by_limit late_verdicts debts_forgotten
    disconnects_by_client disconnects_by_server lost_by_client lost_by_server
    reconnects fallbacks upgrades ping_timeouts_of_client ping_timeouts_of_server overflows
    buffers_full acks_full streams_refused requests_cancelled requests_aborted requests_refused
    cuts cuts_unnoticed darkness lost_requests lost_answers late_requests stalls blocks pauses jumps jumps_back restarts
    segments reads_into_target
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<_> =
            self.all().iter().map(|(name, count)| format!("{count} {}", name.replace('_', " "))).collect();
        entries.chunks(6).try_for_each(|line| writeln!(f, "  {}", line.join(", ")))
    }
}
