use core::convert::Infallible;
use core::task::{Context, Poll};
use std::io::{self, IoSlice};
use std::marker::PhantomData;

use socketio_protocol::engine::client::Cause;

use crate::runtime::Stream;

/// What stands for TLS where the feature is not chosen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls(());

impl Tls {
    pub(crate) fn connector(&self) -> Result<Connector, Cause> {
        Err(Cause::from("https and wss need the feature \"tls\""))
    }
}

pub(crate) struct Connector(Infallible);

impl Connector {
    pub(crate) async fn connect<S: Stream>(self, _: &str, _: S) -> Result<TlsStream<S>, Cause> {
        match self.0 {}
    }
}

/// As [`Tls`], of a server.
#[derive(Clone)]
pub(crate) struct ServerTls(Infallible);

impl ServerTls {
    pub(crate) async fn accept<S: Stream>(&self, _: S) -> io::Result<TlsStream<S>> {
        match self.0 {}
    }
}

pub(crate) struct TlsStream<S> {
    never: Infallible,
    stream: PhantomData<S>,
}

impl<S: Stream> Stream for TlsStream<S> {
    fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.never {}
    }

    fn poll_write(&mut self, _: &mut Context<'_>, _: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.never {}
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.never {}
    }
}

/// No error is one of TLS.
pub(crate) fn describe(_: &(dyn core::error::Error + 'static), _: &str) -> Option<String> {
    None
}
