use arbitrary::Unstructured;
use socketio_protocol::websocket::{CloseCode, Frame, FrameBuilder, Opcode};

/// Reads operations from the input: a byte for each decision, so that a small change of the input is a small change of
/// what happens. When it is used up, the first of all choices is taken.
pub(crate) struct Ops<'d>(Unstructured<'d>);

/// Packets of Socket.IO: type and payload.
const PACKETS: &[(&str, &str)] = &[
    ("0", ""),
    ("0", r#"{"sid":"x"}"#),
    ("0", r#"{"sid":"y","pid":"p"}"#),
    ("0", r#"{"sid":""}"#),
    ("0", r#"{"sid"}"#),
    ("1", ""),
    ("2", r#"["e"]"#),
    ("2", r#"["e",1,"offset"]"#),
    ("2", r#"["e","\u00e9"]"#),
    ("2", r#"["e"}"#),
    ("2", r#"["disconnect"]"#),
    ("3", "[]"),
    ("3", r#"["a",{}]"#),
    ("3", "[}"),
    ("4", ""),
    ("4", r#"{"message":"no","data":[1]}"#),
    ("4", r#""no""#),
    ("4", "[]"),
    ("50-", r#"["e"]"#),
    ("51-", r#"["e",{"_placeholder":true,"num":0}]"#),
    ("51-", r#"["e",{"_placeholder":true,"num":1}]"#),
    ("52-", r#"["e",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#),
    ("61-", r#"[{"_placeholder":true,"num":0}]"#),
    ("61-", r#"[""#),
    ("599-", r#"["e"]"#),
    ("7", ""),
];

/// Packets of Engine.IO that are no messages.
const OTHERS: &[&str] = &["3", "2", "6", "5", "1", "2probe", "3probe", "bAQID", "b!", "0", "x", "", "é"];

impl<'d> Ops<'d> {
    pub(crate) fn new(data: &'d [u8]) -> Self {
        Self(Unstructured::new(data))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.0.choose_index(count).unwrap_or_default()
    }

    /// An operation of so many, and whether the next one follows before the machine is called.
    pub(crate) fn op(&mut self, count: usize) -> (usize, bool) {
        let choice = self.below(2 * count);
        (choice % count, choice >= count)
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub(crate) fn bytes(&mut self, most: usize) -> &'d [u8] {
        let count = self.below(most + 1).min(self.0.len());
        self.0.bytes(count).unwrap_or_default()
    }

    /// Text that may be a message: what separates messages is left out.
    pub(crate) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes(12)).replace('\u{1e}', " ")
    }

    /// A packet of Socket.IO, well-formed in most cases.
    pub(crate) fn packet(&mut self) -> String {
        let (kind, payload) = *self.pick(PACKETS);
        let namespace = *self.pick(&["", "/a,", "/b,", "/,", "/a"]);
        let id = *self.pick(&["", "0", "1", "2", "3", "99999999999999999999"]);
        [kind, namespace, id, payload].concat()
    }

    pub(crate) fn attachment(&mut self) -> &'static [u8] {
        const ATTACHMENTS: [&[u8]; 3] = [b"", b"x", &[7; 4000]];
        ATTACHMENTS[self.below(ATTACHMENTS.len())]
    }

    /// A packet of Engine.IO, a message in most cases.
    pub(crate) fn engine_packet(&mut self) -> String {
        match self.below(8) {
            0..=4 => format!("4{}", self.packet()),
            5 => self.text(),
            _ => (*self.pick(OTHERS)).into(),
        }
    }

    /// The packets of a request, or of the answer to one.
    pub(crate) fn payload(&mut self) -> String {
        let packets: Vec<_> = (0..=self.below(3)).map(|_| self.engine_packet()).collect();
        packets.join("\u{1e}")
    }

    /// What a peer writes to a WebSocket: a frame in most cases, which is masked with the key, if there is one.
    pub(crate) fn stream(&mut self, key: Option<[u8; 4]>) -> Vec<u8> {
        let frame = match self.below(12) {
            0..=4 => Frame::text(&self.engine_packet()),
            5 => Frame::binary(self.bytes(8)),
            6 => Frame::binary(&vec![7; *self.pick(&[130, 6000, 70_000])]),
            7 => ping(self.bytes(4)),
            8 => Frame::pong(&[]),
            9 => Frame::close(*self.pick(&[None, Some(CloseCode::NORMAL), Some(CloseCode::TOO_BIG)])),
            10 => return self.fragments(key),
            _ => return self.bytes(20).to_vec(),
        };
        written(&frame, key)
    }

    /// A message in two fragments.
    fn fragments(&mut self, key: Option<[u8; 4]>) -> Vec<u8> {
        let packet = self.engine_packet();
        let (start, end) = packet.as_bytes().split_at(packet.len() / 2);
        let (mut start, mut end) = (written(&Frame::binary(start), key), written(&Frame::binary(end), key));
        (start[0], end[0]) = (1, 0x80);
        [start, end].concat()
    }
}

/// The frame as it is on the wire.
pub(crate) fn written(frame: &Frame, key: Option<[u8; 4]>) -> Vec<u8> {
    let Some(key) = key else { return frame.as_bytes().to_vec() };
    let mut bytes = Vec::new();
    frame.write_masked(key, &mut bytes);
    bytes
}

fn ping(payload: &[u8]) -> Frame {
    let mut builder = FrameBuilder::new(0, payload.len());
    builder.payload().extend_from_slice(payload);
    builder.finish(Opcode::Ping)
}
