use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::time::Duration;

use super::Transport;
use super::http::{Header, Headers, RequestHead};
use crate::SessionId;

/// What an Engine.IO server allows, and how long it waits. Every limit has the default of the official server or,
/// where that has none, a documented one.
///
/// ```
/// use socketio_protocol::engine::{Config, Cors, OriginPolicy};
///
/// let mut cors = Cors::default();
/// cors.origins = OriginPolicy::List(vec!["https://example.com".into()]);
/// let mut config = Config::default();
/// config.cors = Some(cors);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// Time between two pings; 25 s.
    pub ping_interval: Duration,
    /// Time that a pong may take; 20 s.
    pub ping_timeout: Duration,
    /// Time that a probing transport has to become the session's; 10 s.
    pub upgrade_timeout: Duration,
    /// Time that a closing session waits for its goodbye to be collected; 30 s.
    pub close_timeout: Duration,
    /// Time that the body of a request may take, which whoever receives it keeps; 30 s.
    pub body_timeout: Duration,
    /// Largest request body, and largest WebSocket message, in bytes; 1 000 000.
    pub max_payload: usize,
    /// Bytes that may wait to be sent to one client; 8 MiB. Each packet, or run of small ones, counts 64 bytes more than it
    /// has. One packet may exceed the limit when nothing else waits.
    pub max_queued: usize,
    /// The transports that may be used; all.
    pub transports: Transports,
    /// Whether a polling session is told that it may upgrade; true.
    pub allow_upgrades: bool,
    /// Headers for browsers of other origins; none.
    pub cors: Option<Cors>,
    /// Whose requests are served at all, WebSocket included; everybody's.
    pub origins: OriginPolicy,
    /// The cookie that a polling handshake sets, for load balancers; none.
    pub cookie: Option<Cookie>,
    /// Headers that every response carries; none.
    pub headers: Vec<Header>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            max_payload: 1_000_000,
            max_queued: 8 << 20,
            transports: Transports::default(),
            allow_upgrades: true,
            cors: None,
            origins: OriginPolicy::Any,
            cookie: None,
            headers: Vec::new(),
        }
    }
}

impl Config {
    /// The headers that a response to `head` carries whatever its answer is: CORS and [`Config::headers`].
    ///
    /// They belong on every response, the WebSocket upgrade and errors included.
    pub fn response_headers(&self, head: &RequestHead<'_>) -> Vec<Header> {
        let mut headers = self.headers.clone();
        if let Some(cors) = &self.cors {
            cors.write_headers(head, &mut headers);
        }
        headers
    }

    /// The `Set-Cookie` header for the answer that opens a polling session, and for no other.
    pub fn cookie_header(&self, id: &SessionId) -> Option<Header> {
        let cookie = self.cookie.as_ref()?;
        Some((Cow::Borrowed("set-cookie"), Cow::Owned(cookie.render(id.as_str()))))
    }
}

/// A set of transports.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Transports {
    /// HTTP long-polling.
    pub polling: bool,
    /// WebSocket.
    pub websocket: bool,
}

impl Default for Transports {
    fn default() -> Self {
        Self { polling: true, websocket: true }
    }
}

impl Transports {
    /// Long-polling alone.
    pub const POLLING: Self = Self { polling: true, websocket: false };
    /// WebSocket alone.
    pub const WEBSOCKET: Self = Self { polling: false, websocket: true };

    /// Whether `transport` is in the set.
    pub const fn contains(self, transport: Transport) -> bool {
        match transport {
            Transport::Polling => self.polling,
            Transport::WebSocket => self.websocket,
        }
    }
}

/// Cross-origin resource sharing: which headers a browser of another origin is given.
///
/// It lets pages read answers and keeps nobody out; [`Config::origins`] does that. The headers are those of the
/// official server, which uses the npm package `cors`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Cors {
    /// Whose pages may read the responses; everybody's. [`OriginPolicy::Any`] is told as `*`, which browsers do not
    /// accept for requests with cookies: an origin that is to have both is named in a list.
    pub origins: OriginPolicy,
    /// Whether they may send cookies; false.
    pub credentials: bool,
    /// The methods that they may use, separated by commas; `GET,HEAD,PUT,PATCH,POST,DELETE`.
    pub methods: Cow<'static, str>,
    /// The headers that they may send, separated by commas; by default those that the browser asks for.
    pub allowed_headers: Option<Cow<'static, str>>,
    /// The headers that they may read, separated by commas; those that every page may.
    pub exposed_headers: Option<Cow<'static, str>>,
    /// How long a browser may remember this, in whole seconds; as long as it likes.
    pub max_age: Option<Duration>,
}

