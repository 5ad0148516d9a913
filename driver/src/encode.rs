use core::cell::Cell;

use socketio_protocol::socket::Encoder;

thread_local! {
    static ENCODER: Cell<Option<Encoder>> = const { Cell::new(None) };
}

/// Encodes with this thread's encoder. It is taken out meanwhile: what is encoded may emit, too.
pub(crate) fn encode<T>(work: impl FnOnce(&mut Encoder) -> T) -> T {
    let mut encoder = ENCODER.take().unwrap_or_default();
    let result = work(&mut encoder);
    ENCODER.set(Some(encoder));
    result
}
