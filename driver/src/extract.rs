use core::any::{Any, TypeId, type_name};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_protocol::socket::manager::AckRequest;
use socketio_protocol::socket::{DecodeError, DisconnectReason, Payload};

use crate::client::{Client, ConnectFailure};
use crate::encode::encode;
use crate::error::{EmitError, HandlerError};
use crate::socket::Socket;

/// Who receives events: a server's [`Socket`], or a [`Client`].
pub trait Receiver: Clone + Send + Sync + 'static + sealed::Receiver {}

impl Receiver for Socket {}
impl Receiver for Client {}

pub(crate) mod sealed {
    use super::{Client, Responder, Socket, TypeMap};
    use socketio_protocol::socket::manager::AckRequest;

    pub trait Receiver {
        /// The right to answer, as the machine gives it.
        type AckRequest: Send;

        fn responder(&self, request: Self::AckRequest) -> Responder;

        fn state(&self) -> &TypeMap;
    }

    impl Receiver for Socket {
        type AckRequest = u64;

        fn responder(&self, request: u64) -> Responder {
            Responder::Socket(self.clone(), request)
        }

        fn state(&self) -> &TypeMap {
            self.state()
        }
    }

    impl Receiver for Client {
        type AckRequest = AckRequest;

        fn responder(&self, request: AckRequest) -> Responder {
            Responder::Client(self.clone(), request)
        }

        fn state(&self) -> &TypeMap {
            self.state()
        }
    }
}

/// What a handler's parameters are taken from; `S` is a server's [`Socket`] or a [`Client`].
pub struct EventContext<'c, 'p, S: Receiver = Socket> {
    pub(crate) socket: &'c S,
    pub(crate) event: &'c str,
    pub(crate) payload: Option<Payload<'p>>,
    pub(crate) ack: Option<S::AckRequest>,
}

impl<'p, S: Receiver> EventContext<'_, 'p, S> {
    /// Who received the event.
    pub fn socket(&self) -> &S {
        self.socket
    }

    /// The event's name.
    pub fn event(&self) -> &str {
        self.event
    }

    /// The event's arguments, to be taken once.
    ///
    /// # Errors
    ///
    /// They were taken already: a handler can have only one parameter of theirs.
    pub fn take_payload(&mut self) -> Result<Payload<'p>, HandlerError> {
        self.payload.take().ok_or_else(|| "the handler takes the event's arguments twice".into())
    }
}

/// A parameter of a handler.
///
/// Types that serde deserializes are the event's arguments: a tuple is the argument list, `()` is none, anything else is
/// exactly the first argument (a `Vec` is one array argument). Surplus arguments are ignored, missing ones are an error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a handler",
    note = "parameters are `Socket` (a client's: `Client`), `State<T>`, `Ack`, `EventName`, `Args<T>`, or one owned type \
            that implements serde's `Deserialize`"
)]
pub trait Extract<S: Receiver = Socket>: Sized {
    /// Takes the parameter out of the event.
    ///
    /// # Errors
    ///
    /// The event does not have it. The handler is not called then.
    fn extract(context: &mut EventContext<'_, '_, S>) -> Result<Self, HandlerError>;
}

impl<T: FromPayload, S: Receiver> Extract<S> for T {
    fn extract(context: &mut EventContext<'_, '_, S>) -> Result<Self, HandlerError> {
        Ok(T::from_payload(context.take_payload()?)?)
    }
}

/// What the arguments of an event, or an answer, can be turned into: every owned type that serde deserializes, as said at
/// [`Extract`] ([`RawArgs`](crate::RawArgs) among them), and [`Args`].
pub trait FromPayload: Sized {
    /// Turns them into the type.
    ///
    /// # Errors
    ///
    /// They have another shape, or are no JSON.
    fn from_payload(payload: Payload<'_>) -> Result<Self, DecodeError>;
}

impl<T: DeserializeOwned> FromPayload for T {
    fn from_payload(payload: Payload<'_>) -> Result<Self, DecodeError> {
        payload.decode()
    }
}

impl Extract for Socket {
    fn extract(context: &mut EventContext<'_, '_>) -> Result<Self, HandlerError> {
        Ok(context.socket.clone())
    }
}

impl Extract<Client> for Client {
    fn extract(context: &mut EventContext<'_, '_, Client>) -> Result<Self, HandlerError> {
        Ok(context.socket.clone())
    }
}

/// All arguments of an event as one sequence: `Args<Vec<T>>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args<T>(pub T);

impl<T: DeserializeOwned> FromPayload for Args<T> {
    fn from_payload(payload: Payload<'_>) -> Result<Self, DecodeError> {
        payload.decode_all().map(Self)
    }
}

/// The name of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventName(pub String);

impl<S: Receiver> Extract<S> for EventName {
    fn extract(context: &mut EventContext<'_, '_, S>) -> Result<Self, HandlerError> {
        Ok(Self(context.event.into()))
    }
}

/// What was given to [`ServerBuilder::state`](crate::ServerBuilder::state), or to
/// [`ClientBuilder::state`](crate::ClientBuilder::state), cloned.
#[derive(Clone, Debug)]
pub struct State<T>(pub T);

impl<T: Clone + Send + Sync + 'static, S: Receiver> Extract<S> for State<T> {
    fn extract(context: &mut EventContext<'_, '_, S>) -> Result<Self, HandlerError> {
        Self::of(context.socket)
    }
}

