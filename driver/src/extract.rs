use core::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_protocol::socket::{DecodeError, DisconnectReason, Payload};

use crate::encode::encode;
use crate::error::{EmitError, HandlerError};
use crate::socket::Socket;

/// What a handler's parameters are taken from.
pub struct EventContext<'c, 'p> {
    pub(crate) socket: &'c Socket,
    pub(crate) event: &'c str,
    pub(crate) payload: Option<Payload<'p>>,
    pub(crate) ack: Option<u64>,
}

impl<'p> EventContext<'_, 'p> {
    /// The socket that received the event.
    pub fn socket(&self) -> &Socket {
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
    note = "parameters are `Socket`, `State<T>`, `Ack`, `EventName`, `Args<T>`, or one owned type that implements \
            serde's `Deserialize`"
)]
pub trait Extract: Sized {
    /// Takes the parameter out of the event.
    ///
    /// # Errors
    ///
    /// The event does not have it. The handler is not called then.
    fn extract(context: &mut EventContext<'_, '_>) -> Result<Self, HandlerError>;
}

impl<T: FromPayload> Extract for T {
    fn extract(context: &mut EventContext<'_, '_>) -> Result<Self, HandlerError> {
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

impl Extract for EventName {
    fn extract(context: &mut EventContext<'_, '_>) -> Result<Self, HandlerError> {
        Ok(Self(context.event.into()))
    }
}

/// What was given to [`ServerBuilder::state`](crate::ServerBuilder::state), cloned.
#[derive(Clone, Debug)]
pub struct State<T>(pub T);

impl<T: Clone + Send + Sync + 'static> Extract for State<T> {
    fn extract(context: &mut EventContext<'_, '_>) -> Result<Self, HandlerError> {
        Self::of(context.socket)
    }
}

impl<T: Clone + Send + Sync + 'static> State<T> {
    fn of(socket: &Socket) -> Result<Self, HandlerError> {
        let state = socket.state().get::<T>();
        Ok(Self(state.ok_or_else(|| format!("the server has no state of type {}", type_name::<T>()))?))
    }
}

/// The right to answer an event once.
#[derive(Debug)]
pub struct Ack {
    socket: Socket,
    id: Option<u64>,
}

impl Ack {
    /// Sends the answer. A tuple is the argument list, `()` is none, anything else is one argument. Does nothing when
    /// nobody asked.
    ///
    /// # Errors
    ///
    /// The socket is gone, or the answer cannot be encoded.
    pub fn send(self, args: impl Serialize) -> Result<(), EmitError> {
        let Some(id) = self.id else { return Ok(()) };
        encode(|encoder| self.socket.send_encoded(encoder.write_ack(self.socket.namespace_name(), id, &args)?))
    }

    /// Whether the client asked for an answer.
    pub fn is_wanted(&self) -> bool {
        self.id.is_some()
    }
}

impl Extract for Ack {
    fn extract(context: &mut EventContext<'_, '_>) -> Result<Self, HandlerError> {
        Ok(Self { socket: context.socket.clone(), id: context.ack.take() })
    }
}

/// What the functions that are called at a socket's CONNECT (middleware, `on_connect`) take as parameters:
/// [`Socket`], [`State`], [`Auth`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a function that is called at CONNECT",
    note = "parameters are `Socket`, `State<T>` and `Auth<T>`"
)]
pub trait ExtractConnect: Sized {
    /// Takes the parameter out of the CONNECT.
    ///
    /// # Errors
    ///
    /// It is not to be had; the client is refused.
    fn extract(socket: &Socket) -> Result<Self, HandlerError>;
}

impl ExtractConnect for Socket {
    fn extract(socket: &Socket) -> Result<Self, HandlerError> {
        Ok(socket.clone())
    }
}

impl<T: Clone + Send + Sync + 'static> ExtractConnect for State<T> {
    fn extract(socket: &Socket) -> Result<Self, HandlerError> {
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

/// What the functions that are called when a socket is gone take as parameters: [`Socket`], [`State`],
/// [`DisconnectReason`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a function that is called when a socket is gone",
    note = "parameters are `Socket`, `State<T>` and `DisconnectReason`"
)]
pub trait ExtractDisconnect: Sized {
    /// Takes the parameter.
    ///
    /// # Errors
    ///
    /// It is not to be had. The function is not called then.
    fn extract(socket: &Socket, reason: DisconnectReason) -> Result<Self, HandlerError>;
}

impl ExtractDisconnect for Socket {
    fn extract(socket: &Socket, _: DisconnectReason) -> Result<Self, HandlerError> {
        Ok(socket.clone())
    }
}

impl ExtractDisconnect for DisconnectReason {
    fn extract(_: &Socket, reason: DisconnectReason) -> Result<Self, HandlerError> {
        Ok(reason)
    }
}

impl<T: Clone + Send + Sync + 'static> ExtractDisconnect for State<T> {
    fn extract(socket: &Socket, _: DisconnectReason) -> Result<Self, HandlerError> {
        Self::of(socket)
    }
}

/// The application's values, one per type.
#[derive(Clone, Default)]
pub(crate) struct TypeMap(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl TypeMap {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Arc::new(value));
    }

    pub(crate) fn get<T: Clone + 'static>(&self) -> Option<T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref().cloned()
    }
}
