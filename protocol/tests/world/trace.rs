//! What happens in a world, as a list of decisions that can be written down, shortened and run again.

use std::fmt;
use std::str::FromStr;

use super::chance::Chance;

/// Makes an enum whose variants are read and written as `Name field=1 other=2`.
macro_rules! acts {
    ($($(#[$doc:meta])* $name:ident { $($field:ident),* })*) => {
        /// One decision. All fields are numbers; where somebody does not exist, nothing happens.
        #[derive(Copy, Clone, Debug, PartialEq, Eq)]
        pub(crate) enum Act {
            $($(#[$doc])* $name { $($field: i64),* },)*
        }

        impl Act {
            /// A field by its name.
            pub(crate) fn get(&self, name: &str) -> Option<i64> {
                match self {
                    $(Self::$name { $($field),* } => {
                        $(if stringify!($field) == name {
                            return Some(*$field);
                        })*
                    })*
                }
                None
            }
        }

        impl fmt::Display for Act {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name { $($field),* } => {
                        f.write_str(stringify!($name))?;
                        $(write!(f, " {}={}", stringify!($field), $field)?;)*
                        Ok(())
                    })*
                }
            }
        }

        impl FromStr for Act {
            type Err = String;

            fn from_str(line: &str) -> Result<Self, String> {
                let mut words = line.split_whitespace();
                let name = words.next().unwrap_or_default();
                let fields: Vec<_> = words.filter_map(|word| word.split_once('=')).collect();
                let field = |name: &str| {
                    let value = fields.iter().find(|(field, _)| *field == name).and_then(|(_, value)| value.parse().ok());
                    value.ok_or_else(|| format!("no number {name} in: {line}"))
                };
                match name {
                    $(stringify!($name) => Ok(Self::$name { $($field: field(stringify!($field))?),* }),)*
                    _ => Err(format!("nothing of this name: {line}")),
                }
            }
        }
    };
}

acts! {
    /// What the network's chance starts with; the bytes that may wait for a client; who says goodbye at the end: the
    /// clients (0) or the server (1).
    World { seed, queue, ending }
    /// A client: which of [`TRANSPORTS`], how many namespaces, its latency and how much more that may be (ms), and the
    /// bytes that are taken or arrive at once.
    Client { transports, namespaces, latency, jitter, chunk }
    Wait { ms }

    /// An event, with the time that its answer may take (ms, 0 without one). The other side answers it at once (0), after
    /// a time (ms), or never (-1).
    Emit { client, namespace, ack, answer, attachments }
    Volatile { client, namespace, ack, answer }
    /// An event with retries.
    Sure { client, namespace, answer, attachments }
    /// The same from the server.
    Say { client, namespace, ack, answer, attachments }
    SayVolatile { client, namespace }
    /// To a room, or everybody (-1), but not to another (-1, nobody).
    Broadcast { namespace, room, except, ack, attachments }
    Join { client, namespace, room }
    Leave { client, namespace, room }

    Connect { client, namespace }
    Disconnect { client, namespace }
    /// The client forgets its socket and makes another one.
    Remove { client, namespace }
    Close { client }
    /// The server disconnects a socket; all sockets of a client; closes the session without a word to them.
    Kick { client, namespace }
    KickAll { client }
    Shut { client }
    /// What the server says from now on to those who want to join a namespace, and how late (ms).
    Verdict { namespace, allow, late }

    /// Everything breaks that is open, amid the bytes on their way. Who is told: the client (1), the server (2), both (3).
    Cut { client, tell }
    /// Nothing gets through for a time, in neither direction, and what is open then is dead.
    Dark { client, ms }
    /// The client's next request is lost, or the answer to it; whether it is told.
    Lose { client, answer, tell }
    /// The client's next request takes that much longer.
    Late { client, ms }
    /// The client (0) or the server (1) reads nothing from the stream.
    Stall { client, side, ms }
    /// No stream can be opened.
    Block { client, ms }
    /// The server takes no messages.
    Pause { client, ms }
    /// The clock of a client, or the server's (-1), jumps.
    Jump { client, ms }
    /// The server forgets everything, and is away for a time; whether anybody is told.
    Restart { ms, tell }
    /// A client, or the server (-1), is called for no reason.
    Poke { client }
}

/// The transports of a client: polling, WebSocket, an upgrade, a fallback.
pub(crate) const TRANSPORTS: i64 = 4;
pub(crate) const NAMESPACES: [&str; 4] = ["/", "/news", "/chat", "/more"];
pub(crate) const ROOMS: [&str; 3] = ["red", "green", "blue"];

pub(crate) fn write(trace: &[Act]) -> String {
    trace.iter().map(|act| format!("{act}\n")).collect()
}

pub(crate) fn read(text: &str) -> Result<Vec<Act>, String> {
    text.lines().filter(|line| !line.trim().is_empty()).map(str::parse).collect()
}

/// The decisions of a seed.
pub(crate) fn generate(seed: u64) -> Vec<Act> {
    let mut maker = Maker { chance: Chance::new(seed), clients: Vec::new(), acts: Vec::new() };
    maker.people(seed);
    // A quarter of the worlds is calm: there, nothing at all may be lost.
    let faults = *maker.chance.pick(&[0, 4, 8, 16]);
    for _ in 0..30 + maker.chance.below(100) {
        let ms = *maker.chance.pick(&[0, 0, 1, 5, 20, 20, 60, 60, 150, 500]);
        let wait = if maker.chance.one_in(40) { 3000 + maker.chance.below(6000) } else { ms };
        maker.acts.push(Act::Wait { ms: wait });
        match maker.chance.below(100) {
            roll if roll < faults => maker.fault(),
            roll if roll < 30 => maker.control(),
            _ => maker.traffic(),
        }
    }
    maker.acts
}

struct Maker {
    chance: Chance,
    /// How many namespaces each has.
    clients: Vec<i64>,
    acts: Vec<Act>,
}

impl Maker {
    fn people(&mut self, seed: u64) {
        let queue = *self.chance.pick(&[1 << 20, 1 << 20, 1 << 20, 2000]);
        let ending = self.chance.below(2);
        self.acts.push(Act::World { seed: seed as i64, queue, ending });
        for _ in 0..*self.chance.pick(&[2, 2, 2, 3, 3, 4]) {
            let namespaces = *self.chance.pick(&[1, 1, 2, 2, 2, 3, 4]);
            self.clients.push(namespaces);
            self.acts.push(Act::Client {
                transports: self.chance.below(TRANSPORTS),
                namespaces,
                latency: *self.chance.pick(&[0, 1, 10, 30, 80]),
                jitter: *self.chance.pick(&[0, 5, 40, 150]),
                chunk: *self.chance.pick(&[12, 60, 400, 4000, 4000]),
            });
        }
        for (client, namespaces) in (0..).zip(self.clients.clone()) {
            for namespace in (0..namespaces).filter(|_| !self.chance.clone().one_in(12)) {
                self.acts.push(Act::Connect { client, namespace });
            }
            if self.chance.one_in(4) {
                self.haste(client);
            }
        }
    }

    /// The server ends a connection that was just opened, maybe amid its upgrade.
    fn haste(&mut self, client: i64) {
        let say = Act::Say { client, namespace: 0, ack: 0, answer: 0, attachments: self.chance.below(2) };
        let end =
            *self.chance.pick(&[Act::Shut { client }, Act::KickAll { client }, Act::Kick { client, namespace: 0 }]);
        self.acts.extend([Act::Wait { ms: self.chance.below(800) }, say, end]);
    }

    fn somebody(&mut self) -> (i64, i64) {
        let client = self.chance.below(self.clients.len() as i64);
        (client, self.chance.below(self.clients[client as usize]))
    }

    fn traffic(&mut self) {
        let (client, namespace) = self.somebody();
        let ack = *self.chance.pick(&[0, 0, 0, 100, 400, 1000, 6000]);
        let answer = *self.chance.pick(&[0, 0, 0, 50, 300, 900, -1]);
        let attachments = *self.chance.pick(&[0, 0, 0, 1, 2, 3]);
        let room = self.chance.below(1 + ROOMS.len() as i64) - 1;
        let except = self.chance.below(2 * ROOMS.len() as i64).min(ROOMS.len() as i64) - 1;
        let times = if self.chance.one_in(12) { 2 + self.chance.below(12) } else { 1 };
        let act = match self.chance.below(32) {
            0..10 => Act::Emit { client, namespace, ack, answer, attachments },
            10..12 => Act::Volatile { client, namespace, ack, answer },
            12..14 => Act::Sure { client, namespace, answer, attachments },
            14..22 => Act::Say { client, namespace, ack, answer, attachments },
            22..24 => Act::SayVolatile { client, namespace },
            24..27 => Act::Broadcast { namespace, room, except, ack, attachments },
            27..30 => Act::Join { client, namespace, room: room.max(0) },
            _ => Act::Leave { client, namespace, room: room.max(0) },
        };
        self.acts.extend((0..times).map(|_| act));
    }

    fn control(&mut self) {
        let (client, namespace) = self.somebody();
        let late = *self.chance.pick(&[0, 0, 20, 200, 1000, 5000]);
        let act = match self.chance.below(32) {
            0..16 => Act::Connect { client, namespace },
            16..20 => Act::Disconnect { client, namespace },
            20 => Act::Remove { client, namespace },
            21..23 => Act::Close { client },
            23..25 => Act::Kick { client, namespace },
            25 => Act::KickAll { client },
            26 => Act::Shut { client },
            27 => Act::Poke { client: client - 1 },
            _ => Act::Verdict { namespace, allow: i64::from(!self.chance.one_in(3)), late },
        };
        self.acts.push(act);
    }

    fn fault(&mut self) {
        let (client, _) = self.somebody();
        let tell = self.chance.below(4);
        let ms = *self.chance.pick(&[30, 300, 900, 2000, 6000]);
        let act = match self.chance.below(20) {
            0..4 => Act::Cut { client, tell },
            4 => Act::Dark { client, ms },
            5..9 => Act::Lose { client, answer: self.chance.below(2), tell: tell & 1 },
            9..11 => Act::Late { client, ms },
            11..14 => Act::Stall { client, side: tell & 1, ms },
            14..16 => Act::Block { client, ms },
            16 => Act::Pause { client, ms },
            17..19 => Act::Jump { client: client - 1, ms: if self.chance.one_in(3) { -ms / 2 } else { ms } },
            _ => Act::Restart { ms: ms / 4, tell: tell & 1 },
        };
        self.acts.push(act);
    }
}
