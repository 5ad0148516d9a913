use core::convert::Infallible;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::net::SocketAddr;

use http::request::Parts;
use http::{Request, Response};
use socketio_driver::{Body, Peer, Service, respond};

use crate::Tokio;

/// A server as a tower `Service`; see [`service`].
#[derive(Clone, Debug)]
pub struct SocketIoService<S> {
    server: S,
    address: fn(&Parts) -> Option<SocketAddr>,
    secure: fn(&Parts) -> bool,
}

/// Mounts `server` into an existing application: axum, hyper, or anything else that speaks tower.
///
/// Route the server's path (`/socket.io/`) to it, unchanged; it answers 404 to any other. The connections must be served
/// by HTTP/1.1 and with upgrades (hyper: `with_upgrades`), or clients stay with polling. It is for the application to call
/// [`Server::shutdown`](crate::Server::shutdown) when it ends.
pub fn service<S: Service>(server: &S) -> SocketIoService<S> {
    SocketIoService { server: server.clone(), address: |_| None, secure: |_| false }
}

impl<S> SocketIoService<S> {
    /// Says where to find the address of a client, which becomes
    /// [`Handshake::address`](crate::Handshake::address). Without it there is none: only the application knows it.
    ///
    /// In axum it is an extension of the request:
    ///
    /// ```
    /// use std::net::SocketAddr;
    ///
    /// use axum::Router;
    /// use axum::extract::ConnectInfo;
    /// use socketio_tokio::Server;
    ///
    /// let service = socketio_tokio::service(&Server::new()).with_address(|head| {
    ///     let ConnectInfo(address) = head.extensions.get::<ConnectInfo<SocketAddr>>()?;
    ///     Some(*address)
    /// });
    /// let app = Router::new().route_service("/socket.io/", service);
    /// let app = app.into_make_service_with_connect_info::<SocketAddr>(); // for `axum::serve`
    /// # let _ = app;
    /// ```
    ///
    /// Behind a proxy it is in a header, such as `X-Forwarded-For`; believe it only if the proxy overwrites what clients
    /// send.
    #[must_use]
    pub fn with_address(mut self, address: fn(&Parts) -> Option<SocketAddr>) -> Self {
        self.address = address;
        self
    }

    /// Says how to tell that a client came by TLS, which becomes [`Handshake::secure`](crate::Handshake::secure). Without
    /// it none did: only the application knows what its connections are.
    ///
    /// ```
    /// use socketio_tokio::Server;
    ///
    /// // All of them, for instance where the application serves by TLS alone.
    /// let service = socketio_tokio::service(&Server::new()).with_secure(|_| true);
    /// # let _ = service;
    /// ```
    #[must_use]
    pub fn with_secure(mut self, secure: fn(&Parts) -> bool) -> Self {
        self.secure = secure;
        self
    }
}

impl<S, B> tower_service::Service<Request<B>> for SocketIoService<S>
where
    S: Service,
    B: http_body::Body<Data: Send> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.server.clone();
        let (head, body) = request.into_parts();
        let peer = Peer { address: (self.address)(&head), secure: (self.secure)(&head) };
        let request = Request::from_parts(head, body);
        Box::pin(async move { Ok(respond(server.engine(), &Tokio, peer, request).await) })
    }
}
