use std::time::SystemTime;

use cookie::time::OffsetDateTime;
use cookie::{Cookie, Expiration};
use hyper::http::header::SET_COOKIE;
use hyper::http::{HeaderMap, HeaderValue};

/// Cookies that are kept at most, and the length of one in bytes; RFC 6265 section 6.1 asks for no less.
const MAX_COOKIES: usize = 50;
const MAX_LENGTH: usize = 4096;
/// Bytes of names and values that are kept, but for the newest cookie. With more, servers refuse the head of every request,
/// which no server could heal: 8 KiB is the smallest limit that is common.
const MAX_TOTAL: usize = 6 << 10;

/// The cookies of one server, by which load balancers find the one that has the session.
///
/// They go back to the host that has set them and to no other, whatever their `Domain`.
#[derive(Debug, Default)]
pub(super) struct Jar {
    /// Ordered by age.
    cookies: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    value: String,
    /// Requests whose path is not at or below this one do not get it.
    path: String,
    expires: Option<OffsetDateTime>,
}

/// The present, for [`Jar`].
pub(super) fn now() -> OffsetDateTime {
    SystemTime::now().into()
}

impl Jar {
    /// Takes the cookies of an answer to a request for `target`; `secure` says whether it came by TLS.
    pub(super) fn keep(&mut self, headers: &HeaderMap, target: &str, secure: bool, now: OffsetDateTime) {
        for text in headers.get_all(SET_COOKIE) {
            let text = text.to_str().ok().filter(|text| text.len() <= MAX_LENGTH);
            let Some(cookie) = text.and_then(|text| Cookie::parse(text).ok()) else { continue };
            let refused = cookie.secure() == Some(true) && !secure;
            if !refused && !cookie.name().is_empty() {
                self.keep_one(&cookie, target, now);
            }
        }
    }

    fn keep_one(&mut self, cookie: &Cookie<'_>, target: &str, now: OffsetDateTime) {
        let own = cookie.path().filter(|path| path.starts_with('/'));
        let path = own.unwrap_or_else(|| directory(path_of(target))).to_owned();
        let expires = match (cookie.max_age(), cookie.expires()) {
            // What is too far away for the calendar never comes.
            (Some(age), _) if age.is_positive() => now.checked_add(age),
            (Some(_), _) => Some(now),
            (None, Some(Expiration::DateTime(expires))) => Some(expires),
            (None, _) => None,
        };
        let entry = Entry { name: cookie.name().into(), value: cookie.value().into(), path, expires };
        let same = |old: &Entry| old.name == entry.name && old.path == entry.path;
        self.cookies.retain(|old| !same(old) && !old.is_over(now));
        if !entry.is_over(now) {
            if self.cookies.len() == MAX_COOKIES {
                self.cookies.remove(0);
            }
            // At the end, even where it takes the place of another: the oldest is given up first.
            self.cookies.push(entry);
        }
        let size = |entry: &Entry| entry.name.len() + entry.value.len() + "=; ".len();
        while self.cookies.len() > 1 && self.cookies.iter().map(size).sum::<usize>() > MAX_TOTAL {
            self.cookies.remove(0);
        }
    }

    /// The value of `Cookie` for a request for `target`: what the user's headers have, then what was kept.
    pub(super) fn header<'h>(
        &self,
        users: impl Iterator<Item = &'h HeaderValue>,
        target: &str,
        now: OffsetDateTime,
    ) -> Option<HeaderValue> {
        let mut pairs: Vec<Vec<u8>> = users.map(|value| value.as_bytes().to_vec()).collect();
        let path = path_of(target);
        let kept = self.cookies.iter().filter(|entry| !entry.is_over(now) && covers(&entry.path, path));
        pairs.extend(kept.map(|Entry { name, value, .. }| format!("{name}={value}").into_bytes()));
        HeaderValue::from_bytes(&pairs.join(&b"; "[..])).ok().filter(|value| !value.is_empty())
    }
}

