//! A client of Socket.IO between an application, a server and a network that do whatever they like: what `engine_client` and
//! `manager` promise, together, over all the connections that it opens, and that it comes to rest after its end.

use std::sync::Arc;
use std::time::Duration;

use socketio_protocol::client::{Client, Next};
use socketio_protocol::{Input, Random, Seed};

use crate::machines::client_app::{ClientApp, manager_config};
use crate::machines::network::{Delivered, Network, client_config};
use crate::machines::{Arriving, Ops, Trial, World, drive, renew, transfer};

/// Operations of the server, the network and the application.
pub fn client(data: &[u8]) {
    drive::<Both>(data);
}

struct Both {
    trial: Trial,
    client: Client,
    network: Network,
    app: ClientApp,
}

impl World for Both {
    fn new(ops: &mut Ops<'_>, mut trial: Trial) -> Self {
        let (engine, sockets) = (Arc::new(client_config(ops)), Arc::new(manager_config(ops)));
        let mut client = Client::new(engine, sockets, Random::new(Seed::new([5; 32])), trial.now());
        let app = ClientApp::new(ops, &mut client);
        Self { trial, client, network: Network::new(), app }
    }

    fn step(&mut self, ops: &mut Ops<'_>) {
        const CLOCK: usize = Network::OPS + ClientApp::OPS;
        let (op, mut waits) = ops.op(CLOCK + 2);
        let now = self.trial.now();
        match op {
            0..Network::OPS => self.network.act(op, ops, &mut self.client, now),
            Network::OPS..CLOCK => self.app.act(op - Network::OPS, ops, &mut self.client, now),
            _ => {
                self.trial.turn_clock(ops);
                waits = false;
            }
        }
        if !waits {
            self.run();
        }
    }

    fn finish(&mut self) {
        self.app.close(&mut self.client);
        self.run();
        // The last connection delivers its goodbye, or not.
        self.trial.wait(Duration::from_secs(30));
        self.run();
        assert!(self.client.is_idle() && self.app.is_settled() && self.network.is_settled());
        assert_eq!((self.client.queued(), self.client.transport()), (0, None));
    }

    fn renew(&mut self) {
        renew(&mut self.client);
    }

    fn trial(&mut self) -> &mut Trial {
        &mut self.trial
    }
}

impl Both {
    fn run(&mut self) {
        let mut arriving = self.network.arriving(&mut self.trial);
        loop {
            self.drain(&mut arriving);
            if arriving.is_over() {
                break;
            }
        }
        for delivered in self.network.delivered.drain(..) {
            if let Delivered::Text(text) = delivered {
                self.app.transmit(&text);
            }
        }
        self.app.check(&self.client, &self.trial);
    }

    /// Lends the next piece and takes all that comes of it. What waits is written when nothing is left to be read.
    fn drain(&mut self, arriving: &mut Arriving) {
        let mut piece = arriving.next();
        let mut input = Input::new(&mut piece);
        let mut room = self.network.room;
        loop {
            match self.client.next(self.trial.call(), &mut input) {
                Next::Event(event) => self.app.take(event, &mut self.trial),
                Next::Request(request) => {
                    self.trial.note(format_args!("{:?} {:?}", request.id, request.body));
                    self.network.take_request(&request);
                }
                Next::CancelRequest(id) => self.network.cancel(id),
                Next::OpenStream(target) => self.network.ask_stream(&target),
                Next::CloseStream => self.network.close_stream(),
                Next::Upgraded => self.trial.note(format_args!("upgraded")),
                Next::Continue => {}
                Next::Io(mut io) => {
                    assert!(input.is_empty(), "not everything was taken");
                    if let Some(bytes) = transfer!(io, arriving, room) {
                        self.network.read(&bytes);
                        continue;
                    }
                    assert!(self.network.has_stream() || !io.wants_read(), "there is no stream");
                    self.trial.check(io.deadline());
                    return;
                }
            }
        }
    }
}