impl<T: Clone + Send + Sync + 'static> State<T> {
    fn of(socket: &impl Receiver) -> Result<Self, HandlerError> {
        let state = socket.state().get::<T>();
        Ok(Self(state.ok_or_else(|| format!("there is no state of type {}", type_name::<T>()))?))
    }
}

/// The right to answer an event once.
#[derive(Debug)]
pub struct Ack(Option<Responder>);

/// Who answers an event, and by what.
#[derive(Debug)]
pub enum Responder {
    Socket(Socket, u64),
    Client(Client, AckRequest),
}

impl Ack {
    pub(crate) fn of<S: Receiver>(socket: &S, request: Option<S::AckRequest>) -> Self {
        Self(request.map(|request| socket.responder(request)))
    }

    /// Sends the answer. A tuple is the argument list, `()` is none, anything else is one argument. Does nothing when
    /// nobody asked.
    ///
    /// # Errors
    ///
    /// The socket is gone, or the answer cannot be encoded. (A [`Client`] that was disconnected meanwhile drops the answer.)
    pub fn send(self, args: impl Serialize) -> Result<(), EmitError> {
        match self.0 {
            None => Ok(()),
            Some(Responder::Socket(socket, id)) => {
                encode(|encoder| socket.send_encoded(encoder.write_ack(socket.namespace_name(), id, &args)?))
            }
            Some(Responder::Client(client, request)) => client.answer(request, &args),
        }
    }

    /// Whether the peer asked for an answer.
    pub fn is_wanted(&self) -> bool {
        self.0.is_some()
    }
}

impl<S: Receiver> Extract<S> for Ack {
    fn extract(context: &mut EventContext<'_, '_, S>) -> Result<Self, HandlerError> {
        Ok(Self::of(context.socket, context.ack.take()))
    }
}

/// What the functions that are called at a socket's CONNECT (middleware, `on_connect`) take as parameters: a server's
/// [`Socket`], [`State`], [`Auth`]; a client's [`Client`], [`State`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a function that is called at CONNECT",
    note = "parameters are `Socket`, `State<T>` and `Auth<T>`; a client's are `Client` and `State<T>`"
)]
pub trait ExtractConnect<S: Receiver = Socket>: Sized {
    /// Takes the parameter out of the CONNECT.
    ///
    /// # Errors
    ///
    /// It is not to be had; a server refuses the client.
    fn extract(socket: &S) -> Result<Self, HandlerError>;
}

impl ExtractConnect for Socket {
    fn extract(socket: &Socket) -> Result<Self, HandlerError> {
        Ok(socket.clone())
    }
}

impl ExtractConnect<Client> for Client {
    fn extract(client: &Client) -> Result<Self, HandlerError> {
        Ok(client.clone())
    }
}

impl<T: Clone + Send + Sync + 'static, S: Receiver> ExtractConnect<S> for State<T> {
    fn extract(socket: &S) -> Result<Self, HandlerError> {
        Self::of(socket)
    }
}

/// The credentials of the CONNECT; `{}` when the client sent none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth<T>(pub T);

impl<T: DeserializeOwned> ExtractConnect for Auth<T> {
    fn extract(socket: &Socket) -> Result<Self, HandlerError> {
        Ok(Self(socket.auth()?))
    }
}

/// What the functions that are called when a socket is gone take as parameters: [`Socket`], or a client's [`Client`],
/// [`State`], and `R`: the [`DisconnectReason`], or the [`ConnectFailure`] of a client that was not let in.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a function that is called when a socket is gone",
    note = "parameters are `Socket` (a client's: `Client`), `State<T>` and the reason: `DisconnectReason`, in \
            `on_connect_error` `ConnectFailure`"
)]
pub trait ExtractDisconnect<S: Receiver = Socket, R = DisconnectReason>: Sized {
    /// Takes the parameter.
    ///
    /// # Errors
    ///
    /// It is not to be had. The function is not called then.
    fn extract(socket: &S, reason: &R) -> Result<Self, HandlerError>;
}

impl ExtractDisconnect for Socket {
    fn extract(socket: &Socket, _: &DisconnectReason) -> Result<Self, HandlerError> {
        Ok(socket.clone())
    }
}

impl<R> ExtractDisconnect<Client, R> for Client {
    fn extract(client: &Client, _: &R) -> Result<Self, HandlerError> {
        Ok(client.clone())
    }
}

impl<S: Receiver> ExtractDisconnect<S> for DisconnectReason {
    fn extract(_: &S, reason: &DisconnectReason) -> Result<Self, HandlerError> {
        Ok(*reason)
    }
}

impl ExtractDisconnect<Client, Self> for ConnectFailure {
    fn extract(_: &Client, error: &Self) -> Result<Self, HandlerError> {
        Ok(error.clone())
    }
}

impl<T: Clone + Send + Sync + 'static, S: Receiver, R> ExtractDisconnect<S, R> for State<T> {
    fn extract(socket: &S, _: &R) -> Result<Self, HandlerError> {
        Self::of(socket)
    }
}

/// The application's values, one per type: a handful, which are found faster than hashed.
#[derive(Clone, Default)]
pub struct TypeMap(Vec<(TypeId, Arc<dyn Any + Send + Sync>)>);

impl TypeMap {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.0.retain(|(known, _)| *known != TypeId::of::<T>());
        self.0.push((TypeId::of::<T>(), Arc::new(value)));
    }

    pub(crate) fn get<T: Clone + 'static>(&self) -> Option<T> {
        let value = self.0.iter().find(|(known, _)| *known == TypeId::of::<T>());
        value?.1.downcast_ref().cloned()
    }
}
