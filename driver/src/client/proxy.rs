use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::http::header::{HOST, PROXY_AUTHORIZATION};
use hyper::http::{HeaderValue, Method, Request};
use percent_encoding::percent_decode_str;
use socketio_protocol::engine::client::Cause;

use super::dial::dial;
use super::http::upgrade;
use super::url::{Endpoint, Place, authority, parse_place, split_scheme};
use crate::runtime::Runtime;

/// An HTTP proxy that all connections go through, by CONNECT; RFC 9110 section 9.3.6.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    host: String,
    port: u16,
    /// The value of `Proxy-Authorization`.
    authorization: Option<HeaderValue>,
}

impl Proxy {
    /// Reads `http://user:password@host:port`; user and password, if any, are percent-encoded, and the port is 80 if
    /// there is none.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let wrong = |reason: String| format!("invalid URL of a proxy: {reason}");
        let (scheme, rest) = split_scheme(url).map_err(wrong)?;
        if scheme != "http" {
            return Err(wrong(format!("the scheme {scheme} is not http")));
        }
        let place = rest.strip_suffix('/').unwrap_or(rest);
        if place.contains(['/', '?', '#']) {
            return Err(wrong("something follows the host".into()));
        }
        let Place { credentials, host, port } = parse_place(place).map_err(wrong)?;
        let authorization = credentials.map(basic);
        Ok(Self { host, port: port.unwrap_or(80), authorization })
    }

    /// A stream to `target` through the proxy.
    pub(super) async fn dial<R: Runtime>(&self, runtime: &R, target: &Endpoint) -> Result<R::Stream, Cause> {
        let name = authority(&self.host, self.port);
        let told = |reason: &dyn core::fmt::Display| Cause::from(format!("proxy {name}: {reason}"));
        let stream = dial(runtime, &self.host, self.port).await.map_err(|cause| told(&cause))?;
        let target = target.to_string();
        let mut request = Request::builder().method(Method::CONNECT).uri(&target).header(HOST, &target);
        if let Some(authorization) = &self.authorization {
            request = request.header(PROXY_AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(Bytes::new())).map_err(|error| told(&error))?;
        let (response, stream) = upgrade(stream, request, &self.host).await.map_err(|cause| told(&cause))?;
        match (response.status().as_u16(), stream) {
            (200..300, Some((stream, ahead))) if ahead.is_empty() => Ok(stream),
            // It is the client who speaks first, with TLS and with HTTP.
            (200..300, _) => Err(told(&"it sends something of its own")),
            (407, _) if self.authorization.is_none() => Err(told(&"status 407, it asks for a user and a password")),
            (407, _) => Err(told(&"status 407, it refuses the user or the password")),
            (status, _) => Err(told(&format_args!("status {status} for {target}"))),
        }
    }
}

fn basic(credentials: &str) -> HeaderValue {
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let mut decoded: Vec<u8> = percent_decode_str(user).collect();
    decoded.push(b':');
    decoded.extend(percent_decode_str(password));
    let value = format!("Basic {}", BASE64_STANDARD.encode(decoded));
    // Cannot fail: base64 is ASCII.
    let mut value = HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read() {
        for (url, host, port, authorization) in [
            ("http://proxy:3128", "proxy", 3128, None),
            ("HTTP://proxy/", "proxy", 80, None),
            ("http://[::1]:1", "::1", 1, None),
            ("http://user:pass@proxy", "proxy", 80, Some("Basic dXNlcjpwYXNz")),
            ("http://u%40s:p%3Aa:b@proxy", "proxy", 80, Some("Basic dUBzOnA6YTpi")),
            ("http://user@proxy", "proxy", 80, Some("Basic dXNlcjo=")),
        ] {
            let proxy = Proxy::parse(url).unwrap();
            assert_eq!((&*proxy.host, proxy.port), (host, port), "{url}");
            assert_eq!(proxy.authorization.as_ref().map(|value| value.to_str().unwrap()), authorization, "{url}");
        }
        let secret = format!("{:?}", Proxy::parse("http://user:pass@proxy"));
        assert!(!secret.contains("dXNlcjpwYXNz"), "{secret}");
    }

    #[test]
    fn it_is_told_what_is_wrong() {
        for (url, reason) in [
            ("proxy:3128", "it does not begin with a scheme and ://"),
            ("https://proxy", "the scheme https is not http"),
            ("socks5://proxy", "the scheme socks5 is not http"),
            ("http://proxy/a", "something follows the host"),
            ("http://proxy?a", "something follows the host"),
            ("http://", "it has no host"),
        ] {
            assert_eq!(Proxy::parse(url).err(), Some(format!("invalid URL of a proxy: {reason}")), "{url}");
        }
    }
}
