//! A plain Engine.IO server on `/engine.io/` that echoes every message: what the official Engine.IO suite runs against.

use std::io;
use std::sync::Arc;

use socketio_driver::protocol::Instant;
use socketio_driver::protocol::engine::{CloseReason, Message, Packet};
use socketio_driver::{Application, Config, Connection, Engine, Handshake, Mailbox, Turn};

use crate::options::Options;
use crate::platform::Platform;

struct Echo;

impl Application for Echo {
    type Connection = Self;

    fn open(&self, _: Arc<Handshake>, _: &Mailbox<()>, _: Instant) -> Self {
        Self
    }
}

impl Connection for Echo {
    type Mail = ();

    fn handle_message(&mut self, turn: &mut Turn<'_, '_>, message: Message<'_>) {
        turn.send(match message {
            Message::Text(text) => Packet::text(text),
            Message::Binary(bytes) => Packet::binary(bytes.as_slice()),
        });
    }

    fn handle_mail(&mut self, _: &mut Turn<'_, '_>, (): ()) {}

    fn handle_close(&mut self, _: &mut Turn<'_, '_>, _: CloseReason) {}
}

/// The server.
///
/// # Errors
///
/// It cannot listen, or not any more.
pub(crate) fn engine_conformance<P: Platform>(options: &Options) -> io::Result<()> {
    let mut config = Config::default();
    config.ping_interval = options.ping_interval();
    config.ping_timeout = options.ping_timeout();
    config.upgrade_timeout = options.upgrade_timeout();
    config.max_payload = options.max_payload;
    config.cors = options.cors();
    let engine = Engine::new(config, "/engine.io/", Echo);
    options.run::<P, _>(|_, _| engine)
}