impl Default for Cors {
    fn default() -> Self {
        Self {
            origins: OriginPolicy::Any,
            credentials: false,
            methods: Cow::Borrowed("GET,HEAD,PUT,PATCH,POST,DELETE"),
            allowed_headers: None,
            exposed_headers: None,
            max_age: None,
        }
    }
}

impl Cors {
    fn write_headers(&self, head: &RequestHead<'_>, headers: &mut Vec<Header>) {
        let mut push = |name: &'static str, value: Cow<'static, str>| headers.push((Cow::Borrowed(name), value));
        let preflight = head.method == "OPTIONS";

        if self.origins == OriginPolicy::Any {
            push("access-control-allow-origin", Cow::Borrowed("*"));
        } else if let Some(origin) = sendable(head.headers.get("origin")).filter(|_| self.origins.allows(head.headers))
        {
            push("access-control-allow-origin", Cow::Owned(origin.into()));
        }
        if self.credentials {
            push("access-control-allow-credentials", Cow::Borrowed("true"));
        }
        if let Some(exposed) = &self.exposed_headers {
            push("access-control-expose-headers", exposed.clone());
        }
        if preflight {
            push("access-control-allow-methods", self.methods.clone());
            let requested = || sendable(head.headers.get("access-control-request-headers"));
            let allowed = self.allowed_headers.clone().or_else(|| Some(Cow::Owned(requested()?.into())));
            if let Some(allowed) = allowed.filter(|allowed| !allowed.is_empty()) {
                push("access-control-allow-headers", allowed);
            }
            if let Some(max_age) = self.max_age {
                push("access-control-max-age", Cow::Owned(max_age.as_secs().to_string()));
            }
        }
        match (self.origins != OriginPolicy::Any, preflight && self.allowed_headers.is_none()) {
            (true, true) => push("vary", Cow::Borrowed("Origin, Access-Control-Request-Headers")),
            (true, false) => push("vary", Cow::Borrowed("Origin")),
            (false, true) => push("vary", Cow::Borrowed("Access-Control-Request-Headers")),
            (false, false) => {}
        }
    }
}

/// The peer's value, if it can be sent back in a header.
fn sendable(value: Option<&[u8]>) -> Option<&str> {
    let text = core::str::from_utf8(value?).ok()?;
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')).then_some(text)
}

/// Which values of the `Origin` header are let in. A request without the header comes from no browser and is let in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OriginPolicy {
    /// Every origin.
    #[default]
    Any,
    /// Those on the list, for example `https://example.com`: scheme, host, and the port unless it is the scheme's own,
    /// in upper or lower case.
    List(Vec<String>),
    /// That whose host and port are the request's own `Host`. Only for a server that sees the browser's `Host`, and not
    /// one that a proxy writes.
    SameOrigin,
}

impl OriginPolicy {
    pub(super) fn allows(&self, headers: &dyn Headers) -> bool {
        let Some(origin) = headers.get("origin") else {
            return true;
        };
        match self {
            Self::Any => true,
            Self::List(list) => list.iter().any(|listed| origin.eq_ignore_ascii_case(listed.as_bytes())),
            Self::SameOrigin => headers.get("host").is_some_and(|host| is_same_origin(origin, host)),
        }
    }
}

fn is_same_origin(origin: &[u8], host: &[u8]) -> bool {
    let (scheme, port): (&[u8], &[u8]) = match origin.get(..5).map(<[u8]>::to_ascii_lowercase).as_deref() {
        Some(b"https") => (b"https://", b":443"),
        _ => (b"http://", b":80"),
    };
    let Some((start, authority)) = origin.split_at_checked(scheme.len()) else {
        return false;
    };
    let without_port = |host| <[u8]>::strip_suffix(host, port).unwrap_or(host);
    start.eq_ignore_ascii_case(scheme)
        && !authority.is_empty()
        && without_port(authority).eq_ignore_ascii_case(without_port(host))
}

/// `SameSite` of a cookie.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum SameSite {
    /// `Strict`.
    Strict,
    /// `Lax`.
    Lax,
    /// `None`, which browsers accept only with `Secure`.
    None,
}