impl Entry {
    fn is_over(&self, now: OffsetDateTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

fn path_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// The path of a cookie that names none; RFC 6265 section 5.1.4.
fn directory(path: &str) -> &str {
    path.rsplit_once('/').map(|(directory, _)| directory).filter(|directory| !directory.is_empty()).unwrap_or("/")
}

/// RFC 6265 section 5.1.4, "path-match".
fn covers(of_cookie: &str, of_request: &str) -> bool {
    let rest = of_request.strip_prefix(of_cookie);
    rest.is_some_and(|rest| rest.is_empty() || of_cookie.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const TARGET: &str = "/socket.io/?EIO=4";

    fn noon() -> OffsetDateTime {
        // 2026-01-02 12:00:00
        OffsetDateTime::from_unix_timestamp(1_767_355_200).unwrap()
    }

    fn keep(jar: &mut Jar, cookie: &str, secure: bool) {
        let headers = HeaderMap::from_iter([(SET_COOKIE, HeaderValue::from_str(cookie).unwrap())]);
        jar.keep(&headers, TARGET, secure, noon());
    }

    fn sent(jar: &Jar, target: &str, now: OffsetDateTime) -> String {
        let header = jar.header(core::iter::empty(), target, now);
        header.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    }

    fn after(cookies: &[&str]) -> String {
        let mut jar = Jar::default();
        for cookie in cookies {
            keep(&mut jar, cookie, false);
        }
        sent(&jar, TARGET, noon())
    }

    #[test]
    fn cookies_come_back_as_they_were() {
        assert_eq!(after(&["a=1", "b=\"x y\"; HttpOnly; SameSite=None", "c==", "d="]), "a=1; b=\"x y\"; c==; d=");
        assert_eq!(after(&["a=1", "b=2", "a=3"]), "b=2; a=3");
        assert_eq!(after(&["=1", "nothing", "a=1; Domain=other.example"]), "a=1");
    }

    #[test]
    fn a_cookie_ends_when_it_is_told_to() {
        for end in ["Max-Age=0", "Max-Age=-1", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"] {
            assert_eq!(after(&["a=1", "b=2", &format!("a=; {end}")]), "b=2");
        }
        // The age counts for more than the date.
        assert_eq!(after(&["a=1; Max-Age=9; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]), "a=1");
        assert_eq!(after(&["a=1; Max-Age=99999999999999999999"]), "a=1");
        let mut jar = Jar::default();
        keep(&mut jar, "a=1; Max-Age=10", false);
        keep(&mut jar, "b=2; Expires=Fri, 02 Jan 2026 12:00:20 GMT", false);
        for (seconds, left) in [(9, "a=1; b=2"), (10, "b=2"), (19, "b=2"), (20, "")] {
            assert_eq!(sent(&jar, TARGET, noon() + Duration::from_secs(seconds)), left, "{seconds}");
        }
    }

    #[test]
    fn a_cookie_stays_below_its_path() {
        let mut jar = Jar::default();
        for cookie in
            ["a=1", "b=2; Path=/", "c=3; Path=/socket", "d=4; Path=/socket.io/", "e=5; Path=/other", "f=6; Path=x"]
        {
            keep(&mut jar, cookie, false);
        }
        assert_eq!(sent(&jar, "/socket.io/?x", noon()), "a=1; b=2; d=4; f=6");
        assert_eq!(sent(&jar, "/socket.io", noon()), "a=1; b=2; f=6");
        assert_eq!(sent(&jar, "/socket/x", noon()), "b=2; c=3");
        // The same name at another path is another cookie.
        keep(&mut jar, "b=7; Path=/socket.io", false);
        assert_eq!(sent(&jar, "/socket.io/", noon()), "a=1; b=2; d=4; f=6; b=7");
    }

    #[test]
    fn a_secure_cookie_needs_tls() {
        let mut jar = Jar::default();
        keep(&mut jar, "a=1; Secure", false);
        assert_eq!(sent(&jar, TARGET, noon()), "");
        keep(&mut jar, "a=1; Secure", true);
        assert_eq!(sent(&jar, TARGET, noon()), "a=1");
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let cookies: Vec<String> = (0..60).map(|number| format!("n{number}=1")).collect();
        let cookies: Vec<&str> = cookies.iter().map(String::as_str).collect();
        let kept = after(&cookies);
        assert_eq!(kept.split("; ").count(), MAX_COOKIES);
        assert!(kept.starts_with("n10=1; ") && kept.ends_with("; n59=1"));
        assert_eq!(after(&["a=1", &format!("b={}", "x".repeat(MAX_LENGTH))]), "a=1");
    }

    #[test]
    fn cookies_do_not_fill_the_head_of_a_request() {
        let large = "x".repeat(1_000);
        let cookies: Vec<String> = (0..20).map(|number| format!("n{number}={large}")).collect();
        let cookies: Vec<&str> = cookies.iter().map(String::as_str).collect();
        let kept = after(&cookies);
        assert!(kept.len() <= MAX_TOTAL && kept.len() > MAX_TOTAL - 1_010, "{}", kept.len());
        assert!(kept.starts_with("n14=") && kept.contains("; n19="));
    }

    #[test]
    fn the_users_come_first() {
        let mut jar = Jar::default();
        keep(&mut jar, "a=1", false);
        let users = [HeaderValue::from_static("x=1; y=2"), HeaderValue::from_static("a=3")];
        assert_eq!(jar.header(users.iter(), TARGET, noon()).unwrap(), "x=1; y=2; a=3; a=1");
    }
}
