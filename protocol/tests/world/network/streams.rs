//! WebSocket streams.

use super::*;

impl Network {
    /// A client asks for a stream.
    pub(crate) fn ask(&mut self, client: usize, link: u64, target: String, key: Key) -> u64 {
        let (number, due) = (self.number(), self.arrival(client));
        let asked = !self.is_dark(client) && self.routes[client].blocked <= self.now;
        let stream = Stream { client, link, target, key, open: [true, false], asked, pipes: Default::default() };
        self.streams.insert(number, stream);
        if asked {
            self.post(due, Parcel::Ask(number));
        } else if self.draw(client, 2) == 0 {
            self.post(due, Parcel::Refused(number));
        }
        number
    }

    /// The client's question has arrived, and is not void.
    pub(crate) fn take_ask(&mut self, number: u64) -> bool {
        self.streams.get_mut(&number).is_some_and(|stream| mem::take(&mut stream.asked))
    }

    /// The server gives the stream.
    pub(crate) fn open(&mut self, number: u64) {
        let client = self.streams[&number].client;
        let due = self.arrival(client);
        let Some(stream) = self.streams.get_mut(&number) else { return };
        stream.open[SERVER] = true;
        stream.pipes[SERVER].last = due;
        let gone = !stream.open[CLIENT];
        self.post(due, Parcel::Opened(number));
        if gone {
            self.post(due, Parcel::End(number, CLIENT));
        }
    }

    /// The server gives no stream.
    pub(crate) fn refuse(&mut self, number: u64) {
        let due = self.arrival(self.streams[&number].client);
        self.post(due, Parcel::Refused(number));
    }

    pub(crate) fn holds(&self, number: u64, side: usize) -> bool {
        self.streams.get(&number).is_some_and(|stream| stream.open[side])
    }

    /// A side offers bytes: how many of them are taken.
    pub(crate) fn write<'a>(&mut self, number: u64, side: usize, offer: impl Iterator<Item = &'a [u8]>) -> usize {
        let mut offer = offer.peekable();
        let Some(stream) = self.streams.get(&number).filter(|_| offer.peek().is_some()) else { return 0 };
        let (client, room) = (stream.client, Self::WINDOW.saturating_sub(stream.pipes[side].bytes));
        let (chunk, due) = (self.routes[client].chunk, self.arrival(client));
        let most = room.min(1 + self.draw(client, chunk) as usize);
        let is_full = room == 0;
        let segment: Vec<u8> = offer.flatten().copied().take(most).collect();
        let taken = segment.len();
        let is_dark = self.is_dark(client);
        let Some(stream) = self.streams.get_mut(&number) else { return 0 };
        stream.pipes[side].is_full = is_full;
        if taken == 0 {
            return 0;
        }
        let heard = stream.open[1 - side];
        let pipe = &mut stream.pipes[side];
        pipe.dead |= is_dark;
        if heard {
            pipe.bytes += taken;
        }
        if heard && !pipe.dead {
            pipe.last = pipe.last.max(due);
            pipe.segments.push_back(segment);
            let last = pipe.last;
            self.post(last, Parcel::Bytes(number, side));
        }
        taken
    }

    /// The next bytes that have arrived from a side, unless the other reads nothing now; and whether that side has waited
    /// for their going.
    pub(crate) fn read(&mut self, number: u64, side: usize) -> Option<(Vec<u8>, bool)> {
        let pipe = self.ready(number, side, Parcel::Bytes(number, side))?;
        let segment = pipe.segments.pop_front()?;
        pipe.bytes -= segment.len();
        let was_full = mem::take(&mut pipe.is_full);
        self.note(&segment);
        Some((segment, was_full))
    }

    /// The end of the stream has arrived, from a side: the other holds it no more. Whether it broke.
    pub(crate) fn read_end(&mut self, number: u64, side: usize) -> Option<bool> {
        let broke = self.ready(number, side, Parcel::End(number, side))?.dead;
        if !self.holds(number, 1 - side) {
            return None;
        }
        self.close(number, 1 - side);
        Some(broke)
    }

    fn ready(&mut self, number: u64, side: usize, parcel: Parcel) -> Option<&mut Pipe> {
        let now = self.now;
        let stalled = self.streams.get(&number).map(|stream| stream.pipes[side].stalled)?;
        if stalled > now {
            self.post(stalled, parcel);
            return None;
        }
        self.streams.get_mut(&number).map(|stream| &mut stream.pipes[side])
    }

    /// A side lets the stream go.
    pub(crate) fn close(&mut self, number: u64, side: usize) {
        let Some(client) = self.streams.get(&number).map(|stream| stream.client) else { return };
        let (due, is_dark) = (self.arrival(client), self.is_dark(client));
        let Some(stream) = self.streams.get_mut(&number) else { return };
        stream.open[side] = false;
        stream.pipes[1 - side].segments.clear();
        if stream.open == [false; 2] && !stream.asked {
            self.streams.remove(&number);
        } else if !stream.pipes[side].dead && !is_dark {
            let due = due.max(stream.pipes[side].last);
            self.post(due, Parcel::End(number, side));
        }
    }
}