impl SameSite {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

/// The cookie that carries the session id, so that a load balancer can route by it.
///
/// The default is that of the official server: `io=<session id>; Path=/; HttpOnly; SameSite=Lax`.
///
/// ```
/// use socketio_protocol::engine::{Config, Cookie};
///
/// let mut config = Config::default();
/// config.cookie = Some(Cookie::new("server")?.with_domain("example.com")?.with_secure(true));
/// # Ok::<(), socketio_protocol::engine::CookieError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cookie {
    name: Cow<'static, str>,
    path: Cow<'static, str>,
    domain: Option<Cow<'static, str>>,
    max_age: Option<Duration>,
    http_only: bool,
    secure: bool,
    same_site: Option<SameSite>,
}

impl Default for Cookie {
    fn default() -> Self {
        Self {
            name: Cow::Borrowed("io"),
            path: Cow::Borrowed("/"),
            domain: None,
            max_age: None,
            http_only: true,
            secure: false,
            same_site: Some(SameSite::Lax),
        }
    }
}

impl Cookie {
    /// The default cookie under the name `name`.
    ///
    /// # Errors
    ///
    /// [`CookieError::Name`]: it is no token of RFC 9110, section 5.6.2.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Result<Self, CookieError> {
        let name = name.into();
        if is_token(&name) { Ok(Self { name, ..Self::default() }) } else { Err(CookieError::Name) }
    }

    /// The part of the site that gets the cookie.
    ///
    /// # Errors
    ///
    /// [`CookieError::Path`]: it does not start with a slash, or has a control character, a semicolon, or a character
    /// beyond ASCII.
    pub fn with_path(mut self, path: impl Into<Cow<'static, str>>) -> Result<Self, CookieError> {
        self.path = path.into();
        if is_path(&self.path) { Ok(self) } else { Err(CookieError::Path) }
    }

    /// The domain that gets the cookie together with its subdomains, rather than the server's host alone.
    ///
    /// # Errors
    ///
    /// [`CookieError::Domain`]: it is no domain name.
    pub fn with_domain(mut self, domain: impl Into<Cow<'static, str>>) -> Result<Self, CookieError> {
        let domain = domain.into();
        if !is_domain(&domain) {
            return Err(CookieError::Domain);
        }
        self.domain = Some(domain);
        Ok(self)
    }

    /// How long the cookie lives, in whole seconds; by default until the browser is closed.
    #[must_use]
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Whether scripts are kept from reading it.
    #[must_use]
    pub fn with_http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Whether it is sent over TLS only.
    #[must_use]
    pub fn with_secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Which requests from other sites carry it; `None` leaves that to the browser.
    #[must_use]
    pub fn with_same_site(mut self, same_site: impl Into<Option<SameSite>>) -> Self {
        self.same_site = same_site.into();
        self
    }

    fn render(&self, value: &str) -> String {
        let mut cookie = format!("{}={value}", self.name);
        // Writing to a String cannot fail.
        if let Some(max_age) = self.max_age {
            let _ = write!(cookie, "; Max-Age={}", max_age.as_secs());
        }
        if let Some(domain) = &self.domain {
            let _ = write!(cookie, "; Domain={domain}");
        }
        let _ = write!(cookie, "; Path={}", self.path);
        if self.http_only {
            cookie.push_str("; HttpOnly");
        }
        if self.secure {
            cookie.push_str("; Secure");
        }
        if let Some(same_site) = self.same_site {
            let _ = write!(cookie, "; SameSite={}", same_site.as_str());
        }
        cookie
    }
}

/// A part of a [`Cookie`] that cannot be sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieError {
    /// The name.
    Name,
    /// The path.
    Path,
    /// The domain.
    Domain,
}

impl fmt::Display for CookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the cookie's name is no token",
            Self::Path => "the cookie's path has illegal characters",
            Self::Domain => "the cookie's domain is no domain name",
        })
    }
}

impl core::error::Error for CookieError {}

