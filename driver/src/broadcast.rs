use serde::Serialize;
use socketio_protocol::rooms::Target;

use crate::encode::encode;
use crate::error::EmitError;
use crate::namespace::Namespace;

/// An event to many: everybody in a namespace, or everybody in some rooms, but for some.
///
/// Each socket receives the event once, however many of the rooms it is in.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `emit`"]
pub struct Broadcast {
    namespace: Namespace,
    rooms: Vec<Box<str>>,
    except: Vec<Box<str>>,
}

impl Broadcast {
    pub(crate) fn new(namespace: Namespace) -> Self {
        Self { namespace, rooms: Vec::new(), except: Vec::new() }
    }

    /// Adds the members of a room. A socket's id is the name of the room that it alone is in.
    pub fn to(mut self, room: &str) -> Self {
        self.rooms.push(room.into());
        self
    }

    /// Leaves the members of a room out.
    pub fn except(mut self, room: &str) -> Self {
        self.except.push(room.into());
        self
    }

    /// Sends the event. A tuple is the argument list, `()` is none, anything else is one argument. It is encoded once.
    ///
    /// # Errors
    ///
    /// The event cannot be encoded. A recipient that is gone, or for whom too much waits, is no error.
    pub fn emit(self, event: &str, args: impl Serialize) -> Result<(), EmitError> {
        let packet = encode(|encoder| encoder.event(self.namespace.name(), event, &args, None))?;
        self.namespace.broadcast(&Target { rooms: &self.rooms, except: &self.except }, &packet);
        Ok(())
    }
}
