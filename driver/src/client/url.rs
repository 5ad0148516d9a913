use core::fmt;
use std::net::Ipv6Addr;

use hyper::http::HeaderValue;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Whether it is reached by TLS.
    pub(crate) secure: bool,
    /// A name, or an IP address; one of version 6 has no brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
}

impl Endpoint {
    /// The value of `Host`.
    pub(super) fn host_header(&self) -> Option<HeaderValue> {
        let default = if self.secure { 443 } else { 80 };
        let host = match self.port == default {
            true => bracketed(&self.host),
            false => authority(&self.host, self.port),
        };
        HeaderValue::try_from(host).ok()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&authority(&self.host, self.port))
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// `host:port`.
pub(super) fn authority(host: &str, port: u16) -> String {
    format!("{}:{port}", bracketed(host))
}

/// The URL that a client is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParsedUrl {
    /// The server.
    pub(crate) endpoint: Endpoint,
    /// The namespace, which the path names.
    pub(crate) namespace: String,
    /// The parameters, as they are written, without the question mark.
    pub(crate) query: String,
}

/// Takes a URL apart as JavaScript's `io(url)` does: the path is the namespace, what follows `#` is nothing.
///
/// # Errors
///
/// What is wrong with it, in words.
pub(crate) fn parse_url(url: &str) -> Result<ParsedUrl, String> {
    // What has an @ may have a password, which must not get into a log.
    let shown = if url.contains('@') { String::new() } else { format!(" {url:?}") };
    let wrong = |reason: String| format!("invalid URL{shown}: {reason}");
    let (scheme, rest) = split_scheme(url).map_err(wrong)?;
    let secure = match &*scheme {
        "http" | "ws" => false,
        "https" | "wss" => true,
        _ => return Err(wrong(format!("the scheme {scheme} is none of http, https, ws, wss"))),
    };
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let Place { credentials, host, port } = parse_place(place).map_err(wrong)?;
    if credentials.is_some() {
        return Err(wrong("user and password are not sent: set an authorization header".into()));
    }
    let endpoint = Endpoint { secure, host, port: port.unwrap_or(if secure { 443 } else { 80 }) };
    let namespace = if path.is_empty() { "/" } else { path }.to_owned();
    Ok(ParsedUrl { endpoint, namespace, query: query.to_owned() })
}

/// The scheme, in lower case, and what is behind `://`.
pub(super) fn split_scheme(url: &str) -> Result<(String, &str), String> {
    let (scheme, rest) =
        url.split_once("://").ok_or_else(|| String::from("it does not begin with a scheme and ://"))?;
    Ok((scheme.to_ascii_lowercase(), rest))
}

/// What stands between the scheme and the path.
pub(super) struct Place<'u> {
    /// `user:password`, escaped.
    pub(super) credentials: Option<&'u str>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

pub(super) fn parse_place(place: &str) -> Result<Place<'_>, String> {
    let (credentials, place) = place.rsplit_once('@').map_or((None, place), |(user, rest)| (Some(user), rest));
    let (host, port) = match place.strip_prefix('[') {
        Some(place) => {
            let (address, port) = place.split_once(']').ok_or("a bracket is not closed")?;
            let address: Ipv6Addr = address.parse().map_err(|_| format!("{address} is no address of IPv6"))?;
            let port = match port.strip_prefix(':') {
                None if !port.is_empty() => return Err("something follows the address".into()),
                port => port.unwrap_or_default(),
            };
            (address.to_string(), port)
        }
        None => {
            let (host, port) = place.split_once(':').unwrap_or((place, ""));
            (parse_name(host)?, port)
        }
    };
    let port = match port {
        "" => None,
        port => Some(parse_port(port).ok_or_else(|| format!("{port} is no port"))?),
    };
    Ok(Place { credentials, host, port })
}

fn parse_name(host: &str) -> Result<String, String> {
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    match host {
        "" => Err("it has no host".into()),
        host if !host.is_ascii() => Err(format!("{host} is to be written in ASCII (xn--…)")),
        host if host.bytes().all(may_stand) => Ok(host.to_ascii_lowercase()),
        _ => Err(format!("{host:?} is no host")),
    }
}

fn parse_port(port: &str) -> Option<u16> {
    port.parse().ok().filter(|number| *number != 0 && port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> (bool, String, u16, String, String) {
        let ParsedUrl { endpoint, namespace, query } = parse_url(url).unwrap();
        (endpoint.secure, endpoint.host, endpoint.port, namespace, query)
    }

    #[test]
    fn urls_are_read_as_in_javascript() {
        for (url, secure, host, port, namespace, query) in [
            ("http://localhost", false, "localhost", 80, "/", ""),
            ("HTTPS://Example.Com", true, "example.com", 443, "/", ""),
            ("ws://a_b.c:3000/", false, "a_b.c", 3000, "/", ""),
            ("wss://a?x=1", true, "a", 443, "/", "x=1"),
            ("http://a/chat/room?x=1&y=/?#z?", false, "a", 80, "/chat/room", "x=1&y=/?"),
            ("http://a/chat/#/x?y", false, "a", 80, "/chat/", ""),
            ("http://[::1]:3000/größe 1", false, "::1", 3000, "/größe 1", ""),
            ("https://[2001:DB8:0::1]", true, "2001:db8::1", 443, "/", ""),
            ("http://127.0.0.1:8080", false, "127.0.0.1", 8080, "/", ""),
            ("http://a:/b@c", false, "a", 80, "/b@c", ""),
        ] {
            assert_eq!(parsed(url), (secure, host.into(), port, namespace.into(), query.into()), "{url}");
        }
    }

    #[test]
    fn it_is_told_what_is_wrong() {
        for (url, reason) in [
            ("localhost:3000", "it does not begin with a scheme and ://"),
            ("/chat", "it does not begin with a scheme and ://"),
            ("ftp://a", "the scheme ftp is none of http, https, ws, wss"),
            ("http://", "it has no host"),
            ("http:///chat", "it has no host"),
            ("http://:80", "it has no host"),
            ("http://a:0", "0 is no port"),
            ("http://a:+80", "+80 is no port"),
            ("http://a:65536", "65536 is no port"),
            ("http://a:b:80", "b:80 is no port"),
            ("http://[::1", "a bracket is not closed"),
            ("http://[::1]80", "something follows the address"),
            ("http://[a]", "a is no address of IPv6"),
            ("http://bücher.example", "bücher.example is to be written in ASCII (xn--…)"),
            ("http://a b", "\"a b\" is no host"),
            ("http://a\r\n", "\"a\\r\\n\" is no host"),
            ("http://user:secret@a", "user and password are not sent: set an authorization header"),
        ] {
            let shown = if url.contains('@') { String::new() } else { format!(" {url:?}") };
            assert_eq!(parse_url(url), Err(format!("invalid URL{shown}: {reason}")));
        }
    }

    #[test]
    fn the_host_header_has_no_port_that_goes_without_saying() {
        for (url, header) in [
            ("http://a:80", "a"),
            ("http://a:443", "a:443"),
            ("https://a:443", "a"),
            ("https://a:80", "a:80"),
            ("ws://[::1]", "[::1]"),
            ("ws://[::1]:3000", "[::1]:3000"),
        ] {
            assert_eq!(parse_url(url).unwrap().endpoint.host_header().unwrap(), header, "{url}");
        }
    }
}