fn is_token(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b';')
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    domain.strip_prefix('.').unwrap_or(domain).split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::{Random, Seed};

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    #[track_caller]
    fn assert_headers(cors: &Cors, method: &str, request: Pairs<'_>, expected: Pairs<'_>) {
        let config = Config { cors: Some(cors.clone()), ..Config::default() };
        let headers = config.response_headers(&RequestHead { method, query: "", headers: &request });
        let headers: Vec<_> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(headers, expected);
    }

    fn list(origins: &[&str]) -> OriginPolicy {
        OriginPolicy::List(origins.iter().map(ToString::to_string).collect())
    }

    fn allows(policy: &OriginPolicy, headers: Pairs<'_>) -> bool {
        policy.allows(&headers)
    }

    const A: (&str, &str) = ("origin", "http://a.com");
    const ALLOW_A: (&str, &str) = ("access-control-allow-origin", "http://a.com");
    const ALLOW_ANY: (&str, &str) = ("access-control-allow-origin", "*");
    const METHODS: (&str, &str) = ("access-control-allow-methods", "GET,HEAD,PUT,PATCH,POST,DELETE");
    const VARY: (&str, &str) = ("vary", "Origin");

    #[test]
    fn without_cors_responses_carry_only_the_configured_headers() {
        let extra: Header = ("x-extra".into(), "1".into());
        let config = Config { headers: vec![extra.clone()], ..Config::default() };
        let head = RequestHead { method: "OPTIONS", query: "", headers: &[A] };
        assert_eq!(config.response_headers(&head), config.headers);

        let config = Config { cors: Some(Cors::default()), ..config };
        let head = RequestHead { method: "GET", ..head };
        assert_eq!(config.response_headers(&head), [extra, (ALLOW_ANY.0.into(), ALLOW_ANY.1.into())]);
    }

    #[test]
    fn row_21_preflights_allow_what_the_browser_asks_for() {
        let requested = ("access-control-request-headers", "x-token, content-type");
        let allowed = ("access-control-allow-headers", "x-token, content-type");
        let vary = ("vary", "Access-Control-Request-Headers");
        assert_headers(&Cors::default(), "OPTIONS", &[A, requested], &[ALLOW_ANY, METHODS, allowed, vary]);
        assert_headers(&Cors::default(), "OPTIONS", &[A], &[ALLOW_ANY, METHODS, vary]);

        let cors = Cors { origins: list(&["http://b.com", "http://a.com"]), ..Cors::default() };
        let vary = ("vary", "Origin, Access-Control-Request-Headers");
        assert_headers(&cors, "OPTIONS", &[A, requested], &[ALLOW_A, METHODS, allowed, vary]);
    }

    #[test]
    fn preflights_allow_what_is_configured() {
        let cors = Cors {
            origins: list(&["http://a.com"]),
            credentials: true,
            methods: "GET,POST".into(),
            allowed_headers: Some("x-token".into()),
            exposed_headers: Some("x-id".into()),
            max_age: Some(Duration::from_secs(600)),
        };
        let expected = [
            ALLOW_A,
            ("access-control-allow-credentials", "true"),
            ("access-control-expose-headers", "x-id"),
            ("access-control-allow-methods", "GET,POST"),
            ("access-control-allow-headers", "x-token"),
            ("access-control-max-age", "600"),
            VARY,
        ];
        assert_headers(&cors, "OPTIONS", &[A, ("access-control-request-headers", "x-other")], &expected);
        let expected = [expected[0], expected[1], expected[2], VARY];
        assert_headers(&cors, "GET", &[A], &expected);
    }

    #[test]
    fn an_origin_that_is_not_listed_is_not_allowed_but_the_answer_varies() {
        let cors = Cors { origins: list(&["http://a.com"]), ..Cors::default() };
        assert_headers(&cors, "GET", &[A], &[ALLOW_A, VARY]);
        assert_headers(&cors, "POST", &[("origin", "http://evil.com")], &[VARY]);
        assert_headers(&cors, "GET", &[], &[VARY]);
    }

    /// CVE-2020-28481: an origin that nobody named is never reflected.
    #[test]
    fn cve_2020_28481_any_origin_is_not_reflected() {
        let credentials = ("access-control-allow-credentials", "true");
        assert_headers(&Cors::default(), "GET", &[A], &[ALLOW_ANY]);
        assert_headers(&Cors { credentials: true, ..Cors::default() }, "GET", &[A], &[ALLOW_ANY, credentials]);
        assert_eq!(Config::default().cors, None);
    }

    #[test]
    fn what_cannot_be_sent_is_not_reflected() {
        let vary = ("vary", "Access-Control-Request-Headers");
        for requested in ["x\r\nset-cookie: a=b", "x\0", "é", ""] {
            let request = [("access-control-request-headers", requested)];
            assert_headers(&Cors::default(), "OPTIONS", &request, &[ALLOW_ANY, METHODS, vary]);
        }
        let cors = Cors { origins: OriginPolicy::SameOrigin, ..Cors::default() };
        assert_headers(&cors, "GET", &[("origin", "http://a\r\n"), ("host", "a\r\n")], &[VARY]);
    }

    #[test]
    fn origins_on_a_list_are_compared_in_any_case() {
        let policy = list(&["https://Example.com:8443", "null"]);
        assert!(allows(&policy, &[]));
        for origin in ["https://example.com:8443", "HTTPS://EXAMPLE.COM:8443", "null"] {
            assert!(allows(&policy, &[("origin", origin)]), "{origin}");
        }
        for origin in ["https://example.com", "http://example.com:8443", "https://example.com:8443.evil.com", "", "*"] {
            assert!(!allows(&policy, &[("origin", origin)]), "{origin}");
        }
        assert!(!allows(&list(&[]), &[A]));
        assert!(allows(&OriginPolicy::Any, &[A]));
    }

    #[test]
    fn the_same_origin_is_that_of_the_host() {
        let same = OriginPolicy::SameOrigin;
        for (origin, host) in [
            ("http://a.com", "a.com"),
            ("HTTP://A.com", "a.COM"),
            ("https://a.com", "a.com:443"),
            ("http://a.com:80", "a.com"),
            ("https://a.com:8443", "a.com:8443"),
            ("http://[::1]:3000", "[::1]:3000"),
        ] {
            assert!(allows(&same, &[("origin", origin), ("host", host)]), "{origin} {host}");
        }
        for (origin, host) in [
            ("http://a.com", "b.com"),
            ("http://a.com:8080", "a.com"),
            ("http://a.com", "a.com:443"),
            ("https://a.com", "a.com:80"),
            ("http://a.com.evil.com", "a.com"),
            ("null", "null"),
            ("a.com", "a.com"),
            ("http://", ""),
            ("", ""),
            ("ftp://a.com", "a.com"),
        ] {
            assert!(!allows(&same, &[("origin", origin), ("host", host)]), "{origin} {host}");
        }
        assert!(!allows(&same, &[A]));
        assert!(allows(&same, &[("host", "a.com")]));
    }

    #[test]
    fn the_cookie_has_the_official_form() {
        let id = SessionId::generate(&mut Random::new(Seed::new([1; 32])));
        assert_eq!(Config::default().cookie_header(&id), None);

        let config = Config { cookie: Some(Cookie::default()), ..Config::default() };
        let value = format!("io={}; Path=/; HttpOnly; SameSite=Lax", id.as_str());
        assert_eq!(config.cookie_header(&id), Some(("set-cookie".into(), value.into())));
    }

    #[test]
    fn cookies_with_every_attribute() {
        let cookie = Cookie::new("srv").unwrap().with_path("/chat").unwrap().with_domain("a.com").unwrap();
        let cookie = cookie.with_max_age(Duration::from_secs(60)).with_secure(true).with_same_site(SameSite::None);
        assert_eq!(cookie.render("x"), "srv=x; Max-Age=60; Domain=a.com; Path=/chat; HttpOnly; Secure; SameSite=None");
        let cookie = Cookie::default().with_http_only(false).with_same_site(None);
        assert_eq!(cookie.render("x"), "io=x; Path=/");
        assert_eq!(
            Cookie::default().with_same_site(SameSite::Strict).render("x"),
            "io=x; Path=/; HttpOnly; SameSite=Strict"
        );
    }

    #[test]
    fn cve_2024_47764_illegal_characters_are_refused() {
        for name in ["", "a b", "a;b", "a=b", "a\r\n", "é", "a,b", "\"a\"", "userName=<script>"] {
            assert_eq!(Cookie::new(name), Err(CookieError::Name), "{name:?}");
        }
        assert_eq!(CookieError::Name.to_string(), "the cookie's name is no token");
        for path in ["", "a", "/a;b", "/a\r\nx", "/é", "/\u{7f}"] {
            assert_eq!(Cookie::default().with_path(path), Err(CookieError::Path), "{path:?}");
        }
        for domain in ["", ".", "a;b", "a b", "a..b", "-a.com", "a-.com", "a.com\r\n", "é.com", "a.com/"] {
            assert_eq!(Cookie::default().with_domain(domain), Err(CookieError::Domain), "{domain:?}");
        }
        assert_eq!(Cookie::default().with_domain("a".repeat(64)), Err(CookieError::Domain));
        for domain in [".a.com", "localhost", "127.0.0.1", "x-1.A.com"] {
            assert!(Cookie::default().with_domain(domain).is_ok(), "{domain:?}");
        }
    }

    #[test]
    fn sets_of_transports() {
        for (set, polling, websocket) in [
            (Transports::default(), true, true),
            (Transports::POLLING, true, false),
            (Transports::WEBSOCKET, false, true),
        ] {
            assert_eq!(set.contains(Transport::Polling), polling);
            assert_eq!(set.contains(Transport::WebSocket), websocket);
        }
    }
}
