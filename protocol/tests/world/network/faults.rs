//! What goes wrong.

use super::*;

impl Network {
    /// Everything of a client breaks, and those sides are told.
    pub(crate) fn cut(&mut self, client: usize, told: [bool; 2]) {
        let exchanges: Vec<u64> =
            self.exchanges.iter().filter(|(_, it)| it.client == client).map(|(n, _)| *n).collect();
        for number in exchanges {
            self.cut_exchange(client, number, told);
        }
        let streams: Vec<u64> = self.streams.iter().filter(|(_, it)| it.client == client).map(|(n, _)| *n).collect();
        for number in streams {
            self.cut_stream(client, number, told);
        }
    }

    fn cut_exchange(&mut self, client: usize, number: u64, told: [bool; 2]) {
        let (due, vanishes) = (self.arrival(client), self.draw(client, 2) == 0);
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        exchange.lost = Some(false);
        if vanishes {
            exchange.answer = None;
            exchange.server_owes &= exchange.request.take().is_none();
        }
        let (waits, there) = (exchange.client_waits, exchange.due);
        if told[CLIENT] && waits {
            self.post(due, Parcel::Failed(number));
        }
        if told[SERVER] {
            self.post(due.max(there), Parcel::Aborted(number));
        }
        self.tidy(number);
    }

    fn cut_stream(&mut self, client: usize, number: u64, told: [bool; 2]) {
        for side in SIDES {
            let (due, part) = (self.arrival(client), self.draw(client, 3));
            let Some(stream) = self.streams.get_mut(&number) else { return };
            let (pipe, held) = (&mut stream.pipes[side], stream.open[1 - side]);
            // Some of what is on its way still arrives, up to any byte.
            let mut left = pipe.bytes as u64 * part / 2;
            for segment in &mut pipe.segments {
                segment.truncate(left as usize);
                left -= segment.len() as u64;
            }
            pipe.bytes = pipe.segments.iter().map(Vec::len).sum();
            pipe.dead = true;
            let due = due.max(pipe.last);
            if held && told[1 - side] {
                let asks = mem::take(&mut stream.asked);
                self.post(due, if asks { Parcel::Refused(number) } else { Parcel::End(number, side) });
            }
        }
    }

    /// The server lets all streams of a client go.
    pub(crate) fn drop_all(&mut self, client: usize) {
        let held =
            |(number, stream): (&u64, &Stream)| (stream.client == client && stream.open[SERVER]).then_some(*number);
        let streams: Vec<u64> = self.streams.iter().filter_map(held).collect();
        streams.into_iter().for_each(|number| self.close(number, SERVER));
    }

    /// A side reads nothing from the streams that it has now.
    pub(crate) fn stall(&mut self, client: usize, side: usize, until: Time) {
        for stream in self.streams.values_mut().filter(|stream| stream.client == client) {
            let pipe = &mut stream.pipes[1 - side];
            pipe.stalled = pipe.stalled.max(until);
        }
    }
}
